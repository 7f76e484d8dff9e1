// Shapes that do not belong together are refused. Each case has memory enough to go unnoticed otherwise.

import Kernels
import Tensors
import Testing

@Suite struct RefusalTests {
  @Test func weightGradientsOfAnotherMapAreRefused() async {
    await #expect(processExitsWith: .failure) {
      convolutionWeightGradient(
        Tensor(zeros: [1, 4, 6, 2]), Tensor(zeros: [1, 6, 4, 3]), into: GradientSlots(zeros: 54, samples: 1),
        ConvolutionGeometry(kernel: 3))
    }
  }

  @Test func weightGradientsOfOtherSamplesAreRefused() async {
    await #expect(processExitsWith: .failure) {
      convolutionWeightGradient(
        Tensor(zeros: [1, 4, 6, 2]), Tensor(zeros: [2, 4, 6, 3]), into: GradientSlots(zeros: 54, samples: 2),
        ConvolutionGeometry(kernel: 3))
    }
    await #expect(processExitsWith: .failure) {
      linearWeightGradient(
        Tensor(zeros: [1, 5, 2]), Tensor(zeros: [2, 5, 3]), into: GradientSlots(zeros: 6, samples: 2))
    }
  }

  @Test func linearMapsIntoOtherSamplesAreRefused() async {
    await #expect(processExitsWith: .failure) {
      let result = Tensor(zeros: [2, 5, 3])
      linear(Tensor(zeros: [1, 5, 2]), weight: Tensor(zeros: [2, 3]), into: ChannelSlice(result, 0..<3))
    }
  }

  /// Of direct sums and of Winograd's.
  @Test func biasesOfOtherChannelsAreRefused() async {
    await #expect(processExitsWith: .failure) {
      _ = convolution(
        Tensor(zeros: [1, 4, 6, 2]), weight: Tensor(zeros: [3, 3, 2, 5]), bias: Tensor(zeros: [6]),
        ConvolutionGeometry(kernel: 3))
    }
    await #expect(processExitsWith: .failure) {
      _ = convolution(
        Tensor(zeros: [1, 8, 8, 64]), weight: Tensor(zeros: [3, 3, 64, 64]), bias: Tensor(zeros: [65]),
        ConvolutionGeometry(kernel: 3))
    }
  }

  @Test func normsOfOtherChannelsAreRefused() async {
    await #expect(processExitsWith: .failure) {
      let norm = FixedNorm(
        mean: [0, 0], inverseDeviation: [1, 1], scale: Tensor(zeros: [2]), shift: Tensor(zeros: [2]), rectifier: .relu)
      let result = Tensor(zeros: [1, 4, 6, 3])
      separableConvolution(
        Tensor(zeros: [1, 4, 6, 4]), depthwise: Tensor(zeros: [3, 3, 1, 4]), dilation: 1, norm: norm,
        pointwise: Tensor(zeros: [4, 3]), into: ChannelSlice(result, 0..<3))
    }
  }
}
