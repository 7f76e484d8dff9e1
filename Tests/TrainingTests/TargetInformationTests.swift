// EHTDI's variants and released defects: what they add, and equal bits however the batch is cut.

import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Support
import Testing
import Training

@Suite(.serialized) struct TargetInformationTests {
  private func recipe(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "method=ehtdi", "methodOptions.view=64", "methodOptions.limit=0.08", "labels.source=student",
        "teacher.threshold=0", "teacher.confidence=none", "loss.normalisation=labelled", "network.detailCrop=64x64",
      ] + overrides, environment: [:], catalogue: .standard)
  }

  private static let auxiliary = [
    "network.resolution=context-only", "network.contextScale=1", "network.auxiliary={stage: 3, weight: 0.1}",
  ]

  /// Losses of the first step and digests after two, by rank.
  private func train(
    _ overrides: [String], ranks: Int = 1
  ) throws -> [(losses: [String: Double], digests: StateDigests)] {
    let recipe = try recipe(overrides)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let records = try (0..<2).map {
        try experiment.step.run(try experiment.loader.batches(step: $0), step: $0)
      }
      return (Dictionary(uniqueKeysWithValues: records[0].losses.map { ($0.name, $0.value) }), try experiment.digests)
    }
  }

  @Test func termsAreThoseOfTheHeadsThatThereAre() throws {
    let plain = try train(Self.auxiliary)[0].losses
    let own = ["mixed.main", "mixed.auxiliary", "mixed.prototypes", "mixed.pixels", "recut.main"]
    let source = ["source.fused", "source.auxiliary", "source.feature-distance"]
    #expect(Set(plain.keys) == Set(source + own))
    #expect(plain.values.allSatisfy { $0.isFinite && $0 > 0 })
    let edges = try train(Self.auxiliary + ["methodOptions.edges=true"])[0].losses
    let more = ["mixed.edge.main", "mixed.edge.auxiliary", "recut.auxiliary", "recut.edge.main"]
    #expect(Set(edges.keys) == Set(source + own + more))
    let one = try train(["methodOptions.contrastWeight=0", "featureDistance.weight=0"])[0].losses
    #expect(Set(one.keys) == ["source.fused", "source.detail", "mixed.main", "recut.main"])
  }

  @Test(arguments: [
    [], ["methodOptions.edges=true"], auxiliary + ["methodOptions.edges=true"],
    auxiliary + ["methodOptions.shiftedPick=true", "methodOptions.predictedPaste=true"],
    auxiliary + ["methodOptions.firstImageRecut=true", "methodOptions.firstImagePrototypes=true"],
  ])
  func ranksAndMicroBatchesGiveTheSameBits(_ options: [String]) throws {
    for accumulate in [1, 2] {
      let parts = options + ["batch.accumulate=\(accumulate)"]
      let one = try train(parts)[0].digests
      #expect(try train(parts, ranks: 2).map(\.digests) == [one, one])
      guard options.allSatisfy({ !$0.hasPrefix("network") }) else { continue }
      #expect(try train(parts + ["batch.cropShards=2"], ranks: 4).map(\.digests) == [one, one, one, one])
    }
  }

  @Test func defectsOfTheReleasedCodeChangeSomething() throws {
    // All pixels are confident enough, pasted ones too.
    let all = Self.auxiliary + ["methodOptions.limit=0"]
    let corrected = try train(all)[0]
    for defect in ["shiftedPick", "firstImageRecut", "firstImagePrototypes", "predictedPaste"] {
      let other = try train(all + ["methodOptions.\(defect)=true"])[0]
      #expect(other.digests.student != corrected.digests.student, "\(defect)")
    }
  }

  @Test func aNetworkThatDoesNotSeeAViewIsRefused() throws {
    for (setting, what) in [("network.resolution=detail-only", "detail crop"), ("network.detailCrop=88x64", "smaller")]
    {
      do {
        let experiment = try Experiment(try recipe([setting]), on: SoloCommunicator())
        _ = try experiment.step.run(try experiment.loader.batches(step: 0), step: 0)
        Issue.record("\(setting) was taken")
      } catch let failure as Failure {
        #expect(failure.status == .badData && failure.what.contains(what), "\(failure)")
      }
    }
  }

  @Test func viewsThatNoNetworkFitsAreRefused() {
    for (option, key) in [("view=100", "view"), ("area=[0.5, 0.4]", "area")] {
      do {
        _ = try recipe(["methodOptions.\(option)"])
        Issue.record("\(option) was taken")
      } catch let failure as Failure {
        #expect(failure.status == .badData && failure.what.hasPrefix("methodOptions.\(key) "), "\(failure)")
      } catch { Issue.record(error) }
    }
  }
}
