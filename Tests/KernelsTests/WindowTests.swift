// Strided depthwise convolution and max pooling against the naive twin, with padding of every kind.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct WindowTests {
    /// [N, H, W, C, kernel, stride, padding], padding -1 being TensorFlow's.
    static let cases = [
      [2, 8, 8, 16, 3, 2, -1], [1, 9, 7, 5, 3, 2, -1], [2, 12, 11, 24, 5, 2, -1], [1, 13, 18, 33, 5, 2, -1],
      [2, 7, 7, 48, 5, 1, -1], [1, 2, 3, 4, 5, 1, -1], [1, 1, 1, 3, 5, 2, -1], [2, 9, 14, 17, 3, 1, -1],
      [1, 16, 15, 8, 3, 2, 1], [1, 11, 10, 6, 7, 3, 2], [1, 10, 12, 3, 2, 3, 0], [1, 9, 9, 2, 1, 2, 0],
      [1, 8, 21, 7, 4, 1, 3], [1, 40, 37, 40, 5, 1, 2],
    ]

    struct Problem {
      let x: Tensor
      let weight: Tensor
      let gradient: Tensor
      let window: PaddedWindow
      let twin: NaiveWindow

      init(_ c: [Int], samples: Int? = nil) {
        let extents = [samples ?? c[0]] + c[1..<4]
        window =
          c[6] < 0
          ? .same(kernel: c[4], stride: c[5], height: c[1], width: c[2])
          : PaddedWindow(kernel: c[4], stride: c[5], padding: c[6])
        twin = NaiveWindow(extents, window)
        x = randomTensor(Shape(extents), seed: 1)
        weight = randomTensor([c[4], c[4], 1, c[3]], seed: 2)
        gradient = randomTensor(Shape(twin.outputExtents), seed: 3)
      }

      func weightSlots() -> GradientSlots {
        let slots = GradientSlots(zeros: weight.count, samples: x.samples)
        depthwiseConvolutionWeightGradient(x, gradient: gradient, window, into: slots)
        return slots
      }

      func inputGradient() -> Tensor {
        depthwiseConvolutionInputGradient(gradient, weight: weight, height: x.shape[1], width: x.shape[2], window)
      }
    }

    @Test("TensorFlow's padding puts the odd zero at the bottom and right")
    func samePadding() {
      let even = PaddedWindow.same(kernel: 3, stride: 2, height: 224, width: 225)
      #expect([even.top, even.bottom, even.left, even.right] == [0, 1, 1, 1])
      #expect([even.outputHeight(224), even.outputWidth(225)] == [112, 113])
      let wide = PaddedWindow.same(kernel: 5, stride: 2, height: 56, width: 57)
      #expect([wide.top, wide.bottom, wide.left, wide.right] == [1, 2, 2, 2])
      #expect([wide.outputHeight(56), wide.outputWidth(57)] == [28, 29])
      let single = PaddedWindow.same(kernel: 1, stride: 2, height: 7, width: 8)
      #expect([single.top, single.bottom, single.left, single.right] == [0, 0, 0, 0])
    }

    @Test("strided depthwise convolution and its gradients agree with the twin", arguments: cases)
    func convolution(_ c: [Int]) {
      let p = Problem(c)
      let forward = p.twin.convolution(doubles(p.x), doubles(p.weight))
      let input = p.twin.inputGradient(doubles(p.gradient), doubles(p.weight))
      let weights = p.twin.weightGradients(doubles(p.x), doubles(p.gradient))
      onEveryLevel {
        #expect(relativeError(depthwiseConvolution(p.x, weight: p.weight, p.window), forward) < 1e-6)
        #expect(relativeError(p.inputGradient(), input) < 1e-6)
        let slots = p.weightSlots()
        for sample in 0..<p.x.samples { #expect(relativeError(slots.values(sample), weights[sample]) < 3e-6) }
      }
    }

    @Test("the twin's gradients are adjoint", arguments: cases)
    func adjoint(_ c: [Int]) {
      let p = Problem(c)
      let (x, weight, gradient) = (doubles(p.x), doubles(p.weight), doubles(p.gradient))
      let product = innerProduct(p.twin.convolution(x, weight), gradient)
      let byInput = innerProduct(x, p.twin.inputGradient(gradient, weight))
      let byWeight = p.twin.weightGradients(x, gradient).reduce(0) { $0 + innerProduct($1, weight) }
      #expect(abs(product - byInput) < 1e-9 * abs(product) + 1e-9)
      #expect(abs(product - byWeight) < 1e-9 * abs(product) + 1e-9)
    }

    @Test("max pooling and its gradient agree with the twin", arguments: cases.filter { $0[6] < $0[4] })
    func pooling(_ c: [Int]) {
      let p = Problem(c)
      // Few different values, so that windows often have several largest ones.
      let x = Tensor(p.x.values.map { ($0 * 2).rounded() / 2 }, p.x.shape)
      let (values, taps, _) = p.twin.maximum(doubles(x))
      let gradient = p.twin.maximumGradient(doubles(p.gradient), doubles(x))
      onEveryLevel {
        let pooled = maxPooling(x, p.window)
        #expect(doubles(pooled.output) == values)
        #expect(pooled.taps.values.map { Int($0) } == taps)
        let dx = maxPoolingGradient(
          p.gradient, taps: pooled.taps, height: x.shape[1], width: x.shape[2], p.window)
        #expect(relativeError(dx, gradient) < 1e-6)
      }
    }

    @Test("the first of equal values takes the gradient, and the last not-a-number is the largest")
    func ties() {
      let window = PaddedWindow(kernel: 3, stride: 2, padding: 1)
      let (output, taps) = maxPooling(Tensor(repeating: -3, [1, 4, 4, 1]), window)
      #expect(output.values == [-3, -3, -3, -3])
      #expect(taps.values == [4, 3, 1, 0])
      let dx = maxPoolingGradient(Tensor([1, 2, 4, 8], [1, 2, 2, 1]), taps: taps, height: 4, width: 4, window)
      #expect(dx.values == [1, 2, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      let broken = maxPooling(Tensor([1, .nan, 3, 2], [1, 2, 2, 1]), window)
      #expect(broken.output.values[0].isNaN && broken.taps.values == [5])
      #expect(maxPooling(Tensor([1, .nan, .nan, 2], [1, 2, 2, 1]), window).taps.values == [7])
    }

    @Test("bits depend on neither threads nor other samples", arguments: [cases[2], cases[3], cases[4], cases[13]])
    func invariance(_ c: [Int]) {
      func everything(_ samples: Int) -> [[Float]] {
        let p = Problem(c, samples: samples)
        let pooled = maxPooling(p.x, p.window)
        return [
          depthwiseConvolution(p.x, weight: p.weight, p.window).values, p.inputGradient().values,
          p.weightSlots().arenas.values, pooled.output.values,
          maxPoolingGradient(p.gradient, taps: pooled.taps, height: c[1], width: c[2], p.window).values,
        ]
      }
      onEveryLevel {
        expectSameBitsOnThreads { everything(3).flatMap { $0 } }
        for part in 0..<5 { expectIndependentSamples { everything($0)[part] } }
      }
    }
  }
}
