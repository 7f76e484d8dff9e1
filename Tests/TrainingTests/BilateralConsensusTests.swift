// DiGA's stages in whole steps: terms, what the consensus leaves, centroids from a survey, and equal bits however the batch
// is cut.

import Adaptation
import Collectives
import CollectivesTesting
import Foundation
import Methods
import Recipes
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct BilateralConsensusTests {
  private func recipe(_ overrides: [String], method: String = "diga") throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "method=\(method)", "teacher.threshold=0", "teacher.confidence=none", "featureDistance.weight=0",
      ] + overrides, environment: [:], catalogue: .standard)
  }

  private static let one = ["network.resolution=context-only", "network.contextScale=1"]
  private static let detail = ["network.resolution=detail-only"]

  private struct Outcome {
    let losses: [String: Double]
    let digests: StateDigests
    let centroids: [Float]
  }

  /// Losses of the second step, digests and centroids after it, by rank.
  private func train(_ overrides: [String], method: String = "diga", ranks: Int = 1) throws -> [Outcome] {
    let recipe = try recipe(overrides, method: method)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let records = try (0..<2).map { step in
        try experiment.survey(before: step)
        return try experiment.step.run(try experiment.loader.batches(step: step), step: step)
      }
      let objective = experiment.step.parts.objectives.lazy.compactMap { $0 as? BilateralConsensus }.first
      return Outcome(
        losses: Dictionary(uniqueKeysWithValues: records[1].losses.map { ($0.name, $0.value) }),
        digests: try experiment.digests, centroids: objective?.centroids.values.values ?? [])
    }
  }

  @Test(arguments: [[], one, detail]) func termsOfBothStages(_ network: [String]) throws {
    let distillation = ["source.NAME", "source.NAME.second"]
    func names(_ method: String) -> Set<String> {
      Set(distillation.map { $0.replacing("NAME", with: method) })
    }
    let warmUp = try train(network, method: "diga-dg")[0].losses
    let second = try train(network)[0].losses
    #expect(names("diga-dg").isSubset(of: warmUp.keys) && names("diga").isSubset(of: second.keys))
    #expect(second.keys.contains { $0.hasPrefix("mixed.") } && !warmUp.keys.contains { $0.hasPrefix("mixed.") })
    #expect((Array(warmUp.values) + second.values).allSatisfy { $0.isFinite && $0 > 0 })
  }

  @Test(arguments: [
    [], one, detail, one + ["methodOptions.distillation.hardPixels={threshold: 0.7, kept: 3000}"],
    one + ["methodOptions.distillation.adaptNormalisation=true", "methodOptions.countCap=3"],
  ])
  func ranksTeamsAndMicroBatchesGiveTheSameBits(_ options: [String]) throws {
    for accumulate in [1, 2] {
      let parts = options + ["batch.accumulate=\(accumulate)"]
      let one = try train(parts)[0].digests
      #expect(try train(parts + ["optimizer.shardMoments=true"], ranks: 2).map(\.digests) == [one, one])
      guard options.isEmpty else { continue }
      #expect(try train(parts + ["batch.cropShards=2"], ranks: 4).map(\.digests) == [one, one, one, one])
    }
  }

  @Test(arguments: [[], one + ["methodOptions.mixture=true", "methodOptions.hardPixels={}"]])
  func theWarmUpGivesTheSameBitsToo(_ options: [String]) throws {
    let one = try train(options, method: "diga-dg")[0].digests
    #expect(try train(options, method: "diga-dg", ranks: 2).map(\.digests) == [one, one])
    guard options.isEmpty else { return }
    let shared = try train(["batch.cropShards=2"], method: "diga-dg", ranks: 4)
    #expect(shared.map(\.digests) == [one, one, one, one])
  }

  @Test func optionsChangeSomething() throws {
    let plain = try train(Self.one)[0]
    for option in [
      "consensus=false", "momentum=0.5", "leastCells=100", "countCap=1", "distillation.noisyTeacher=false",
      "distillation.mixture=false", "distillation.adaptNormalisation=true", "distillation.second=0.25",
      "distillation.hardPixels={kept: 100}",
    ] {
      let other = try train(Self.one + ["methodOptions.\(option)"])[0]
      #expect(
        other.digests.student != plain.digests.student || other.digests.objective != plain.digests.objective
          || other.digests.teacher != plain.digests.teacher, "\(option)")
    }
  }

  @Test func aSurveyGivesCentroidsAndStepsMoveThem() throws {
    let experiment = try Experiment(try recipe(Self.one), on: SoloCommunicator())
    let objective = try #require(
      experiment.step.parts.objectives.lazy.compactMap { $0 as? BilateralConsensus }.first)
    #expect(objective.centroids.values.values.allSatisfy { $0 == 0 })
    try experiment.survey(before: 0)
    let first = objective.centroids.values.values
    let channels = objective.centroids.values.channels
    let seen = stride(from: 0, to: first.count, by: channels).filter { start in
      first[start..<start + channels].contains { $0 != 0 }
    }
    #expect(!seen.isEmpty && first.allSatisfy(\.isFinite))
    // Means by a sum, and one after the other: with a cap that no class reaches they are the same but for rounding.
    let other = try train(Self.one + ["methodOptions.countCap=1000", "methodOptions.momentum=0"])[0].centroids
    #expect(zip(first, other).allSatisfy { abs($0 - $1) < 1e-5 * (1 + abs($0)) })
    _ = try experiment.step.run(try experiment.loader.batches(step: 0), step: 0)
    let moved = objective.centroids.values.values
    #expect(moved != first && zip(first, moved).allSatisfy { abs($0 - $1) < 0.1 })
  }

  @Test func labelsThatTheCentroidsDoNotShareAreLeftOut() throws {
    func labelled(_ overrides: [String]) throws -> (Int, [LabelMap]) {
      let experiment = try Experiment(try recipe(Self.one + overrides), on: SoloCommunicator())
      try experiment.survey(before: 0)
      let record = try experiment.step.run(try experiment.loader.batches(step: 0), step: 0)
      let maps = record.pseudoLabels.map(\.labels)
      return (maps.reduce(0) { $0 + $1.values.count { $0 != LabelMap.ignored } }, maps)
    }
    let (all, before) = try labelled(["methodOptions.consensus=false"])
    let (some, after) = try labelled([])
    #expect(some < all)
    for (first, second) in zip(before, after) {
      #expect(zip(first.values, second.values).allSatisfy { $0 == $1 || $1 == LabelMap.ignored })
    }
  }

  @Test(arguments: [
    ("diga", ["head={name: deeplabv2}", "attention.width=256", "network.detailCrop=64x64"], "head.name is deeplabv2"),
    ("diga-dg", ["methodOptions.adaptNormalisation=true", "data.target="], "data.target is missing"),
    ("diga", ["methodOptions.distillation.beta=1.5"], "methodOptions.distillation.beta "),
    ("source-only", ["objectives={diga: {}}"], "objectives.diga hangs on the pass mixed"),
  ])
  func mistakesAreRefused(_ method: String, _ settings: [String], _ complaint: String) {
    do {
      _ = try recipe(settings, method: method)
      Issue.record("\(settings) was taken")
    } catch let failure as Failure {
      #expect(failure.status == .badData && failure.what.hasPrefix(complaint), "\(failure)")
    } catch { Issue.record(error) }
  }

  @Test func theDistillationMayBeAddedToAnyMethodWithASource() throws {
    let added = try train(["objectives={diga-dg: {mixture: true}}"], method: "hrda")[0].losses
    #expect(added["source.diga-dg"] != nil && added["mixed.fused"] != nil)
    let both = try train(["objectives={diga-dg: {}}"])[0].losses
    #expect(both["source.diga-dg"] != nil && both["source.diga"] != nil)
  }
}
