// Fewer images than ranks, on ranks that are threads of this process: the prediction of one rank, and nobody idles.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Domains
import Imagery
import Kernels
import Networks
import Support
import Synchronization
import Tensors
import Testing
import Training

@Suite(.serialized) struct SharedPredictionTests {
  private struct Answer: Equatable {
    let rank: Int
    let labels: [UInt8]
    let confidence: [UInt32]
  }

  private static let size = PixelSize(height: 128, width: 256)

  private static func makePredictor() throws -> Predictor {
    let configuration = NetworkConfiguration(
      encoder: .named("tiny"), classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 16, attentionWidth: 16)
    let network = try SegmentationNetwork(configuration, gradientSlots: 0, seed: 3)
    return Predictor(network, crop: (height: 64, width: 64), stride: (height: 32, width: 32))
  }

  private static func makeImage() -> RGBImage {
    let count = size.height * size.width * 3
    return RGBImage(
      height: size.height, width: size.width,
      pixels: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) })
  }

  /// Predicts one image; the answer, and the number of kernels on the rank that is metered.
  private func predict(ranks: Int, metering metered: Int) throws -> (answer: Answer?, kernels: Int) {
    KernelMeter.start(workers: 0)
    let answers = try LoopbackCommunicator.run(ranks: ranks) { communicator -> Answer? in
      let predictor = try Self.makePredictor()
      if communicator.rank == metered { KernelMeter.takeOver() }
      try communicator.barrier()
      var answer: Answer?
      try predictor.predictAll(
        1, on: communicator, size: { _ in Self.size }, image: { _ in Self.makeImage() }
      ) { _, _, labels, confidence in
        answer = Answer(
          rank: communicator.rank, labels: Array(labels.values),
          confidence: Array(confidence.values).map(\.bitPattern))
      }
      return answer
    }
    let spans = KernelMeter.stop()[0]
    let outer = spans.filter { if case .kernel = $0.label { !$0.isNested } else { false } }
    return (answers.compactMap { $0 }.first, outer.count)
  }

  @Test("labels of both ways are those of the mean of two soft-max predictions") func bothWays() throws {
    let (predictor, image) = (try Self.makePredictor(), Self.makeImage())
    let (labels, confidence) = try predictor.predict(image, LabelLooks(flips: true))
    let mirrored = try predictor.predict(image.flippedHorizontally(), LabelLooks(flips: true))
    #expect(mirrored.labels.flippedHorizontally() == labels, "an image and its mirror image have the same labels")
    let (one, other) = (try predictor.predict(image), try predictor.predict(image.flippedHorizontally()))
    let back = horizontallyFlipped(other.confidence.reshaped([1, Self.size.height, Self.size.width, 1])).values
    let otherLabels = other.labels.flippedHorizontally().values
    var agreeing = 0
    for pixel in labels.values.indices where one.labels.values[pixel] == otherLabels[pixel] {
      // Where both say the same, so does their mean, with the mean of their confidences.
      agreeing += 1
      #expect(labels.values[pixel] == otherLabels[pixel])
      #expect(abs(confidence.values[pixel] - (one.confidence.values[pixel] + back[pixel]) / 2) < 1e-6)
    }
    #expect(agreeing > 0 && agreeing < labels.values.count)
  }

  @Test("labels of two sizes are those of the larger logits") func twoSizes() throws {
    var configuration = NetworkConfiguration(
      encoder: .named("tiny"), classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 16)
    (configuration.resolution, configuration.contextReduction) = (.contextOnly, 1)
    let network = try SegmentationNetwork(configuration, gradientSlots: 0, seed: 3)
    let predictor = Predictor(network, crop: (height: 128, width: 256), stride: (height: 128, width: 256))
    let image = Self.makeImage()
    let found = try predictor.predict(image, LabelLooks(halfSize: true))
    let context = BatchShare(communicator: SoloCommunicator(), globalBatch: 1, samples: 0..<1)
      .context(normalization: .running)
    let whole = normalisedTensor([image])
    let maps = try [whole, bilinear(whole, height: 64, width: 128)].map { try network.logits($0, context) }
    let expected = pseudoLabels(largestLogits(maps, height: 128, width: 256))
    #expect(found.labels == expected.labels && found.confidence.values == expected.confidence.values)
    #expect(found.labels != (try predictor.predict(image)).labels)
    let both = try predictor.predict(image, LabelLooks(flips: true, halfSize: true))
    let mirrored = try predictor.predict(image.flippedHorizontally(), LabelLooks(flips: true, halfSize: true))
    #expect(mirrored.labels.flippedHorizontally() == both.labels && both.labels != found.labels)
    // A detail crop is never larger than a window.
    #expect(try Self.makePredictor().predict(image, LabelLooks(halfSize: true)).labels.height == 128)
  }

  @Test func oneImageIsPredictedByAllRanks() throws {
    WorkerPool.configure(threads: 1)
    let (alone, whole) = try predict(ranks: 1, metering: 0)
    #expect(alone?.labels.count == Self.size.height * Self.size.width)
    for ranks in [2, 4] {
      for rank in 0..<ranks {
        let (answer, own) = try predict(ranks: ranks, metering: rank)
        #expect(answer == alone)
        // 21 windows; what is done once for the image comes on top.
        let share = Double(own) / Double(whole)
        #expect(share < 1.35 / Double(ranks) && share > 0.7 / Double(ranks), "rank \(rank) of \(ranks): \(share)")
      }
    }
  }
}
