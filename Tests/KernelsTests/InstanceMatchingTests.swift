// Rows matched by index, class means and borders of masks, against twins in Double.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct InstanceMatchingTests {
    private static func probabilities(_ rows: Int, seed: UInt64, scale: Double = 2) -> Tensor {
      softmax(randomTensor([rows, 7], seed: seed, scale: scale))
    }

    @Test("losses and gradients are the twin's", arguments: [(1, 7), (2, 7), (9, 20), (40, 1)] as [(Int, Float)])
    func matching(rows: Int, scale: Float) throws {
      let first = Self.probabilities(rows, seed: 1)
      let second = Self.probabilities(rows, seed: 2)
      let found = matchedRows(first, second, scale: scale, factor: 3)
      let twin = naiveMatching(doubles(first), doubles(second), rows: rows, scale: Double(scale))
      #expect(abs(found.loss - twin) < 1e-6 * (1 + twin))
      #expect(matchedRows(first, second, scale: scale, factor: nil).loss == found.loss)
      let gradients = try #require(found.gradients)
      guard rows > 1 else {
        #expect(found.loss < 1e-30 && gradients.first.values.allSatisfy { abs($0) < 1e-30 })
        return
      }
      let direction = doubles(randomTensor([rows, 7], seed: 3))
      let ofFirst = directionalError(at: doubles(first), direction: direction, gradient: doubles(gradients.first)) {
        3 * naiveMatching($0, doubles(second), rows: rows, scale: Double(scale))
      }
      let ofSecond = directionalError(at: doubles(second), direction: direction, gradient: doubles(gradients.second)) {
        3 * naiveMatching(doubles(first), $0, rows: rows, scale: Double(scale))
      }
      #expect(ofFirst < 1e-5 && ofSecond < 1e-5, "\(ofFirst) \(ofSecond)")
    }

    /// EHTDI, unit checks 1, 2 and 5 of its specification.
    @Test("a partner that is found for sure keeps the digits of its loss")
    func knownValues() {
      let identity = Tensor([1, 0, 0, 1], [2, 2])
      let even = Tensor([0.5, 0.5, 0.5, 0.5], [2, 2])
      let one = Tensor([0.3, 0.7], [1, 2])
      #expect(abs(matchedRows(identity, identity, scale: 7, factor: nil).loss / 0.00182210 - 1) < 1e-5)
      #expect(abs(matchedRows(identity, identity, scale: 20, factor: nil).loss / 4.1223e-9 - 1) < 1e-4)
      for scale: Float in [1, 7, 20] {
        #expect(abs(matchedRows(even, even, scale: scale, factor: nil).loss - 1.098612) < 1e-6)
        #expect(matchedRows(one, one, scale: scale, factor: nil).loss < 1e-30)
      }
    }

    @Test("many rows come in tiles, with the same bits on any number of threads")
    func tiles() throws {
      let first = Self.probabilities(900, seed: 4, scale: 0.5)
      let second = Self.probabilities(900, seed: 5, scale: 0.5)
      let found = matchedRows(first, second, scale: 20, factor: 1)
      let twin = naiveMatching(doubles(first), doubles(second), rows: 900, scale: 20)
      #expect(abs(found.loss - twin) < 1e-6 * twin)
      expectSameBitsOnThreads {
        let found = matchedRows(first, second, scale: 20, factor: 1)
        return [Float(found.loss)] + (found.gradients?.first.values ?? []) + (found.gradients?.second.values ?? [])
      }
    }

    @Test("means of classes and their gradient")
    func means() {
      let x = randomTensor([1, 4, 5, 3], seed: 6)
      let labels = LabelMap(height: 4, width: 5, values: (0..<20).map { [7, 255, 2, 7, 2][$0 % 5] })
      let found = CellMeans(x, labels: labels)
      #expect(found.classes == [2, 7])
      let values = doubles(x)
      for (place, label) in found.classes.enumerated() {
        let cells = labels.values.indices.filter { labels.values[$0] == label }
        let means = (0..<3).map { channel in cells.reduce(0) { $0 + values[$1 * 3 + channel] } / Double(cells.count) }
        #expect(relativeError(found.means.sample(place), means) < 1e-6)
      }
      let upstream = randomTensor([2, 3], seed: 7)
      let back = found.gradient(upstream)
      let lost = innerProduct(doubles(found.means), doubles(upstream)) - innerProduct(values, doubles(back))
      #expect(abs(lost) < 1e-6 && back.shape == x.shape)
      let none = CellMeans(x, labels: LabelMap(height: 4, width: 5))
      #expect(none.classes.isEmpty && none.means.count == 0)
    }

    /// EHTDI, unit check 4 of its specification.
    @Test("the border of a pixel is the square behind it; nothing and everything have none")
    func borders() {
      func border(_ pixels: [Int]) -> [Int] {
        let mask = (0..<12).map { pixels.contains($0) ? UInt8(1) : 0 }
        return maskBorders(mask, height: 3, width: 4).enumerated().filter { $0.element == 1 }.map(\.offset)
      }
      #expect(border([5]) == [5, 6, 9, 10])
      #expect(border([]) == [] && border(Array(0..<12)) == [])
      // The right half: its first column only, since nothing lies behind the last.
      #expect(border([2, 3, 6, 7, 10, 11]) == [2, 6, 10])
    }

    @Test("grey images have one number in three channels")
    func greys() {
      let image = normalised([200, 100, 50, 7, 7, 7], samples: 1, height: 1, width: 2)
      #expect(denormalised(greyed(image)) == [124, 124, 124, 7, 7, 7])
    }
  }
}
