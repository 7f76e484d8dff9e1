// The feature distance to the frozen reference encoder: cells, mean over the global batch, one and two resolutions.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Domains
import Kernels
import Methods
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct FeatureDistanceTests {
  /// What one call found for its samples.
  private struct Found: Sendable {
    var name: String?
    var perSample: [Double]
    var gradient: [Float]?
    var expected: [Double]
  }

  private static let image = randomTensor([4, 128, 128, 3], seed: 1)
  private static let box = Box(top: 32, bottom: 64, left: 64, right: 96)

  /// Labels whose 64×64 quarters are filled with the given classes.
  private static func labels(_ quarters: [[UInt8]]) -> LabelMap {
    var map = LabelMap(samples: quarters.count, height: 128, width: 128)
    for (sample, classes) in quarters.enumerated() {
      for row in 0..<128 {
        for column in 0..<128 {
          map.values[(sample * 128 + row) * 128 + column] = classes[row / 64 * 2 + column / 64]
        }
      }
    }
    return map
  }

  /// Things (1 and 3) in 3, 0, 1 and 2 cells.
  private static let mixedLabels = labels([[1, 3, 0, 1], [0, 2, 4, 255], [2, 0, 3, 0], [1, 0, 0, 1]])

  private static func options() -> FeatureDistanceOptions {
    var options = FeatureDistanceOptions()
    options.classes = [1, 3]
    options.weight = 0.25
    return options
  }

  private static func found(
    _ labels: LabelMap, _ resolution: Resolution = .hrda, on communicator: any Communicator = SoloCommunicator()
  ) throws -> Found {
    let own = share(of: 4, on: communicator)
    let network = try smallNetwork(resolution, slots: own.samples.count)
    let reference = try ReferenceEncoder(network.configuration, seed: 9)
    let context = own.context(tape: Tape(), normalization: .batch)
    let images = image.samples(own.samples).copy()
    let ownLabels = LabelMap(stacking: own.samples.map { labels.sample($0) })
    let step = try stepView(
      DomainBatch(step: 0, samples: own.samples, source: DomainSamples(image: images, labels: ownLabels), target: nil),
      network, own)
    let distance = FeatureDistance(reference, options(), classCount: 5)
    let view = View("source", image: Variable(constant: images), labels: ownLabels, box: box)
    let output = try network.train(images, box: box, keeping: [.coarsest], context)
    let runs = [StudentRun(view: view, output: output, context: context)]
    let totals = try PassTotals.exchanged(
      [try distance.statistics(runs, of: "source", step)], samples: own.samples.count, on: communicator)
    let term = try distance.losses(runs, of: "source", totals[0], step).first
    let feature = runs[0].map(.coarsest)
    let seen = resolution == .detailOnly ? cropped(images, to: box) : network.contextImage(images)
    return Found(
      name: term?.name, perSample: term?.perSample ?? [], gradient: feature.gradient?.values,
      expected: distances(feature.value, try reference.coarsestFeature(seen, context)))
  }

  /// Euclidean distance of every cell.
  private static func distances(_ first: Tensor, _ second: Tensor) -> [Double] {
    let difference = zip(doubles(first), doubles(second)).map { $0 - $1 }
    return stride(from: 0, to: difference.count, by: first.channels).map { start in
      difference[start..<start + first.channels].reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
  }

  @Test func publishedValuesAreTheDefault() {
    let options = FeatureDistanceOptions()
    #expect(options.weight == 0.005 && options.minimumShare == 0.75)
    #expect(options.classes == [6, 7, 11, 12, 13, 14, 15, 16, 17, 18])
  }

  @Test func valueIsTheWeightedMeanOverThingCells() throws {
    let found = try FeatureDistanceTests.found(FeatureDistanceTests.mixedLabels)
    #expect(found.name == "source.feature-distance")
    let cells = [[0, 1, 3], [], [10], [12, 15]]
    for (sample, own) in cells.enumerated() {
      let expected = 0.25 * own.reduce(0) { $0 + found.expected[$1] } / 6
      #expect(abs(found.perSample[sample] - expected) < 1e-5 * max(expected, 1e-3))
    }
    let gradient = try #require(found.gradient)
    let things = Set(cells.flatMap { $0 })
    for cell in 0..<16 {
      let slice = gradient[cell * 64..<(cell + 1) * 64].map(Double.init)
      let norm = innerProduct(slice, slice).squareRoot()
      // The gradient of a norm has length 1, times weight over cells.
      #expect(abs(norm - (things.contains(cell) ? 0.25 / 6 : 0)) < 1e-6, "cell \(cell)")
    }
  }

  @Test(arguments: [2, 4]) func ranksAgreeWithOneProcess(ranks: Int) throws {
    let one = try FeatureDistanceTests.found(FeatureDistanceTests.mixedLabels)
    let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      try FeatureDistanceTests.found(FeatureDistanceTests.mixedLabels, on: communicator)
    }
    #expect(parts.flatMap(\.perSample).map(\.bitPattern) == one.perSample.map(\.bitPattern))
    #expect(bits(parts.flatMap { $0.gradient ?? [] }) == bits(try #require(one.gradient)))
  }

  @Test func withoutThingCellsItIsZeroAndHasNoGradient() throws {
    let found = try FeatureDistanceTests.found(
      FeatureDistanceTests.labels([[0, 2, 4, 255], [0, 0, 0, 0], [255, 255, 255, 255], [4, 2, 0, 2]]))
    #expect(found.perSample == [0, 0, 0, 0] && found.gradient == nil)
  }

  @Test func oneDetailResolutionComparesTheCrop() throws {
    // The crop lies in the upper right quarter: one cell of 32 pixels per sample.
    let found = try FeatureDistanceTests.found(FeatureDistanceTests.mixedLabels, .detailOnly)
    #expect(found.expected.count == 4)
    // Its class is 3, 2, 0, 0: one thing cell.
    #expect(abs(found.perSample[0] - 0.25 * found.expected[0]) < 1e-5 * found.expected[0])
    #expect(found.perSample[1...].allSatisfy { $0 == 0 })
  }
}
