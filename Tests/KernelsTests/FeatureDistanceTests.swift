// Feature distance: label reduction, sums and gradient.

import Kernels
import Support
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct FeatureDistanceTests {
    @Test("label reduction agrees with the twin", arguments: [1, 2, 3, 5], [0, 0.4, 0.75, 1] as [Float])
    func twin(_ factor: Int, _ share: Float) {
      var stream = RandomStream(seed: 1, step: 0, sample: nil, purpose: Purpose("labels"))
      let values = (0..<2 * 17 * 22).map { _ -> UInt8 in
        let draw = stream.nextIndex(below: 12)
        return draw < 8 ? 3 : draw < 10 ? UInt8(draw - 8) : draw == 10 ? 255 : 7
      }
      let labels = LabelMap(samples: 2, height: 17, width: 22, values: values)
      let reduced = dominantLabels(labels, factor: factor, minimumShare: share, classCount: 5)
      #expect(reduced.height == 17 / factor && reduced.width == 22 / factor)
      for (index, label) in reduced.values.enumerated() {
        let (row, column) = (index / reduced.width % reduced.height, index % reduced.width)
        let sample = labels.sample(index / (reduced.width * reduced.height))
        let cell = sample.cropped(
          to: Box(
            top: row * factor, bottom: (row + 1) * factor, left: column * factor, right: (column + 1) * factor))
        #expect(label == naiveDominantLabel(cell.values, minimumShare: Double(share), classCount: 5))
      }
    }

    @Test("difference (3, 4) costs 5; two cells with norms 5 and 1 have mean 3")
    func pythagoras() {
      let feature = Tensor([3, 4, 7, 7, 1, 0], [1, 1, 3, 2])
      let reference = Tensor([0, 0, 0, 0, 0, 0], [1, 1, 3, 2])
      let one = featureDistanceSums(feature, reference: reference, cells: [1, 0, 0])
      #expect(abs(0.005 * one[0] - 0.025) < 1e-9)
      let two = featureDistanceSums(feature, reference: reference, cells: [1, 0, 1])
      #expect(abs(0.005 * two[0] / 2 - 0.015) < 1e-9)
      let gradient = featureDistanceGradient(feature, reference: reference, cells: [1, 0, 1], factor: 10)
      #expect(relativeError(gradient, [6, 8, 0, 0, 10, 0]) < 1e-6)
    }

    @Test("a distance of zero has no gradient")
    func zero() {
      let feature = randomTensor([1, 2, 2, 5], seed: 2)
      let gradient = featureDistanceGradient(feature, reference: feature, cells: [1, 1, 1, 1], factor: 1)
      #expect(gradient.values == [Float](repeating: 0, count: 20))
      #expect(featureDistanceSums(feature, reference: feature, cells: [1, 1, 1, 1]) == [0])
    }

    @Test(
      "sums and gradient agree with the twin",
      arguments: [[1, 1, 1, 1], [2, 3, 5, 17], [3, 4, 4, 512], [1, 7, 2, 31]])
    func sums(_ extents: [Int]) {
      let feature = randomTensor(Shape(extents), seed: 3)
      let reference = randomTensor(Shape(extents), seed: 4)
      let cells = (0..<extents[0] * extents[1] * extents[2]).map { UInt8($0 % 3 == 1 ? 0 : 1) }
      func twin(_ point: [Double]) -> [Double] {
        naiveFeatureDistanceSums(
          point, reference: doubles(reference), cells: cells, samples: extents[0], channels: extents[3])
      }
      let direction = doubles(randomTensor(Shape(extents), seed: 5))
      onEveryLevel {
        let sums = featureDistanceSums(feature, reference: reference, cells: cells)
        #expect(relativeError(sums.map(Float.init), twin(doubles(feature))) < 1e-6)
        let gradient = featureDistanceGradient(feature, reference: reference, cells: cells, factor: 1)
        let error = directionalError(at: doubles(feature), direction: direction, gradient: doubles(gradient)) {
          twin($0).reduce(0, +)
        }
        #expect(error < 1e-5)
      }
    }

    @Test("bits depend on neither threads nor other samples")
    func invariance() {
      func gradient(_ samples: Int) -> [Float] {
        featureDistanceGradient(
          randomTensor([samples, 3, 5, 33], seed: 6), reference: Tensor(repeating: 0.5, [samples, 3, 5, 33]),
          cells: [UInt8](repeating: 1, count: samples * 15), factor: 0.3
        ).values
      }
      func sums(_ samples: Int) -> [Float] {
        featureDistanceSums(
          randomTensor([samples, 3, 5, 33], seed: 6), reference: Tensor(zeros: [samples, 3, 5, 33]),
          cells: [UInt8](repeating: 1, count: samples * 15)
        ).map(Float.init)
      }
      onEveryLevel {
        expectSameBitsOnThreads { gradient(3) + sums(3) }
        expectIndependentSamples(gradient)
        expectIndependentSamples(sums)
      }
    }
  }
}
