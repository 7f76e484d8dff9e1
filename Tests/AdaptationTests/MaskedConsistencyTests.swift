// Whose images and labels the masked pass shows, on one rank and on several.

import Adaptation
import Collectives
import CollectivesTesting
import Domains
import Kernels
import Methods
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct MaskedConsistencyTests {
  private typealias Mode = MaskedConsistencyOptions.Mode

  /// The view of the masked pass over the samples that a rank holds of a micro-batch, nothing of them hidden.
  private static func view(
    _ mode: Mode, of count: Int, microBatch: Int = 0,
    on communicator: any Communicator = SoloCommunicator()
  ) throws -> View {
    var options = MaskedConsistencyOptions()
    (options.mode, options.augment, options.ratio, options.block, options.weight) = (mode, false, -1, 8, 0.5)
    let own = AdaptationTests.share(of: count, on: communicator)
    let samples = own.samples.lowerBound + microBatch * count..<own.samples.upperBound + microBatch * count
    let share = BatchShare(communicator: communicator, globalBatch: count, samples: samples)
    // Image and label of a sample are its index, target images negative with label 1.
    let image = Tensor(
      samples.flatMap { [Float](repeating: Float($0 + 1), count: 3 * 1024) }, [samples.count, 32, 32, 3])
    let labels = LabelMap(
      samples: samples.count, height: 32, width: 32,
      values: samples.flatMap { [UInt8](repeating: UInt8($0 + 2), count: 1024) })
    let batch = DomainBatch(
      step: 0, microBatch: microBatch, samples: samples, source: DomainSamples(image: image, labels: labels),
      target: DomainSamples(image: scaled(image, by: -1)))
    var step = try stepView(batch, nil, share)
    let logits = Tensor((0..<samples.count * 1024).flatMap { _ in [0, 9] as [Float] }, [samples.count, 32, 32, 2])
    step.labels = try PseudoLabels(
      logits, valid: Tensor(repeating: 0.25, [samples.count, 32, 32]), threshold: 0.9, share)
    return try MaskedConsistency(options).passes(at: 0)[0].views(step)[0]
  }

  /// Of every sample: its first pixel's value, label and weight.
  private static func samples(_ view: View) -> [[Float]] {
    (0..<view.image.value.samples).map { sample in
      [
        view.image.value.values[sample * 3072], Float(view.labels?.values[sample * 1024] ?? 0),
        view.weights?.values[sample * 1024] ?? 1,
      ]
    }
  }

  @Test func targetImagesBringTheTeachersLabels() throws {
    let view = try MaskedConsistencyTests.view(.target, of: 2)
    #expect(MaskedConsistencyTests.samples(view) == [[-1, 1, 0.25], [-2, 1, 0.25]])
    #expect(view.factor == 0.5)
  }

  @Test func sourceImagesBringTheirOwn() throws {
    let view = try MaskedConsistencyTests.view(.source, of: 2)
    #expect(MaskedConsistencyTests.samples(view) == [[1, 2, 1], [2, 3, 1]])
    #expect(view.weights == nil)
  }

  @Test(
    arguments: [
      (1, [[-1, 1, 0.25]]), (2, [[1, 2, 1], [-2, 1, 0.25]]), (3, [[1, 2, 1], [-2, 1, 0.25], [-3, 1, 0.25]]),
      (4, [[1, 2, 1], [2, 3, 1], [-3, 1, 0.25], [-4, 1, 0.25]]),
    ] as [(Int, [[Float]])])
  func theFirstHalfIsOfTheSource(count: Int, expected: [[Float]]) throws {
    #expect(MaskedConsistencyTests.samples(try MaskedConsistencyTests.view(.both, of: count)) == expected)
    let parts = try LoopbackCommunicator.run(ranks: count) { communicator in
      MaskedConsistencyTests.samples(try MaskedConsistencyTests.view(.both, of: count, on: communicator))
    }
    #expect(parts.flatMap { $0 } == expected)
  }

  @Test func everyMicroBatchHasItsHalves() throws {
    let view = try MaskedConsistencyTests.view(.both, of: 2, microBatch: 1)
    #expect(MaskedConsistencyTests.samples(view) == [[3, 4, 1], [-4, 1, 0.25]])
  }

  @Test func augmentationIsLeftOutWhereItIsOff() {
    let image = randomTensor([1, 16, 16, 3], seed: 1)
    let darker = ColourJitter(brightness: 0.5, contrast: 1, saturation: 1, hue: 0, order: [0, 1, 2, 3])
    let drawn = PassDraws(
      box: Box(top: 0, bottom: 16, left: 0, right: 16), jitter: [darker], blur: [1],
      blockUniforms: Tensor(repeating: 0.9, [1, 2, 2]))
    var options = MaskedConsistencyOptions()
    #expect(
      MaskedConsistency(options).maskedImage(image, drawn).values == strongAugmentation(image, drawn).values)
    options.augment = false
    #expect(MaskedConsistency(options).maskedImage(image, drawn).values == image.values)
    #expect(strongAugmentation(image, drawn).values != image.values)
  }

  @Test(arguments: [
    (MaskedConsistencyOptions.Mode.target, true, false), (.source, false, true), (.both, true, true),
  ])
  func whatAModeNeeds(mode: MaskedConsistencyOptions.Mode, labels: Bool, source: Bool) {
    var options = MaskedConsistencyOptions()
    options.mode = mode
    let configuration = NetworkConfiguration(encoder: "tiny", classCount: 5, detailHeight: 32, detailWidth: 32)
    let needs = options.requirements(configuration)
    #expect(needs.needsLabels == labels && needs.passes == (source ? ["source"] : []))
    options.weight = 0
    #expect(!options.requirements(configuration).needsLabels)
  }
}
