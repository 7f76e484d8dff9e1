// Bilinear resizing against the naive twin, its adjoint, and nearest labels.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct ResizeTests {
    /// [N, h, w, C, H, W]
    static let cases = [
      [1, 1, 1, 1, 3, 5], [2, 6, 9, 3, 12, 18], [2, 5, 7, 3, 20, 26], [1, 12, 18, 4, 6, 9], [2, 19, 23, 3, 8, 10],
      [1, 16, 16, 19, 64, 64], [1, 4, 4, 256, 32, 32], [1, 33, 17, 40, 16, 8], [1, 7, 13, 31, 1, 1],
      [1, 64, 48, 3, 32, 24], [1, 5, 9, 2, 5, 18], [1, 100, 90, 1, 7, 9],
    ]

    @Test("forward and adjoint agree with the twin", arguments: cases, [false, true])
    func twin(_ c: [Int], _ alignCorners: Bool) {
      let x = randomTensor(Shape(Array(c[..<4])), seed: 5)
      let gradient = randomTensor([c[0], c[4], c[5], c[3]], seed: 6)
      let forward = naiveBilinear(doubles(x), c, height: c[4], width: c[5], alignCorners: alignCorners)
      let back = naiveBilinearGradient(
        doubles(gradient), gradient.shape.array, height: c[1], width: c[2], alignCorners: alignCorners)
      onEveryLevel {
        let y = bilinear(x, height: c[4], width: c[5], alignCorners: alignCorners)
        #expect(relativeError(y, forward) < 5e-6)
        let dx = bilinearGradient(gradient, height: c[1], width: c[2], alignCorners: alignCorners)
        #expect(relativeError(dx, back) < 5e-6)
        let left = innerProduct(doubles(y), doubles(gradient))
        let right = innerProduct(doubles(x), doubles(dx))
        let scale = innerProduct(doubles(y), doubles(y)) + innerProduct(doubles(gradient), doubles(gradient))
        #expect(abs(left - right) < 1e-6 * scale)
      }
    }

    @Test("half size is the mean of four, equal size the same tensor")
    func exact() {
      let x = Tensor([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 4, 1])
      #expect(bilinear(x, height: 1, width: 2).values == [3.5, 5.5])
      #expect(bilinear(x, height: 2, width: 4).pointer == x.pointer)
      #expect(bilinearGradient(x, height: 2, width: 4, alignCorners: true).pointer == x.pointer)
    }

    @Test("doubling has weights of a quarter and repeats the border")
    func doubling() {
      let x = Tensor([0, 4], [1, 1, 2, 1])
      #expect(bilinear(x, height: 1, width: 4).values == [0, 1, 3, 4])
      #expect(bilinear(x, height: 1, width: 5, alignCorners: true).values == [0, 1, 2, 3, 4])
    }

    @Test("bits depend on neither threads nor other samples", arguments: [cases[2], cases[4], cases[5]])
    func invariance(_ c: [Int]) {
      func forward(_ samples: Int) -> [Float] {
        bilinear(randomTensor([samples, c[1], c[2], c[3]], seed: 7), height: c[4], width: c[5]).values
      }
      func back(_ samples: Int) -> [Float] {
        bilinearGradient(randomTensor([samples, c[4], c[5], c[3]], seed: 8), height: c[1], width: c[2]).values
      }
      onEveryLevel {
        expectSameBitsOnThreads { forward(3) + back(3) }
        expectIndependentSamples(forward)
        expectIndependentSamples(back)
      }
    }

    @Test("nearest labels take the position at or below")
    func nearestLabels() {
      let labels = LabelMap(height: 2, width: 3, values: [0, 1, 2, 3, 4, 255])
      let larger = nearest(labels, height: 4, width: 5)
      #expect(larger.values == [0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 255, 3, 3, 4, 4, 255])
      #expect(nearest(labels, height: 1, width: 1).values == [0])
      #expect(nearest(LabelMap(stacking: [labels, labels]), height: 1, width: 3).values == [0, 1, 2, 0, 1, 2])
    }
  }
}
