// Agreement of two predictions: values, gradients of both, and the clamp of their mean.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct StyleConsistencyTests {
    /// Predictions that differ mildly, strongly, and so strongly that some classes' mean is clamped.
    static let scales: [Double] = [0.3, 3, 12]

    @Test("sums agree with the twin", arguments: scales, [[1, 1, 1, 2], [2, 3, 5, 19], [3, 7, 2, 1]])
    func sums(_ scale: Double, _ extents: [Int]) {
      let first = randomTensor(Shape(extents), seed: 1, scale: scale)
      let second = randomTensor(Shape(extents), seed: 2, scale: scale)
      let twin = naiveStyleConsistencySums(
        doubles(first), doubles(second), samples: extents[0], classes: extents[3])
      let sums = styleConsistencySums(first, second)
      #expect(sums.count == twin.count)
      #expect(zip(sums, twin).allSatisfy { abs($0 - $1) <= 1e-12 * max($1, 1) })
    }

    @Test("gradients of both predictions agree with the twin", arguments: scales)
    func gradients(_ scale: Double) {
      let shape: Shape = [2, 3, 5, 19]
      let first = randomTensor(shape, seed: 3, scale: scale)
      let second = randomTensor(shape, seed: 4, scale: scale)
      let direction = doubles(randomTensor(shape, seed: 5))
      let gradients = styleConsistencyGradients(first, second, factor: 2)
      func twin(_ one: [Double], _ other: [Double]) -> Double {
        2 * naiveStyleConsistencySums(one, other, samples: 2, classes: 19).reduce(0, +)
      }
      let ofFirst = directionalError(
        at: doubles(first), direction: direction, gradient: doubles(gradients.logits)
      ) { twin($0, doubles(second)) }
      let ofSecond = directionalError(
        at: doubles(second), direction: direction, gradient: doubles(gradients.stylised)
      ) { twin(doubles(first), $0) }
      #expect(ofFirst < 1e-5 && ofSecond < 1e-5)
      // Adding one number to all logits of a pixel changes no prediction.
      let values = doubles(gradients.logits)
      for row in 0..<30 { #expect(abs(values[row * 19..<(row + 1) * 19].reduce(0, +)) < 1e-6) }
    }

    @Test("probabilities of zero are no trouble, equal predictions have no gradient")
    func extremes() {
      let first = Tensor([200, -200, 0, 0, 0, 0], [1, 1, 2, 3])
      let second = Tensor([-200, 200, 0, 0, 0, 0], [1, 1, 2, 3])
      let gradients = styleConsistencyGradients(first, second, factor: 1)
      #expect(gradients.logits.values.allSatisfy { $0.isFinite })
      #expect(gradients.logits.values[3...].allSatisfy { $0 == 0 })
      #expect(styleConsistencySums(first, second)[0].isFinite)
      #expect(styleConsistencyGradients(first, first, factor: 1).logits.values.allSatisfy { abs($0) < 1e-12 })
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func run(_ samples: Int) -> [Float] {
        let shape: Shape = [samples, 40, 33, 19]
        let (first, second) = (randomTensor(shape, seed: 6), randomTensor(shape, seed: 7))
        let gradients = styleConsistencyGradients(first, second, factor: 0.3)
        let sums = styleConsistencySums(first, second)
        return (0..<samples).flatMap { sample in
          [Float(sums[sample])] + gradients.logits.sample(sample).values + gradients.stylised.sample(sample).values
        }
      }
      expectSameBitsOnThreads { run(3) }
      expectIndependentSamples(run)
    }
  }

  @Suite struct FarthestPointsTests {
    @Test("each choice is the farthest from all before it")
    func greedy() {
      let points = randomTensor([50, 6], seed: 8)
      let values = doubles(points)
      func distance(_ a: Int, _ b: Int) -> Double {
        (0..<6).reduce(0) { $0 + (values[a * 6 + $1] - values[b * 6 + $1]) * (values[a * 6 + $1] - values[b * 6 + $1]) }
      }
      let chosen = farthestPoints(points, count: 12, start: 17)
      #expect(chosen.count == 12 && Set(chosen).count == 12 && chosen[0] == 17)
      for index in 1..<12 {
        func nearest(_ row: Int) -> Double { chosen[..<index].map { distance(row, $0) }.min() ?? 0 }
        let farthest = (0..<50).map(nearest).max()
        #expect(nearest(chosen[index]) == farthest)
      }
    }

    @Test("no row is chosen twice, of equals the first")
    func equals() {
      #expect(farthestPoints(Tensor([2, 2, 2, 2], [4, 1]), count: 4, start: 2) == [2, 0, 1, 3])
      #expect(farthestPoints(Tensor([0, 5, -5, 5], [4, 1]), count: 3, start: 0) == [0, 1, 2])
    }
  }
}
