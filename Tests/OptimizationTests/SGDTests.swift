// Stochastic gradient descent against its definition, element by element in Double.

import Optimization
import Tensors
import TestSupport
import Testing

@Suite struct SGDTests {
  /// One element's updates, decay as part of the gradient.
  private static func twin(_ start: Double, _ gradients: [Double], _ slice: ParameterSlice, _ rate: Double) -> Double {
    var (value, velocity) = (start, 0.0)
    for gradient in gradients {
      velocity = 0.9 * velocity + gradient + slice.decay * value
      value -= rate * slice.rateFactor * velocity
    }
    return value
  }

  @Test("six steps agree with the definition and leave gaps alone") func sixSteps() {
    let slices = AdamWTests.slices
    let optimizer = SGD(slices: slices)
    let parameters = randomTensor([101], seed: 1)
    let start = doubles(parameters)
    let gradients = (0..<6).map { randomTensor([101], seed: 2 + $0, scale: 0.1) }
    for (index, gradient) in gradients.enumerated() {
      optimizer.advance(parameters: parameters, gradient: gradient, rate: 0.05, step: index + 1)
    }
    for slice in slices {
      let expected = slice.range.map { element in
        SGDTests.twin(start[element], gradients.map { doubles($0)[element] }, slice, 0.05)
      }
      #expect(relativeError(Array(parameters.values[slice.range]), expected) < 2e-6)
    }
    #expect(optimizer.momentNames == ["velocity"] && optimizer.moments.count == 1)
    #expect((67..<70).allSatisfy { Double(parameters.values[$0]) == start[$0] && optimizer.velocity.values[$0] == 0 })
  }

  @Test("ranges advanced apart are the whole update") func ownedRanges() {
    let slices = AdamWTests.slices
    let (whole, expected) = (SGD(slices: slices), randomTensor([101], seed: 1))
    let ranges: [[Range<Int>]] = [[0..<20, 60..<80], [20..<60, 80..<101]]
    let parts = ranges.map { (SGD(slices: slices, owned: $0), expected.copy(), $0) }
    for step in 1...3 {
      let gradient = randomTensor([101], seed: UInt64(step))
      whole.advance(parameters: expected, gradient: gradient, rate: 0.01, step: step)
      for (optimizer, parameters, _) in parts {
        optimizer.advance(parameters: parameters, gradient: gradient, rate: 0.01, step: step)
      }
    }
    for (optimizer, parameters, owned) in parts {
      let mine = Array(owned.joined())
      #expect(mine.allSatisfy { parameters.values[$0] == expected.values[$0] })
      #expect(optimizer.velocity.values == mine.map { whole.velocity.values[$0] })
    }
  }
}
