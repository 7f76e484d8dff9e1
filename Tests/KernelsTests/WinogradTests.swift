// 3×3 convolutions by every method against their naive Double twins and themselves, and the head's fused kernels against
// the chains of kernels they stand for.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  /// Some tests change the process's convolution method.
  @Suite(.serialized) struct WinogradTests {
    private static let geometry = ConvolutionGeometry(kernel: 3)

    private func with<Result>(_ method: ConvolutionMethod, _ body: () -> Result) -> Result {
      let before = ConvolutionMethod.current
      defer { ConvolutionMethod.current = before }
      ConvolutionMethod.current = method
      return body()
    }

    /// Output, input gradient and the slots of all samples.
    private func everything(_ x: Tensor, outputs: Int) -> [[Float]] {
      let weight = randomTensor([3, 3, x.channels, outputs], seed: 6)
      let y = convolution(x, weight: weight, bias: randomTensor([outputs], seed: 7), Self.geometry)
      let upstream = randomTensor([9, x.shape[1], x.shape[2], outputs], seed: 8).samples(0..<x.samples)
      let dx = convolutionInputGradient(
        upstream, weight: weight, height: x.shape[1], width: x.shape[2], Self.geometry)
      let slots = GradientSlots(zeros: weight.count, samples: x.samples)
      convolutionWeightGradient(x, upstream, into: slots, Self.geometry)
      return [y.values, dx.values, (0..<x.samples).flatMap { slots.values($0) }]
    }

    @Test(
      arguments: ConvolutionMethod.allCases, [(9, 13, 70, 66), (17, 8, 130, 67), (8, 10, 64, 290), (12, 9, 300, 64)])
    func agreesWithTwin(method: ConvolutionMethod, size: (Int, Int, Int, Int)) {
      let (height, width, inputs, outputs) = size
      let naive = NaiveConvolution(Self.geometry, height: height, width: width, inputs: inputs, outputs: outputs)
      let x = randomTensor([9, height, width, inputs], seed: 5).samples(0..<1)
      let weight = doubles(randomTensor([3, 3, inputs, outputs], seed: 6))
      let upstream = doubles(randomTensor([9, height, width, outputs], seed: 8).sample(0))
      let expected = [
        naive.forward(doubles(x), weight, bias: doubles(randomTensor([outputs], seed: 7))),
        naive.inputGradient(upstream, weight), naive.weightGradient(doubles(x), upstream),
      ]
      onEveryLevel {
        for (one, other) in zip(with(method) { everything(x, outputs: outputs) }, expected) {
          let error = relativeError(one, other)
          #expect(error < (method == .winograd4 || method == .winograd ? 1e-5 : 3e-6), "\(CPULevel.current)")
        }
      }
    }

    @Test func usualMethodKeepsDigitsWhereGradientsPass() {
      let x = randomTensor([1, 9, 13, 70], seed: 5)
      let weight = randomTensor([3, 3, 70, 66], seed: 6)
      func forward(_ method: ConvolutionMethod, _ role: ConvolutionRole) -> [Float] {
        with(method) { convolution(x, weight: weight, Self.geometry, role: role).values }
      }
      #expect(forward(.winograd, .activation) == forward(.winograd2, .activation))
      #expect(forward(.winograd, .prediction) == forward(.winograd4, .prediction))
      #expect(forward(.winograd, .activation) != forward(.winograd, .prediction))
      func gradients(_ method: ConvolutionMethod) -> [[Float]] {
        Array(with(method) { everything(x, outputs: 66) }.dropFirst())
      }
      #expect(gradients(.winograd) == gradients(.winograd4))
    }

    @Test(arguments: ConvolutionMethod.allCases) func bitsDoNotDependOnBatchOrThreads(method: ConvolutionMethod) {
      let x = randomTensor([9, 11, 18, 264], seed: 9)
      for part in 0..<3 {
        expectIndependentSamples { count in
          with(method) { everything(x.samples(0..<count), outputs: 68)[part] }
        }
      }
      expectSameBitsOnThreads { with(method) { everything(x.samples(0..<2), outputs: 68).flatMap { $0 } } }
    }

    @Test func separableConvolutionIsItsChain() {
      let x = randomTensor([2, 11, 14, 40], seed: 1)
      let depthwise = randomTensor([3, 3, 1, 40], seed: 2)
      let pointwise = randomTensor([40, 24], seed: 3)
      let (scale, shift) = (randomTensor([40], seed: 4), randomTensor([40], seed: 5))
      onEveryLevel {
        let wide = depthwiseConvolution(x, weight: depthwise, bias: nil, dilation: 6)
        let sums = separableSums(x, depthwise: depthwise, dilation: 6)
        #expect(relativeError(sums.map { Float($0) }, batchNormSums(wide)) < 1e-6)
        let mean = (0..<40).map { Float(sums[$0] / 154) }
        let deviation = [Float](repeating: 0.7, count: 40)
        let normalised = batchNormApply(
          wide, mean: mean, inverseDeviation: deviation, scale: scale, shift: shift, rectifier: .relu)
        let result = Tensor(zeros: [2, 11, 14, 30])
        separableConvolution(
          x, depthwise: depthwise, dilation: 6,
          norm: FixedNorm(mean: mean, inverseDeviation: deviation, scale: scale, shift: shift, rectifier: .relu),
          pointwise: pointwise, into: ChannelSlice(result, 4..<28))
        let slices = channelSlices(result, widths: [4, 24, 2])
        #expect(relativeError(slices[1], doubles(linear(normalised, weight: pointwise))) < 1e-6)
        #expect(slices[0].values.allSatisfy { $0 == 0 } && slices[2].values.allSatisfy { $0 == 0 })
      }
    }

    @Test func resizedLinearIsItsChain() {
      let levels = [
        randomTensor([2, 12, 16, 8], seed: 1), randomTensor([2, 6, 8, 5], seed: 2),
        randomTensor([2, 2, 2, 7], seed: 3),
      ]
      let weight = randomTensor([20, 9], seed: 4)
      onEveryLevel {
        let wide = concatenatedChannels(levels.map { bilinear($0, height: 12, width: 16) })
        let result = Tensor(uninitialized: [2, 12, 16, 9])
        resizedLinear(levels, weight: weight, into: ChannelSlice(result, 0..<9))
        #expect(relativeError(result, doubles(linear(wide, weight: weight))) < 2e-6)
        let upstream = randomTensor(result.shape, seed: 5)
        let slots = GradientSlots(zeros: 180, samples: 2)
        let parts = resizedLinearGradient(
          levels, weight: weight, gradient: ChannelSlice(upstream, 0..<9), into: slots)
        let chain = GradientSlots(zeros: 180, samples: 2)
        linearWeightGradient(wide, upstream, into: chain)
        let expected = channelSlices(linearInputGradient(upstream, weight: weight), widths: [8, 5, 7])
        for sample in 0..<2 {
          #expect(relativeError(slots.values(sample), chain.values(sample).map(Double.init)) < 3e-6)
        }
        for (index, part) in parts.enumerated() {
          let twin = bilinearGradient(expected[index], height: levels[index].shape[1], width: levels[index].shape[2])
          #expect(relativeError(part, doubles(twin)) < 3e-6)
        }
      }
    }
  }
}
