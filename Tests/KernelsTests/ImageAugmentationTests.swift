// Normalisation, colour jitter, blur, mixing and block masks.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

private func randomBytes(_ count: Int, seed: UInt64, below bound: Int = 256) -> [UInt8] {
  var stream = RandomStream(seed: seed, step: 0, sample: nil, purpose: Purpose("bytes"))
  return (0..<count).map { _ in UInt8(stream.nextIndex(below: bound)) }
}

extension KernelTests {
  @Suite struct ImageAugmentationTests {
    static let jitters = [
      ColourJitter(brightness: 1.13, contrast: 0.9, saturation: 1.18, hue: 0.17, order: [3, 0, 2, 1]),
      ColourJitter(brightness: 0.82, contrast: 1.2, saturation: 0.85, hue: -0.19, order: [0, 1, 2, 3]),
      ColourJitter(brightness: 1.2, contrast: 1.1, saturation: 1.2, hue: 0.05, order: [2, 3, 1, 0]),
      ColourJitter(brightness: 1, contrast: 1, saturation: 1, hue: 0.9, order: [3]),
      ColourJitter(brightness: 0.9, contrast: 1, saturation: 0, hue: 0, order: [2, 0]),
    ]

    @Test("normalising and back gives the bytes")
    func normalising() {
      let bytes = randomBytes(3 * 5 * 7 * 2, seed: 1)
      onEveryLevel {
        let image = normalised(bytes, samples: 2, height: 5, width: 7)
        let expected = bytes.enumerated().map {
          (Double($1) - Double(pixelMean[$0 % 3])) / Double(pixelDeviation[$0 % 3])
        }
        #expect(image.shape == [2, 5, 7, 3])
        #expect(relativeError(image, expected) < 1e-6)
        #expect(denormalised(image) == bytes)
        #expect(denormalised(Tensor([9, -9, 0], [1, 1, 1, 3])) == [255, 0, 104])
      }
    }

    @Test("jitter agrees with the twin, each operation alone and in order", arguments: 0..<9)
    func jitter(_ number: Int) {
      let jitter =
        number < 5
        ? Self.jitters[number]
        : ColourJitter(brightness: 1.15, contrast: 0.87, saturation: 1.19, hue: 0.13, order: [number - 5])
      var bytes = randomBytes(3 * 17 * 33, seed: 2)
      bytes.replaceSubrange(0..<9, with: [128, 128, 128, 0, 0, 0, 255, 255, 255])
      bytes.replaceSubrange(9..<18, with: [200, 200, 10, 10, 200, 200, 200, 10, 200])
      let factors = [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue].map(Double.init)
      let expected = (0..<bytes.count / 3).flatMap { pixel -> [Double] in
        let rgb = (0..<3).map { Double(bytes[3 * pixel + $0]) / 255 }
        return naiveJitter(rgb, factors: factors, order: jitter.order).enumerated().map {
          ($1 * 255 - Double(pixelMean[$0])) / Double(pixelDeviation[$0])
        }
      }
      let image = normalised(bytes, samples: 1, height: 17, width: 33)
      onEveryLevel { #expect(relativeError(colourJitter(image, [jitter]), expected) < 3e-6) }
    }

    @Test(
      "blur agrees with the twin", arguments: [[48, 66], [11, 100], [70, 37], [5, 130]], [0.15, 0.6, 1.15] as [Float])
    func blur(_ size: [Int], _ sigma: Float) {
      let image = randomTensor([1, size[0], size[1], 3], seed: 3)
      let expected = naiveBlur(doubles(image), height: size[0], width: size[1], channels: 3, sigma: Double(sigma))
      onEveryLevel { #expect(relativeError(gaussianBlur(image, sigmas: [sigma]), expected) < 2e-6) }
    }

    @Test("a blur wider than every image is as wide as the window", arguments: [1e19, Float.greatestFiniteMagnitude])
    func wideBlur(_ sigma: Float) {
      let image = randomTensor([1, 16, 40, 3], seed: 3)
      #expect(gaussianBlur(image, sigmas: [sigma]).values == gaussianBlur(image, sigmas: [1e9]).values)
    }

    @Test("blur windows are odd and about a tenth of the side")
    func blurWindows() {
      let sides = [32, 64, 72, 100, 128, 256, 500, 512, 768, 1024]
      #expect(sides.map { blurWindow(side: $0) } == [3, 7, 7, 9, 13, 25, 49, 51, 77, 103])
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func jittered(_ samples: Int) -> [Float] {
        let image = randomTensor([samples, 40, 53, 3], seed: 4)
        return colourJitter(image, (0..<samples).map { Self.jitters[$0 % 5] }).values
      }
      func blurred(_ samples: Int) -> [Float] {
        gaussianBlur(randomTensor([samples, 90, 253, 3], seed: 5), sigmas: (0..<samples).map { 0.3 + 0.1 * Float($0) })
          .values
      }
      onEveryLevel {
        expectSameBitsOnThreads { jittered(2) + blurred(2) }
        expectIndependentSamples(jittered)
        expectIndependentSamples(blurred)
      }
    }
  }

  @Suite struct ImageMixingTests {
    @Test("the class mask marks the chosen classes of each sample, 255 too")
    func classes() {
      let labels = LabelMap(samples: 2, height: 1, width: 4, values: [0, 1, 2, 255, 0, 1, 2, 3])
      #expect(classMask(labels, chosen: [[0, 2, 255], [1, 3]]) == [1, 0, 1, 1, 0, 1, 0, 1])
      #expect(classMask(labels, chosen: [[], [7]]) == [UInt8](repeating: 0, count: 8))
    }

    @Test("images, labels and weights mix where the mask says", arguments: [1, 3, 4])
    func mixing(_ channels: Int) {
      let mask = randomBytes(2 * 19 * 23, seed: 6, below: 2)
      let source = randomTensor([2, 19, 23, channels], seed: 7)
      let target = randomTensor([2, 19, 23, channels], seed: 8)
      let (from, to) = (source.values, target.values)
      onEveryLevel {
        #expect(
          mix(source, target, mask: mask).values
            == from.indices.map { mask[$0 / channels] == 1 ? from[$0] : to[$0] })
      }
      let labels = LabelMap(samples: 2, height: 19, width: 23, values: randomBytes(mask.count, seed: 9))
      let pseudo = LabelMap(samples: 2, height: 19, width: 23, values: randomBytes(mask.count, seed: 10))
      #expect(
        mix(labels, pseudo, mask: mask).values
          == mask.indices.map { mask[$0] == 1 ? labels.values[$0] : pseudo.values[$0] })
      let weights = randomTensor([2, 19, 23], seed: 11)
      #expect(mix(weights: weights, mask: mask).values == mask.indices.map { mask[$0] == 1 ? 1 : weights.values[$0] })
    }

    @Test("sizes that do not divide take the block at or below")
    func uneven() {
      let mask = blockMask(Tensor([0.9, 0.1, 0.9], [1, 1, 3]), height: 1, width: 7, ratio: 0.5)
      #expect(mask.values == [1, 1, 1, 0, 0, 1, 1])
    }
  }
}
