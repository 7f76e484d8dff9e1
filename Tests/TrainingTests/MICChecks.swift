// Unit check of MIC (Hoyer et al., CVPR 2023) that concerns a whole step.

import Adaptation
import Collectives
import Foundation
import Networks
import Recipes
import Tensors
import TestSupport
import Testing
import Training

@Suite("MIC checks, the step") struct MICChecks {
  /// A step's record and its loss of the student on the unchanged target images, fused and detail.
  private static func run(_ ratio: String) throws -> (masked: [Double], plain: [Double]) {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "method=mic", "methodOptions.ratio=\(ratio)", "methodOptions.block=32", "mix.jitterThreshold=1",
        "mix.blurThreshold=1", "head.dropout=0", "encoder.dropPath=0", "teacher.threshold=0",
        "data.target.margins.top=40",
      ], environment: [:], catalogue: .standard)
    let experiment = try Experiment(recipe, on: SoloCommunicator())
    let batch = try experiment.loader.batch(step: 0)
    let record = try experiment.step.run(batch, step: 0)
    let pseudo = try #require(record.pseudoLabels.first)

    // The step has advanced its student; one of the same seed is still as it was.
    let configuration = recipe.networkConfiguration(classCount: experiment.classes.count)
    let student = try SegmentationNetwork(configuration, gradientSlots: 0, seed: recipe.seed)
    let box = SeededDraws(seed: recipe.seed, configuration: configuration, augmentation: recipe.augmentation).draws(
      DrawRequest(
        pass: "masked", step: 0, samples: 0..<batch.samples.count, height: batch.height, width: batch.width)
    ).box
    let context = experiment.share.context(normalization: .batch)
    let terms = segmentationLosses(
      try student.train(try #require(batch.target).image, box: box, context), pass: "plain", labels: pseudo.labels,
      weights: pseudo.weights, boxes: [box], detailWeight: Float(recipe.network.detailWeight), context)
    return (
      record.losses.filter { $0.name.hasPrefix("masked.") }.map(\.value), terms.map { $0.perSample.reduce(0, +) }
    )
  }

  @Test("5: with ratio 0, no augmentation and no dropout the term is the weighted cross-entropy of the target image")
  func nothingHidden() throws {
    let (masked, plain) = try MICChecks.run("0")
    #expect(masked.count == 2 && plain.count == 2)
    #expect(zip(masked, plain).allSatisfy { $0 > 0 && abs($0 - $1) < 1e-12 * $1 })
    let hidden = try MICChecks.run("0.7")
    #expect(hidden.plain == plain)
    #expect(zip(hidden.masked, plain).allSatisfy { abs($0 - $1) > 1e-4 * $1 }, "hidden blocks must tell")
  }
}
