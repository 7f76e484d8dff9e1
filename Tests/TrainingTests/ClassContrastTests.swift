// CLUDA on one and two resolutions: its terms, its head, a detail crop for each image, and equal bits however the batch is
// cut.

import Adaptation
import Collectives
import CollectivesTesting
import Foundation
import Methods
import Recipes
import Tensors
import Testing
import Training

@Suite(.serialized) struct ClassContrastTests {
  private func recipe(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: ["method=cluda", "methodOptions.grid=7"] + overrides, environment: [:], catalogue: .standard)
  }

  private static let one = ["network.resolution=context-only", "network.contextScale=1"]
  private static let detail = ["network.resolution=detail-only", "featureDistance.weight=0"]
  /// From the second step on.
  private static let boxes = ["methodOptions.entropyBoxes=0"]

  /// Losses of the second step and digests after it, by rank.
  private func train(
    _ overrides: [String], ranks: Int = 1
  ) throws -> [(losses: [String: Double], digests: StateDigests)] {
    let recipe = try recipe(overrides)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let records = try (0..<2).map {
        try experiment.step.run(try experiment.loader.batches(step: $0), step: $0)
      }
      return (Dictionary(uniqueKeysWithValues: records[1].losses.map { ($0.name, $0.value) }), try experiment.digests)
    }
  }

  @Test(arguments: [[], one, detail])
  func itAddsATermToBothPasses(_ network: [String]) throws {
    let found = try train(network)[0]
    let terms = ["source.cluda", "mixed.cluda"].compactMap { found.losses[$0] }
    #expect(terms.count == 2 && terms.allSatisfy { $0 > 0 && $0.isFinite })
    let heavier = try train(network + ["methodOptions.weight=2"])[0]
    #expect(heavier.digests.student != found.digests.student)
    let off = try train(network + ["methodOptions.weight=0"])[0].losses
    #expect(
      off["source.cluda"] == nil && off["source.detail"] == found.losses["source.detail"]
        || off.count < found.losses.count)
  }

  @Test(arguments: [
    [], boxes, one, detail, ["methodOptions.shuffledLabels=true"],
    boxes + [
      "methodOptions.anchorsAlone=true", "methodOptions.ignoredIsClass=true", "network.fusionOrder=resize-first",
    ],
  ])
  func ranksTeamsAndMicroBatchesGiveTheSameBits(_ options: [String]) throws {
    for accumulate in [1, 2] {
      let parts = options + ["batch.accumulate=\(accumulate)"]
      let one = try train(parts)[0].digests
      #expect(try train(parts + ["optimizer.shardMoments=true"], ranks: 2).map(\.digests) == [one, one])
      guard options.allSatisfy({ !$0.hasPrefix("network.resolution") }) else { continue }
      #expect(try train(parts + ["batch.cropShards=2"], ranks: 4).map(\.digests) == [one, one, one, one])
    }
  }

  @Test func optionsChangeSomething() throws {
    let plain = try train([])[0].digests.student
    for option in [
      "methodOptions.shuffledLabels=true", "methodOptions.anchorsAlone=true", "methodOptions.unpaired=[0, 1, 2]",
      "methodOptions.entropyBoxes=0", "network.fusionOrder=resize-first",
    ] {
      #expect(try train([option])[0].digests.student != plain, "\(option)")
    }
    #expect(try train(Self.one)[0].digests != train(Self.one + ["methodOptions.temperature=0.1"])[0].digests)
  }

  @Test func theHeadOfTwoResolutionsLearns() throws {
    let experiment = try Experiment(try recipe([]), on: SoloCommunicator())
    let slices = experiment.student.parameters.slices.filter { $0.owner == "cluda" }
    #expect(slices.contains { $0.name.hasSuffix("conv_seg.weight") })
    let before = experiment.student.parameters.values.values
    for step in 0..<2 { _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step) }
    let after = experiment.student.parameters.values.values
    #expect(slices.allSatisfy { Array(before[$0.range]) != Array(after[$0.range]) })
    let one = try Experiment(try recipe(Self.one), on: SoloCommunicator())
    #expect(!one.student.parameters.slices.contains { $0.owner != nil })
  }

  @Test func theWindowOfHighestEntropyIsFound() {
    // Sure on the left, undecided at the bottom right; of equal windows the first is taken.
    let logits = Tensor((0..<16).flatMap { [$0 % 4 < 2 ? 5 : 0.1, Float(0)] }, [1, 4, 4, 2])
    let windows = [
      Box(top: 0, bottom: 8, left: 0, right: 8), Box(top: 0, bottom: 8, left: 8, right: 16),
      Box(top: 8, bottom: 16, left: 8, right: 16),
    ]
    let found = entropyBoxes(logits, height: 16, width: 16, windows: windows)
    #expect(found.boxes == [windows[1]] && found.means[1] == found.means[2] && found.means[0] < found.means[1])
    let even = entropyBoxes(Tensor(zeros: [1, 4, 4, 2]), height: 16, width: 16, windows: windows)
    #expect(even.boxes == [windows[0]] && even.entropies.allSatisfy { abs($0 - 0.5) < 1e-6 })
  }
}
