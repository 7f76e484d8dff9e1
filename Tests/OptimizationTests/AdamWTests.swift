// Parameter groups by name, and AdamW against a naive Double twin.

import Optimization
import Tensors
import TestSupport
import Testing

@Suite struct ParameterGroupsTests {
  @Test(
    "rate factor and decay by name",
    arguments: [
      ("backbone.patch_embed1.proj.weight", 1, 0.01), ("backbone.patch_embed1.norm.weight", 1, 0),
      ("backbone.block1.0.norm2.bias", 1, 0), ("backbone.block1.0.attn.q.bias", 1, 0.01),
      ("decode_head.head.fuse_layer.bottleneck.bn.weight", 10, 0.01), ("decode_head.norm.bias", 10, 0.01),
      ("decode_head.scale_attention.conv_seg.bias", 10, 0.01),
    ] as [(String, Double, Double)])
  func published(_ name: String, _ rateFactor: Double, _ decay: Double) {
    let slice = ParameterGroups().slice(name: name, range: 3..<7)
    #expect(slice == ParameterSlice(name: name, range: 3..<7, rateFactor: rateFactor, decay: decay))
  }

  @Test("longer words win, equal lengths go by the alphabet")
  func order() {
    let words = ["b", "norm", "longest", "head", "a"].map { ParameterRule(word: $0) }
    #expect(ParameterGroups(rules: words, weightDecay: 0).rules.map(\.word) == ["longest", "head", "norm", "a", "b"])
  }
}

@Suite struct AdamWTests {
  static let slices = [
    ParameterSlice(name: "a", range: 0..<37, rateFactor: 1, decay: 0.01),
    ParameterSlice(name: "b", range: 37..<50, rateFactor: 1, decay: 0.01),
    ParameterSlice(name: "norm", range: 50..<67, rateFactor: 1, decay: 0),
    ParameterSlice(name: "head", range: 70..<101, rateFactor: 10, decay: 0.01),
  ]

  /// One element's five steps: the update as the paper writes it.
  static func twin(_ start: Double, gradients: [Double], slice: ParameterSlice, rate: Double) -> Double {
    var (value, first, second) = (start, 0.0, 0.0)
    var (power1, power2) = (1.0, 1.0)
    for gradient in gradients {
      let rate = rate * slice.rateFactor
      first = 0.9 * first + 0.1 * gradient
      second = 0.999 * second + 0.001 * gradient * gradient
      power1 *= 0.9
      power2 *= 0.999
      value -= rate * slice.decay * value
      value -= rate * (first / (1 - power1)) / ((second / (1 - power2)).squareRoot() + 1e-8)
    }
    return value
  }

  @Test("five steps agree with the twin and leave gaps alone", arguments: [1e-3, 0.3])
  func fiveSteps(_ rate: Double) {
    let optimizer = AdamW(slices: Self.slices)
    let parameters = randomTensor([101], seed: 1)
    let start = doubles(parameters)
    let gradients = (0..<5).map { randomTensor([101], seed: 2 + $0, scale: 0.1) }
    for (index, gradient) in gradients.enumerated() {
      optimizer.advance(parameters: parameters, gradient: gradient, rate: rate, step: index + 1)
    }
    for slice in Self.slices {
      let expected = slice.range.map { element in
        Self.twin(start[element], gradients: gradients.map { doubles($0)[element] }, slice: slice, rate: rate)
      }
      #expect(relativeError(Array(parameters.values[slice.range]), expected) < 2e-6)
    }
    for gap in 67..<70 {
      #expect(Double(parameters.values[gap]) == start[gap] && optimizer.firstMoment.values[gap] == 0)
    }
  }

  @Test("going on from saved moments gives the same bits")
  func resuming() {
    func run(_ steps: Range<Int>, _ optimizer: AdamW, _ parameters: Tensor) {
      for step in steps {
        optimizer.advance(
          parameters: parameters, gradient: randomTensor([101], seed: UInt64(step)), rate: 0.01, step: step)
      }
    }
    let (whole, parameters) = (AdamW(slices: Self.slices), randomTensor([101], seed: 9))
    let halfway = parameters.copy()
    run(1..<6, whole, parameters)
    let first = AdamW(slices: Self.slices)
    run(1..<3, first, halfway)
    let second = AdamW(slices: Self.slices)
    second.firstMoment.assign(first.firstMoment)
    second.secondMoment.assign(first.secondMoment)
    run(3..<6, second, halfway)
    #expect(halfway.values == parameters.values)
  }

  @Test(
    "ranges advanced apart are the whole update",
    arguments: [[[0..<101]], [[0..<20, 60..<80], [20..<60, 80..<101], []], [[0..<0, 5..<70], [0..<5, 70..<101]]]
      as [[[Range<Int>]]])
  func ownedRanges(_ ranks: [[Range<Int>]]) {
    let (whole, expected) = (AdamW(slices: Self.slices), randomTensor([101], seed: 1))
    let start = expected.copy()
    let parts = ranks.map { (AdamW(slices: Self.slices, owned: $0), start.copy(), $0) }
    for step in 1...4 {
      let gradient = randomTensor([101], seed: UInt64(step), scale: 0.1)
      whole.advance(parameters: expected, gradient: gradient, rate: 0.01, step: step)
      for (optimizer, parameters, owned) in parts {
        let mine = gradient.copy()
        for element in Set(0..<101).subtracting(owned.joined()) { mine.pointer[element] = .nan }
        optimizer.advance(parameters: parameters, gradient: mine, rate: 0.01, step: step)
      }
    }
    for (optimizer, parameters, owned) in parts {
      let mine = Array(owned.joined())
      let others = Set(0..<101).subtracting(mine)
      #expect(mine.allSatisfy { parameters.values[$0] == expected.values[$0] })
      #expect(others.allSatisfy { parameters.values[$0] == start.values[$0] })
      #expect(optimizer.firstMoment.values == mine.map { whole.firstMoment.values[$0] })
      #expect(optimizer.secondMoment.values == mine.map { whole.secondMoment.values[$0] })
    }
  }

  @Test("reference numbers", .enabled(if: hasSharedFolder, "needs ../shared"))
  func fixture() throws {
    let fixture = try #require(try FixtureFile("ops"))
    let parameters = try fixture.tensor("adamw/parameter_0")
    let optimizer = AdamW(slices: [ParameterSlice(name: "p", range: 0..<parameters.count, decay: 0.01)])
    for step in 1...5 {
      optimizer.advance(
        parameters: parameters, gradient: try fixture.tensor("adamw/gradient_\(step)"), rate: 1e-3 * Double(step),
        step: step)
      #expect(try fixture.timesAllowed(parameters, "adamw/parameter_\(step)") <= 1)
    }
    #expect(try fixture.timesAllowed(optimizer.firstMoment, "adamw/first_moment_5") <= 1)
    #expect(try fixture.timesAllowed(optimizer.secondMoment, "adamw/second_moment_5") <= 1)
  }
}
