// Contrast with queues: a naive twin in Double, its gradient, anchors without positives.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

@Suite struct QueueContrastTests {
  private static let anchors = randomTensor([3, 4], seed: 1)
  private static let queue = randomTensor([7, 4], seed: 2)

  /// Every third row is a positive of an anchor, the fifth is nothing, others are negatives.
  private static func role(_ anchor: Int, _ row: Int) -> Bool? { row == 5 ? nil : row % 3 == anchor }

  private func twin(_ anchors: [Double]) -> [Double] {
    let rows = doubles(Self.queue)
    return (0..<3).map { anchor in
      let z = (0..<7).map { row in
        (0..<4).reduce(0.0) { $0 + anchors[anchor * 4 + $1] * rows[row * 4 + $1] } / 0.3
      }
      let negatives = (0..<7).filter { Self.role(anchor, $0) == false }.reduce(0.0) { $0 + z[$1].exponential }
      let losses = (0..<7).filter { Self.role(anchor, $0) == true }.map { place in
        (z[place].exponential + negatives).logarithm - z[place]
      }
      return losses.reduce(0, +) / Double(losses.count)
    }
  }

  @Test func valuesAndGradient() throws {
    let found = queueContrast(
      Self.anchors, queue: Self.queue, temperature: 0.3, factor: 0.7, role: Self.role)
    for (value, expected) in zip(found.sums, twin(doubles(Self.anchors))) { #expect(abs(value - expected) < 1e-10) }
    let gradient = doubles(try #require(found.gradient))
    let error = directionalError(
      at: doubles(Self.anchors), direction: doubles(randomTensor([3, 4], seed: 3)), gradient: gradient
    ) { 0.7 * self.twin($0).reduce(0, +) }
    #expect(error < 1e-5)
  }

  @Test func largeProductsAndNoPositives() throws {
    let large = Tensor(Self.anchors.values.map { 1000 * $0 }, [3, 4])
    let found = queueContrast(large, queue: Self.queue, temperature: 0.1, factor: 1) { anchor, row in
      anchor > 0 && row == 0
    }
    #expect(found.sums[0] == 0 && found.sums.allSatisfy(\.isFinite))
    let gradient = try #require(found.gradient).values
    #expect(gradient[..<4].allSatisfy { $0 == 0 } && gradient.allSatisfy(\.isFinite))
  }
}
