// Depthwise convolution against the naive twin, on maps smaller and larger than the dilation.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct DepthwiseConvolutionTests {
    /// [N, H, W, C, kernel, dilation]
    static let cases = [
      [1, 1, 1, 1, 3, 1], [2, 5, 7, 3, 3, 1], [1, 13, 18, 24, 3, 1], [2, 9, 31, 37, 3, 1], [1, 16, 16, 64, 3, 1],
      [2, 4, 5, 17, 3, 6], [1, 20, 28, 8, 3, 6], [1, 21, 13, 19, 3, 12], [1, 20, 28, 33, 3, 18], [1, 40, 41, 5, 3, 18],
      [1, 32, 32, 16, 3, 18], [2, 7, 9, 11, 5, 1], [1, 11, 8, 16, 7, 2], [1, 6, 3, 5, 1, 1],
    ]

    struct Problem {
      let x: Tensor
      let weight: Tensor
      let bias: Tensor
      let gradient: Tensor
      let twin: NaiveDepthwiseConvolution
      let kernel: Int
      let dilation: Int

      init(_ c: [Int], samples: Int? = nil) {
        let extents = [samples ?? c[0]] + c[1..<4]
        x = randomTensor(Shape(extents), seed: 1)
        weight = randomTensor([c[4], c[4], 1, c[3]], seed: 2)
        bias = randomTensor([c[3]], seed: 3)
        gradient = randomTensor(Shape(extents), seed: 4)
        twin = NaiveDepthwiseConvolution(extents, kernel: c[4], dilation: c[5])
        (kernel, dilation) = (c[4], c[5])
      }

      func slots() -> (GradientSlots, GradientSlots) {
        let weightSlots = GradientSlots(zeros: weight.count, samples: x.samples)
        let biasSlots = GradientSlots(zeros: bias.count, samples: x.samples)
        depthwiseConvolutionWeightGradient(
          x, gradient: gradient, kernel: kernel, dilation: dilation, weightSlots: weightSlots, biasSlots: biasSlots)
        return (weightSlots, biasSlots)
      }
    }

    @Test("forward and gradients agree with the twin", arguments: cases)
    func twin(_ c: [Int]) {
      let p = Problem(c)
      let forward = p.twin.forward(doubles(p.x), weight: doubles(p.weight), bias: doubles(p.bias))
      let plain = p.twin.forward(doubles(p.x), weight: doubles(p.weight), bias: nil)
      let input = p.twin.inputGradient(doubles(p.gradient), weight: doubles(p.weight))
      let weights = p.twin.weightGradients(doubles(p.x), gradient: doubles(p.gradient))
      let biases = p.twin.biasGradients(doubles(p.gradient))
      onEveryLevel {
        let y = depthwiseConvolution(p.x, weight: p.weight, bias: p.bias, dilation: p.dilation)
        #expect(relativeError(y, forward) < 1e-6)
        #expect(
          relativeError(depthwiseConvolution(p.x, weight: p.weight, bias: nil, dilation: p.dilation), plain) < 1e-6)
        let dx = depthwiseConvolutionInputGradient(p.gradient, weight: p.weight, dilation: p.dilation)
        #expect(relativeError(dx, input) < 1e-6)
        let (weightSlots, biasSlots) = p.slots()
        for sample in 0..<p.x.samples {
          #expect(relativeError(weightSlots.values(sample), weights[sample]) < 3e-6)
          #expect(relativeError(biasSlots.values(sample), biases[sample]) < 3e-6)
        }
      }
    }

    @Test("the input gradient is the adjoint", arguments: cases)
    func adjoint(_ c: [Int]) {
      let p = Problem(c)
      let y = depthwiseConvolution(p.x, weight: p.weight, bias: nil, dilation: p.dilation)
      let dx = depthwiseConvolutionInputGradient(p.gradient, weight: p.weight, dilation: p.dilation)
      let scale = (innerProduct(doubles(y), doubles(y)) * innerProduct(doubles(p.gradient), doubles(p.gradient)))
        .squareRoot()
      let difference = innerProduct(doubles(y), doubles(p.gradient)) - innerProduct(doubles(p.x), doubles(dx))
      #expect(abs(difference) < 1e-6 * scale)
    }

    @Test("gradients are added to what the slots hold")
    func accumulates() {
      let p = Problem(Self.cases[3])
      let (once, _) = p.slots()
      let twice = GradientSlots(zeros: p.weight.count, samples: p.x.samples)
      for _ in 0..<2 {
        depthwiseConvolutionWeightGradient(
          p.x, gradient: p.gradient, kernel: p.kernel, dilation: p.dilation, weightSlots: twice, biasSlots: nil)
      }
      #expect(twice.values(1) == once.values(1).map { 2 * $0 })
    }

    @Test("bits depend on neither threads nor other samples", arguments: [cases[3], cases[8], cases[11]])
    func invariance(_ c: [Int]) {
      func everything(_ samples: Int) -> [[Float]] {
        let p = Problem(c, samples: samples)
        let (weightSlots, biasSlots) = p.slots()
        return [
          depthwiseConvolution(p.x, weight: p.weight, bias: p.bias, dilation: p.dilation).values,
          depthwiseConvolutionInputGradient(p.gradient, weight: p.weight, dilation: p.dilation).values,
          weightSlots.arenas.values, biasSlots.arenas.values,
        ]
      }
      onEveryLevel {
        expectSameBitsOnThreads { everything(3).flatMap { $0 } }
        for part in 0..<4 { expectIndependentSamples { everything($0)[part] } }
      }
    }
  }
}
