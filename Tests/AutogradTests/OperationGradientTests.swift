// Every operation against central differences of itself, in small random cases of 2 samples.

import Autograd
import Kernels
import Tensors
import TestSupport
import Testing

@Suite struct OperationGradientTests {
  private static let map = randomTensor([2, 6, 5, 8], seed: 1)
  private static let tokens = randomTensor([2, 30, 8], seed: 2)

  private static func parameter(_ shape: [Int], _ seed: UInt64, offset: Double = 0) -> Parameter {
    randomParameter(shape, samples: 2, seed: seed, offset: offset)
  }

  @Test func linearMap() throws {
    let (weight, bias) = (OperationGradientTests.parameter([7, 8], 10), OperationGradientTests.parameter([7], 11))
    try expectGradients(
      GradientCheck([OperationGradientTests.tokens], [weight, bias]) { x, context in
        linear(x[0], weight, bias, context)
      })
  }

  @Test func linearMapWithoutBias() throws {
    let weight = OperationGradientTests.parameter([3, 8], 10)
    try expectGradients(
      GradientCheck([OperationGradientTests.map], [weight]) { x, context in linear(x[0], weight, nil, context) })
  }

  @Test(arguments: [
    ConvolutionGeometry(kernel: 3), ConvolutionGeometry(kernel: 1), ConvolutionGeometry(kernel: 3, stride: 2),
    ConvolutionGeometry(kernel: 2, stride: 2, padding: 0), ConvolutionGeometry(kernel: 3, dilation: 2),
    ConvolutionGeometry(kernel: 7, stride: 4),
  ])
  func denseConvolution(geometry: ConvolutionGeometry) throws {
    let weight = OperationGradientTests.parameter([5, 8, geometry.kernel, geometry.kernel], 12)
    let bias = OperationGradientTests.parameter([5], 13)
    try expectGradients(
      GradientCheck([randomTensor([2, 8, 7, 8], seed: 3)], [weight, bias]) { x, context in
        convolution(x[0], weight, bias, geometry, context)
      })
  }

  @Test(arguments: [1, 2, 6]) func depthwise(dilation: Int) throws {
    let weight = OperationGradientTests.parameter([8, 1, 3, 3], 14)
    let bias = OperationGradientTests.parameter([8], 15)
    try expectGradients(
      GradientCheck([randomTensor([2, 9, 7, 8], seed: 4)], [weight, bias]) { x, context in
        depthwiseConvolution(x[0], weight, bias, dilation: dilation, context)
      })
  }

  @Test(arguments: [1e-6, 1e-5, 0.1] as [Float]) func layerNormalisation(epsilon: Float) throws {
    let scale = OperationGradientTests.parameter([8], 16, offset: 1)
    let shift = OperationGradientTests.parameter([8], 17)
    try expectGradients(
      GradientCheck([OperationGradientTests.map], [scale, shift]) { x, context in
        layerNorm(x[0], scale: scale, shift: shift, epsilon: epsilon, context)
      })
  }

  @Test(arguments: Rectifier.allCases, [NormalizationMode.batch, .running])
  func batchNormalisation(rectifier: Rectifier, mode: NormalizationMode) throws {
    // Values near 1 and -1, so that none crosses a kink at 0 or 6 within a step.
    let spread = randomTensor([2, 6, 5, 8], seed: 5, scale: 0.2, offset: 1).values
    let input = Tensor(spread.enumerated().map { $0 * 29 % 7 < 4 ? $1 : -$1 }, [2, 6, 5, 8])
    let scale = randomParameter([8], samples: 2, seed: 18, scale: 0.2, offset: 1.5)
    let shift = randomParameter(
      [8], samples: 2, seed: 19, scale: 0.1, offset: rectifier == .relu6 ? 6 : 0)
    let state = BatchNormState(scale: scale, shift: shift)
    state.bind(
      runningMean: randomTensor([8], seed: 20, scale: 0.1), runningVariance: Tensor((1...8).map { Float($0) / 4 }, [8]))
    try expectGradients(
      GradientCheck([input], [scale, shift], context: soloContext(2, mode)) { x, context in
        try batchNorm(x[0], state, rectifier: rectifier, context)
      })
  }

  @Test(arguments: [
    PaddedWindow.same(kernel: 5, stride: 2, height: 6, width: 5), PaddedWindow(kernel: 3, stride: 2, padding: 1),
    PaddedWindow(kernel: 3, stride: 1, padding: 1),
  ]) func stridedDepthwiseConvolution(window: PaddedWindow) throws {
    let weight = OperationGradientTests.parameter([8, 1, window.kernel, window.kernel], 21)
    try expectGradients(
      GradientCheck([OperationGradientTests.map], [weight]) { x, context in
        depthwiseConvolution(x[0], weight, window, context)
      })
  }

  @Test func piecewiseLinearOperations() throws {
    // Values in steps of a half in mixed order: none is near 0 or near its neighbours.
    let values = (0..<480).map { Float($0 * 97 % 480) / 2 - 120.25 }
    let check = [Tensor(values, [2, 6, 5, 8])]
    try expectGradients(GradientCheck(check) { relu($0[0], $1) })
    try expectGradients(
      GradientCheck(check) { maxPooling($0[0], PaddedWindow(kernel: 3, stride: 2, padding: 1), $1) })
  }

