// Operations that losses on probabilities, vectors and chosen pixels need, against central differences of themselves.

import Autograd
import Kernels
import Tensors
import TestSupport
import Testing

@Suite struct RowGradientTests {
  private static let map = randomTensor([2, 6, 5, 8], seed: 1)

  @Test func activations() throws {
    // None is near the kink at zero.
    let away = Tensor(Self.map.values.map { $0 < 0 ? $0 - 0.2 : $0 + 0.2 }, Self.map.shape)
    try expectGradients(GradientCheck([away]) { leakyRelu($0[0], $1) })
    try expectGradients(GradientCheck([away]) { leakyRelu($0[0], slope: 0.01, $1) })
    try expectGradients(GradientCheck([Self.map]) { tanh($0[0], $1) })
  }

  @Test func products() throws {
    let other = randomTensor([2, 6, 5, 8], seed: 2)
    try expectGradients(GradientCheck([Self.map, other]) { multiply($0[0], $0[1], $1) })
    try expectGradients(GradientCheck([Self.map]) { multiply($0[0], $0[0], $1) })
    try expectGradients(GradientCheck([Self.map]) { multiply(Variable(constant: other), $0[0], $1) })
    try expectGradients(GradientCheck([Self.map]) { scaled($0[0], by: -0.3, $1) })
    try expectGradients(GradientCheck([Self.map]) { affine($0[0], factor: -0.3, offset: 2, $1) })
    let value = affine(Variable(constant: other), factor: 3, offset: 0.5, soloContext(2)).value
    let expected = doubles(other).map { 3 * $0 + 0.5 }
    #expect(relativeError(value, expected) < 1e-6)
  }

  @Test func probabilitiesAndTheirInformation() throws {
    try expectGradients(GradientCheck([Self.map]) { softmax($0[0], $1) })
    try expectGradients(GradientCheck([Self.map]) { selfInformation(softmax($0[0], $1), $1) })
  }

  @Test func vectors() throws {
    try expectGradients(GradientCheck([Self.map]) { unitLength($0[0], $1) })
    // A vector without a direction is no obstacle for the others.
    let holed = Tensor([Float](repeating: 0, count: 8) + Self.map.values[8...], Self.map.shape)
    let tape = Tape()
    let x = Variable(tracked: holed)
    unitLength(x, soloContext(2, tape: tape)).cell?.accumulate(randomTensor(holed.shape, seed: 3))
    tape.walkBack()
    let gradient = try #require(x.gradient).values
    #expect(gradient[..<8].allSatisfy { $0 == 0 } && gradient[8...].allSatisfy { $0.isFinite && $0 != 0 })
  }

  @Test func directionsOfTwoMaps() throws {
    let other = randomTensor([2, 6, 5, 8], seed: 2)
    try expectGradients(GradientCheck([Self.map, other]) { cosineDistance($0[0], $0[1], $1) })
    try expectGradients(GradientCheck([Self.map]) { cosineDistance($0[0], Variable(constant: other), $1) })
    let rows = [Self.map, other].map { map in
      (0..<60).map { Array(doubles(map)[$0 * 8..<($0 + 1) * 8]) }
    }
    let twin = zip(rows[0], rows[1]).map {
      1 - innerProduct($0, $1) / (innerProduct($0, $0) * innerProduct($1, $1)).squareRoot()
    }
    let value = cosineDistance(Variable(constant: Self.map), Variable(constant: other), soloContext(2)).value
    #expect(value.shape == [2, 6, 5, 1] && relativeError(value, twin) < 1e-6)
    // A row without a direction is as far from all as a right angle, and no obstacle for the others.
    let holed = Tensor([Float](repeating: 0, count: 8) + Self.map.values[8...], Self.map.shape)
    let tape = Tape()
    let (x, y) = (Variable(tracked: holed), Variable(tracked: other))
    let apart = cosineDistance(x, y, soloContext(2, tape: tape))
    #expect(apart.value.values[0] == 1)
    apart.cell?.accumulate(Tensor(repeating: 1, apart.value.shape))
    tape.walkBack()
    for gradient in [x.gradient, y.gradient] {
      let values = try #require(gradient).values
      #expect(values[..<8].allSatisfy { $0 == 0 } && values[8...].allSatisfy { $0.isFinite && $0 != 0 })
    }
  }

  @Test func chosenPixelsAndChannels() throws {
    let positions: [Int32] = [3, 29, 3, 0, 7, 8]
    try expectGradients(GradientCheck([Self.map]) { gathered($0[0], at: positions, perSample: 3, $1) })
    try expectGradients(GradientCheck([Self.map]) { channels($0[0], 2..<5, $1) })
  }

  @Test(arguments: [(12, 10), (3, 2), (11, 4), (6, 9), (1, 1), (1, 7)])
  func resizingWithAlignedCorners(height: Int, width: Int) throws {
    try expectGradients(
      GradientCheck([Self.map]) { bilinear($0[0], height: height, width: width, alignCorners: true, $1) })
    let x = Variable(constant: Self.map)
    let (aligned, centred) = (true, false)
    let values = [aligned, centred].map {
      bilinear(x, height: height, width: width, alignCorners: $0, soloContext(2)).value
    }
    let twin = naiveBilinear(doubles(Self.map), [2, 6, 5, 8], height: height, width: width, alignCorners: true)
    #expect(relativeError(values[0], twin) < 5e-6 && values[0].values != values[1].values)
  }

  @Test func dropoutOfElements() throws {
    var context = soloContext(2)
    context.draws = StochasticDraws(seed: 1, step: 0, pass: "source")
    try expectGradients(
      GradientCheck([Self.map], context: context) { elementDropout($0[0], rate: 0.3, layer: "head", $1) })
  }

  @Test func convolutionsWithEvenKernels() throws {
    let weight = randomParameter([5, 8, 4, 4], samples: 2, seed: 12)
    let bias = randomParameter([5], samples: 2, seed: 13)
    let geometry = ConvolutionGeometry(kernel: 4, stride: 2, padding: 1)
    for size in [[2, 6, 5, 8], [2, 7, 8, 8]] as [Shape] {
      weight.bind(weight.value, slots: GradientSlots(zeros: weight.count, samples: 2))
      bias.bind(bias.value, slots: GradientSlots(zeros: bias.count, samples: 2))
      try expectGradients(
        GradientCheck([randomTensor(size, seed: 4)], [weight, bias]) { convolution($0[0], weight, bias, geometry, $1) })
    }
  }
}
