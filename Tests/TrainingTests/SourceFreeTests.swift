// Runs without a source: what they need, what they do without, and that ranks do not matter to them.

import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct SourceFreeTests {
  private func recipe(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: ["method=target-only", "init=start.h5", "data.source="] + overrides, environment: [:],
      catalogue: .standard)
  }

  @Test func aTrainedNetworkIsNeeded() throws {
    let failure = #expect(throws: Failure.self) { _ = try recipe(["init="]) }
    #expect(failure?.description == "--set init: init is missing; method target-only starts from a trained network")
  }

  @Test func nothingAsksForSource() throws {
    // Classes and cells of the feature distance, which needs a source, do not matter.
    _ = try recipe(["featureDistance.classes=[77]", "crop.size=144x112", "network.detailCrop=64x64"])
    let failure = #expect(throws: Failure.self) { _ = try recipe(["data.target="]) }
    #expect(failure?.what == "data.target is missing; method target-only learns from it")
  }

  /// Digests, records' losses and figures about labels after four steps, by rank.
  private func train(_ overrides: [String] = [], ranks: Int) throws -> [(StateDigests, [String], PseudoLabelFigures?)] {
    // Drawn weights stand for the trained ones: nothing is read without a store.
    let recipe = try recipe(overrides)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let watch = PseudoLabelWatch(
        classes: experiment.classes.names, threshold: 0.08, every: 4, completedSteps: 0, on: communicator)
      var losses: [String] = []
      for step in 0..<4 {
        let batches = try experiment.loader.batches(step: step)
        #expect(batches.allSatisfy { $0.source == nil })
        let record = try experiment.step.run(batches, step: step)
        for labels in record.pseudoLabels { watch.add(labels, source: nil) }
        losses = record.losses.map { "\($0.name) \($0.value)" }
      }
      return (try experiment.digests, losses, try watch.figures(completed: 4))
    }
  }

  @Test func ranksKeepTheBits() throws {
    let one = try train(ranks: 1)[0]
    #expect(one.1.map { $0.prefix(6) } == ["mixed.", "mixed."], "\(one.1)")
    #expect(one.2?.coverage.isEmpty == false && one.2?.source.isEmpty == true && one.2?.distance == nil)
    for (ranks, more) in [(2, []), (4, []), (4, ["batch.cropShards=2"]), (2, ["optimizer.shardMoments=true"])] {
      let many = try train(more, ranks: ranks)
      #expect(many.allSatisfy { $0.0 == one.0 && $0.1 == one.1 && $0.2 == one.2 }, "\(ranks) ranks \(more)")
    }
    let parts = try train(["batch.accumulate=2"], ranks: 1)[0]
    #expect(try train(["batch.accumulate=2"], ranks: 2).allSatisfy { $0.0 == parts.0 })
    let bare = try train(["mix.jitterThreshold=1", "mix.blurThreshold=1"], ranks: 1)[0]
    #expect(bare.0.student != one.0.student, "images are jittered and blurred unless the recipe says otherwise")
  }

  @Test func aMaskedPassMayBeAdded() throws {
    let one = try train(["objectives.mic.block=32"], ranks: 1)[0]
    #expect(one.1.contains { $0.hasPrefix("masked.") })
    #expect(try train(["objectives.mic.block=32"], ranks: 2).allSatisfy { $0.0 == one.0 })
  }
}