  @Test(arguments: [1, 2, 4]) func attentionOfHeads(heads: Int) throws {
    let keysValues = randomTensor([2, 6, 16], seed: 6)
    try expectGradients(
      GradientCheck([OperationGradientTests.tokens, keysValues]) { x, context in
        attention(queries: x[0], keysValues: x[1], heads: heads, context)
      })
  }

  @Test func activations() throws {
    try expectGradients(GradientCheck([OperationGradientTests.map]) { gelu($0[0], $1) })
    try expectGradients(GradientCheck([OperationGradientTests.map]) { sigmoid($0[0], $1) })
  }

  @Test(arguments: [(12, 10), (3, 2), (11, 4), (6, 9), (1, 1)]) func resizing(height: Int, width: Int) throws {
    try expectGradients(
      GradientCheck([OperationGradientTests.map]) { x, context in
        bilinear(x[0], height: height, width: width, context)
      })
  }

  @Test func resizingToTheSameSizeRecordsNothing() {
    let tape = Tape()
    let x = Variable(tracked: OperationGradientTests.map)
    let same = bilinear(x, height: 6, width: 5, soloContext(2, tape: tape))
    #expect(same.cell === x.cell && tape.recorded == 0)
  }

  @Test func sums() throws {
    let other = randomTensor([2, 6, 5, 8], seed: 7)
    try expectGradients(GradientCheck([OperationGradientTests.map, other]) { add($0[0], $0[1], $1) })
  }

  @Test func concatenation() throws {
    let parts = [3, 1, 8].enumerated().map { randomTensor([2, 6, 5, $1], seed: 30 + UInt64($0)) }
    try expectGradients(GradientCheck(parts) { concatenated($0, $1) })
  }

  @Test func pastingAndMasking() throws {
    let box = Box(top: 1, bottom: 7, left: 3, right: 8)
    try expectGradients(
      GradientCheck([OperationGradientTests.map]) { x, context in
        padded(x[0], into: box, height: 9, width: 11, context)
      })
    let inside = Box(top: 1, bottom: 4, left: 0, right: 3)
    try expectGradients(GradientCheck([OperationGradientTests.map]) { maskOutside($0[0], [inside], $1) })
    // A box for each sample.
    let boxes = [box, Box(top: 3, bottom: 9, left: 6, right: 11)]
    try expectGradients(
      GradientCheck([OperationGradientTests.map]) { x, context in
        padded(x[0], into: boxes, height: 9, width: 11, context)
      })
    try expectGradients(
      GradientCheck([OperationGradientTests.map]) {
        cropped($0[0], to: [inside, Box(top: 2, bottom: 5, left: 1, right: 4)], $1)
      })
  }

  @Test func gatedFusion() throws {
    let parts = (0..<3).map { randomTensor([2, 6, 5, 8], seed: 40 + UInt64($0)) }
    try expectGradients(
      GradientCheck(Array(parts[..<2])) { x, context in gatedContext(gate: x[0], logits: x[1], context) })
    try expectGradients(
      GradientCheck(parts) { x, context in fuse(gate: x[0], detail: x[1], damped: x[2], context) })
  }

  @Test func residualSumWithAndWithoutDropPath() throws {
    let branch = randomTensor([2, 6, 5, 8], seed: 8)
    try expectGradients(
      GradientCheck([OperationGradientTests.map, branch]) { x, context in
        residual(x[0], x[1], dropRate: 0.5, layer: "block", context)
      })
    // Of eight samples some are dropped and some are kept, in the first draw that has both.
    let inputs = [randomTensor([8, 3, 2, 4], seed: 50), randomTensor([8, 3, 2, 4], seed: 51)]
    var context = soloContext(8)
    context.draws = StochasticDraws(seed: 1, step: 0, pass: "source")
    let kept = residual(
      Variable(constant: Tensor(zeros: [8, 1])), Variable(constant: Tensor(repeating: 1, [8, 1])), dropRate: 0.5,
      layer: "block", context
    ).value.values
    try #require(Set(kept) == [0, 2])
    try expectGradients(
      GradientCheck(inputs, context: context) { x, context in
        residual(x[0], x[1], dropRate: 0.5, layer: "block", context)
      })
  }

  @Test func dropoutOfChannels() throws {
    var context = soloContext(2)
    context.draws = StochasticDraws(seed: 1, step: 0, pass: "source")
    try expectGradients(
      GradientCheck([OperationGradientTests.map], context: context) { x, context in
        channelDropout(x[0], rate: 0.3, layer: "head", context)
      })
  }

  @Test func reshapedVariablesShareACell() throws {
    let weight = OperationGradientTests.parameter([4, 8], 21)
    try expectGradients(
      GradientCheck([OperationGradientTests.map], [weight]) { x, context in
        let tokens = x[0].reshaped([2, 30, 8])
        let y = linear(tokens, weight, nil, context).reshaped([2, 6, 5, 4])
        return concatenated([gelu(y, context), linear(x[0], weight, nil, context)], context)
      })
  }
}
