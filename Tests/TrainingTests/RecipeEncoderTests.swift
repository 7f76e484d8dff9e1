// The auxiliary head and the encoder's batch norms in recipes.

import Collectives
import Foundation
import Networks
import Recipes
import Support
import Testing
import Training

@Suite struct RecipeEncoderTests {
  private static let single = ["network.resolution=context-only", "network.contextScale=1"]

  private static func read(_ overrides: [String]) throws -> Recipe {
    var known = catalogue
    known.encoders += ["resnet-tiny"]
    return try Recipe(yaml: minimal, file: "r.yaml", folder: "/data", overrides: overrides, catalogue: known)
  }

  private static func complaint(_ overrides: [String]) -> String? {
    do {
      _ = try read(overrides)
      return nil
    } catch {
      return (error as? Failure).flatMap { $0.status == .badData ? $0.what : nil }
    }
  }

  @Test func withoutTheKeysNothingIsThere() throws {
    let recipe = try Self.read([])
    #expect(recipe.network.auxiliary.weight == 0 && recipe.encoder.batchNorm == .batch)
    let configuration = recipe.networkConfiguration(classCount: 4)
    #expect(configuration.auxiliary == nil && configuration.encoderOptions.batchNorm == .batch)
    // A stage without weight is no head, and without keys old runs keep their pseudo-labels.
    #expect(try Self.read(["network.auxiliary.stage=2"]).networkConfiguration(classCount: 4).auxiliary == nil)
    let written = try Self.read(["network.auxiliary={stage: 3, weight: 0}", "encoder.batchNorm=batch"])
    #expect(written == recipe && written.weightFingerprint == recipe.weightFingerprint)
  }

  @Test func theKeysReachTheNetwork() throws {
    let keys = Self.single + ["encoder.name=resnet-tiny", "head.name=deeplabv2"]
    let plain = try Self.read(keys)
    let recipe = try Self.read(keys + ["network.auxiliary={weight: 0.1}", "encoder.batchNorm=frozen"])
    let configuration = recipe.networkConfiguration(classCount: 4)
    #expect(configuration.auxiliary == AuxiliaryHead(stage: 3))
    #expect(configuration.encoderOptions.batchNorm == .frozen)
    #expect(recipe.weightFingerprint != plain.weightFingerprint)
    let again = try Self.read(keys + ["network.auxiliary={stage: 3, weight: 0.1}", "encoder.batchNorm=frozen"])
    #expect(again == recipe && recipe.resolvedYAML.contains("batchNorm: frozen"))
    #expect(try Self.read(keys + ["encoder.batchNorm=fixed-scale"]).encoder.batchNorm == .fixedScale)
  }

  @Test(arguments: [
    (["network.auxiliary.weight=0.1"], "network.auxiliary needs one resolution, not hrda"),
    (single + ["network.auxiliary={stage: 5, weight: 0.1}"], "network.auxiliary.stage is 5; expected a whole number"),
    (single + ["network.auxiliary={weight: -1}"], "network.auxiliary.weight is -1; expected a number of at least 0"),
    (["encoder.batchNorm=frozen"], "encoder.batchNorm is frozen, but encoder b5 has no batch norms"),
    (["encoder={name: resnet-tiny, batchNorm: fixed}"], "encoder.batchNorm is fixed; expected"),
  ]) func whatDoesNotFitIsRefused(_ overrides: [String], _ what: String) {
    let complaint = Self.complaint(overrides)
    #expect(complaint?.hasPrefix(what) == true, "\(complaint ?? "no complaint")")
  }

  /// Neither gradients nor decay move what is not trained, with either optimizer.
  @Test(arguments: ["adamw", "sgd"], ["frozen", "fixed-scale"]) func whatIsNotTrainedStays(
    optimizer: String, batchNorm: String
  ) throws {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "batch.global=2", "head={name: deeplabv2}", "attention={}", "optimizer.name=\(optimizer)",
        "optimizer.weightDecay=0.5", "encoder={name: resnet-tiny, batchNorm: \(batchNorm)}",
        "network={resolution: context-only, contextScale: 0.5, auxiliary: {weight: 0.1}}",
      ], environment: [:], catalogue: .standard)
    let experiment = try Experiment(recipe, on: SoloCommunicator())
    let parameters = experiment.step.parts.student.parameters
    let (values, buffers) = (parameters.values.values, parameters.buffers.values)
    for step in 0..<3 {
      let record = try experiment.step.run(try experiment.loader.batches(step: step), step: step)
      let names = record.losses.map(\.name)
      #expect(names.contains("source.auxiliary") && names.contains("mixed.auxiliary"))
    }
    for slice in parameters.slices {
      let stays = Array(values[slice.range]) == Array(parameters.values.values[slice.range])
      #expect(stays == !slice.isTrained, "\(slice.name)")
    }
    #expect((buffers == parameters.buffers.values) == (batchNorm == "frozen"))
  }
}
