// Noise on images, and entropies: naive twins in Double, and streams of samples.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

@Suite struct NoiseTests {
  @Test func noiseIsLimitedAndInUnitsOfItsChannel() {
    let image = randomTensor([2, 3, 4, 3], seed: 1)
    let noise = randomTensor([2, 3, 4, 3], seed: 2, scale: 2)
    let units: [Float] = [1, 0.5, 255]
    let found = withNoise(image, normals: noise, scale: 0.1, limit: 0.2, units: units)
    let twin = zip(doubles(image), doubles(noise)).enumerated().map { index, pair in
      pair.0 + Double(units[index % 3]) * min(max(0.1 * pair.1, -0.2), 0.2)
    }
    #expect(relativeError(found, twin) < 1e-6)
    #expect(shifted(image, by: [1, 2, 3]).values[4] == image.values[4] + 2)
  }

  @Test func everySampleHasItsOwnNumbers() {
    func streams(_ samples: Range<Int>) -> [RandomStream] {
      samples.map { RandomStream(seed: 1, step: 0, sample: $0, purpose: Purpose("noise")) }
    }
    let both = normals([2, 40, 50, 3], streams: streams(0..<2))
    #expect(both.sample(1).values == normals([1, 40, 50, 3], streams: streams(1..<2)).values)
    let values = doubles(both)
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    #expect(abs(mean) < 0.05 && abs(variance - 1) < 0.05)
  }

  @Test func entropiesAreOfProbabilities() {
    let probabilities = softmax(randomTensor([2, 3, 4, 5], seed: 3, scale: 3))
    let values = doubles(probabilities)
    let twin: [Double] = (0..<24).map { row in
      values[row * 5..<(row + 1) * 5].reduce(0.0) { $0 - $1 * $1.logarithm }
    }
    let found = entropies(probabilities)
    #expect(found.shape == [2, 3, 4, 1] && relativeError(found, twin) < 1e-6)
    #expect(entropies(Tensor([1, 0, 0], [1, 3])).values == [0])
  }
}
