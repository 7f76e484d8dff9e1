// Losses of pixels and of elements: values and gradients against twins, no dependence on threads or neighbours.

import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite struct LossKernelTests {
    private static let shape: Shape = [2, 5, 7, 6]
    private static let labels = LabelMap(
      samples: 2, height: 5, width: 7, values: (0..<70).map { $0 % 11 == 3 ? 255 : UInt8($0 * 5 % 6) })

    /// Compares sums and the gradient of twice the loss with a twin; scales reach from flat to nearly sure predictions.
    private static func compare(
      sourceLocation: SourceLocation = #_sourceLocation, _ kernel: (Tensor, Float?) -> LossSums,
      _ twin: ([Double]) -> Double
    ) throws {
      for (seed, scale) in [(UInt64(1), 0.3), (2, 3), (3, 9)] {
        let point = randomTensor(shape, seed: seed, scale: scale)
        let found = kernel(point, 2)
        let expected = twin(doubles(point))
        #expect(
          abs(found.sums.reduce(0, +) - expected) <= 1e-6 * max(1, abs(expected)), sourceLocation: sourceLocation)
        #expect(kernel(point, nil).gradient == nil && kernel(point, nil).sums == found.sums)
        let error = directionalError(
          at: doubles(point), direction: doubles(randomTensor(shape, seed: 9)),
          gradient: doubles(try #require(found.gradient))
        ) { 2 * twin($0) }
        #expect(error < 1e-4, "scale \(scale)", sourceLocation: sourceLocation)
      }
    }

    @Test func pixelsAgreeWithTheirTwins() throws {
      let labels = LossKernelTests.labels
      let targets = softmax(randomTensor(LossKernelTests.shape, seed: 7))
      try LossKernelTests.compare {
        normalizedEntropy($0, weights: nil, factor: $1)
      } _: {
        naiveEntropies($0, classes: 6).reduce(0, +)
      }
      for gamma in [0, 1, 2.5] {
        try LossKernelTests.compare {
          focal($0, labels: labels, gamma: gamma, weights: nil, factor: $1)
        } _: {
          naiveFocal($0, labels: labels.values, classes: 6, gamma: gamma)
        }
      }
      try LossKernelTests.compare {
        reverseCrossEntropy($0, labels: labels, weights: nil, factor: $1)
      } _: {
        naiveReverseCrossEntropy($0, labels: labels.values, classes: 6)
      }
      for subtracts in [false, true] {
        try LossKernelTests.compare {
          softCrossEntropy($0, targets: targets, weights: nil, subtractsEntropy: subtracts, factor: $1)
        } _: {
          naiveDivergence($0, targets: doubles(targets), classes: 6, subtractsEntropy: subtracts)
        }
      }
      let least: [Float] = [0.5, 0.1, 0, 0.25, 0.2, 0.3]
      try LossKernelTests.compare {
        classShortfall($0, least: least, factor: $1)
      } _: {
        naiveShortfall($0, least: least.map(Double.init), samples: 2)
      }
    }

    @Test func elementsAgreeWithTheirTwins() throws {
      let reference = randomTensor(LossKernelTests.shape, seed: 8)
      let other = doubles(reference)
      for target in [0.0, 1] {
        try LossKernelTests.compare {
          binaryCrossEntropy($0, towards: Float(target), weights: reference, factor: $1)
        } _: { x in
          x.indices.reduce(0) { $0 + other[$1] * (log(1 + exp(x[$1])) - target * x[$1]) }
        }
        try LossKernelTests.compare {
          leastSquares($0, towards: Float(target), weights: nil, factor: $1)
        } _: { x in
          x.reduce(0) { $0 + ($1 - target) * ($1 - target) }
        }
      }
      let valid = (0..<420).map { UInt8($0 % 3) }
      for turn in [Double?.none, 0.4] {
        try LossKernelTests.compare {
          absoluteDifference($0, reference: reference, valid: valid, turn: turn, factor: $1)
        } _: { x in
          x.indices.reduce(0) { sum, index in
            guard valid[index] != 0 else { return sum }
            let apart = abs(x[index] - other[index])
            guard let turn, apart > turn else { return sum + apart }
            return sum + (apart * apart + turn * turn) / (2 * turn)
          }
        }
      }
    }

    @Test func sumsOfVectorsByClass() {
      let features = randomTensor([2, 5, 7, 9], seed: 10)
      let found = classSums(features, labels: LossKernelTests.labels, classes: 5)
      var twin = [Double](repeating: 0, count: 2 * 5 * 10)
      for (cell, label) in LossKernelTests.labels.values.enumerated() where label < 5 {
        let first = (cell / 35 * 5 + Int(label)) * 10
        for channel in 0..<9 { twin[first + channel] += doubles(features)[cell * 9 + channel] }
        twin[first + 9] += 1
      }
      #expect(found == twin)
    }

    @Test func theGreatestAreChosenAndTheFirstOfEqualOnes() {
      #expect(largestPlaces([1, 3, 2, 3, 0], count: 2) == [1, 3])
      #expect(largestPlaces([1, 3, 2, 3, 3], count: 2) == [1, 3])
      #expect(largestPlaces([1, 3], count: 2) == [0, 1] && largestPlaces([], count: 0) == [])
      #expect(uncertainCount(share: 0.3, of: 10) == 3 && uncertainCount(share: 0.001, of: 10) == 1)
    }

    @Test func neitherThreadsNorNeighboursMatter() {
      func everything(_ samples: Int) -> [Float] {
        let shape: Shape = [samples, 24, 31, 19]
        let x = randomTensor([9, 24, 31, 19], seed: 11).samples(0..<samples).copy()
        let labels = LabelMap(
          samples: samples, height: 24, width: 31,
          values: (0..<samples * 744).map { UInt8($0 % 23) < 19 ? UInt8($0 % 19) : 255 })
        let losses = [
          normalizedEntropy(x, weights: nil, factor: 1), focal(x, labels: labels, gamma: 2, weights: nil, factor: 1),
          classShortfall(x, least: [Float](repeating: 0.06, count: 19), factor: 1),
          binaryCrossEntropy(x, towards: 1, weights: nil, factor: 1),
        ]
        // Sample by sample, so that fewer samples are the beginning of more.
        return (0..<samples).flatMap { sample in
          losses.flatMap { loss in
            [Float(loss.sums[sample])] + (loss.gradient?.samples(sample..<sample + 1).values ?? [])
          } + entropyMap(x.reshaped(shape)).samples(sample..<sample + 1).values
        }
      }
      expectIndependentSamples(everything)
      expectSameBitsOnThreads { everything(3) }
    }
  }
}
