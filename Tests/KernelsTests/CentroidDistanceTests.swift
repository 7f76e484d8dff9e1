// Distances to centroids, and the larger of several logits, against twins in Double.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct CentroidDistanceTests {
    @Test("distances agree with the twin", arguments: [[1, 1, 1, 1, 1], [2, 3, 5, 17, 19], [3, 7, 2, 512, 5]])
    func twin(_ extents: [Int]) {
      let features = randomTensor(Shape(Array(extents.prefix(4))), seed: 1)
      let (channels, classes) = (extents[3], extents[4])
      let centroids = randomTensor([classes, channels], seed: 2)
      let (f, mu) = (doubles(features), doubles(centroids))
      let expected = (0..<features.count / channels).flatMap { cell in
        (0..<classes).map { label in
          (0..<channels).reduce(0.0) { sum, channel in
            let difference = f[cell * channels + channel] - mu[label * channels + channel]
            return sum + difference * difference
          }.squareRoot()
        }
      }
      let found = centroidDistances(features, centroids)
      #expect(found.shape == Shape(Array(extents.prefix(3)) + [classes]))
      #expect(relativeError(found, expected) < 1e-6)
      let alone = centroidDistances(features.samples(0..<1).copy(), centroids)
      #expect(alone.values == Array(found.values.prefix(alone.count)))
    }

    @Test("a centroid at the feature is at distance 0")
    func zero() {
      let centroids = Tensor([1, 2, 4, 6], [2, 2])
      #expect(centroidDistances(Tensor([1, 2], [1, 1, 1, 2]), centroids).values == [0, 5])
    }

    @Test("the larger of several logits, each enlarged")
    func largest() {
      let maps = [randomTensor([2, 6, 5, 3], seed: 3), randomTensor([2, 3, 2, 3], seed: 4)]
      let large = maps.map { doubles(bilinear($0, height: 6, width: 5, alignCorners: true)) }
      let found = largestLogits(maps, height: 6, width: 5)
      #expect(found.values.map(Double.init) == zip(large[0], large[1]).map { max($0, $1) })
      #expect(largestLogits([maps[0]], height: 6, width: 5).values == maps[0].values)
    }
  }
}
