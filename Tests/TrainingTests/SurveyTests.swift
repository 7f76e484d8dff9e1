// Surveys: the same sums on any number of ranks and after an interruption, and the first values that they give.

import Adaptation
import Collectives
import CollectivesTesting
import Foundation
import Methods
import Recipes
import Storage
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct SurveyTests {
  private func recipe(_ overrides: [String] = []) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    // 520 small images: two rounds, the last chunk of the first full, that of the second alone.
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "method=spcl", "data.source.count=520", "data.source.size=70x44", "data.target.size=70x44", "crop.size=64x32",
        "network.resolution=context-only", "network.contextScale=1", "network.detailCrop=64x32", "batch.global=2",
        "featureDistance.weight=0", "rareClassSampling.enabled=false", "evaluation.crop=64x32",
        "evaluation.stride=64x32",
      ] + overrides, environment: [:], catalogue: .standard)
  }

  private func prototypes(_ experiment: Experiment) throws -> [Float] {
    try #require(experiment.step.parts.objectives.lazy.compactMap { $0 as? SemanticPrototypes }.first).prototypes.values
  }

  @Test func anyNumberOfRanksGivesTheSamePrototypes() throws {
    let recipe = try recipe()
    let found = try [1, 2, 3].map { ranks in
      try LoopbackCommunicator.run(ranks: ranks) { communicator in
        // Three ranks cannot share two samples: the data are what counts here.
        let experiment = try Experiment(
          ranks == 3 ? try self.recipe(["batch.global=3"]) : recipe, on: communicator)
        #expect(try experiment.survey(before: 0))
        return try prototypes(experiment)
      }
    }
    let one = found[0][0]
    #expect(found.allSatisfy { $0.allSatisfy { $0 == one } })
    #expect(one.contains { $0 != 0 } && one.allSatisfy(\.isFinite))
    let lengths = stride(from: 0, to: one.count, by: one.count / 19).map { first in
      one[first..<first + one.count / 19].reduce(0) { $0 + $1 * $1 }
    }
    #expect(lengths.allSatisfy { $0 <= 1.0001 }, "means of unit vectors are no longer than 1")
    #expect(lengths.contains { $0 > 0.1 })
  }

  @Test func aSurveyGoesOnAfterAnInterruption() throws {
    let recipe = try recipe()
    let whole = try Experiment(recipe, on: SoloCommunicator())
    #expect(try whole.survey(before: 0))
    let first = try Experiment(recipe, on: SoloCommunicator())
    var rounds = 0
    let isDone = try first.survey(
      before: 0,
      while: {
        rounds += 1
        return rounds < 2
      })
    #expect(!isDone && rounds == 2)
    #expect(try prototypes(first).allSatisfy { $0 == 0 })
    #expect(try first.digests.objective != whole.digests.objective, "the sums so far are part of the state")
    #expect(try first.survey(before: 0))
    #expect(try prototypes(first) == prototypes(whole))
    #expect(try first.digests == whole.digests)
    var asked = 0
    #expect(
      try first.survey(
        before: 0,
        while: {
          asked += 1
          return true
        }))
    #expect(asked == 0, "what is done is not done again")
    #expect(try first.survey(before: 1) && first.digests == whole.digests, "it is due before step 0 only")
  }

  /// Digests after three steps with the survey before them, by rank.
  private func train(_ overrides: [String], ranks: Int) throws -> [StateDigests] {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      for step in 0..<3 {
        try experiment.survey(before: step)
        let record = try experiment.step.run(try experiment.loader.batches(step: step), step: step)
        #expect(record.losses.count { $0.name.hasSuffix(".spcl") } == 2, "\(record.losses)")
      }
      return try experiment.digests
    }
  }

  @Test(arguments: [
    ["method=spcl"],
    ["objectives.spcl.target=mixed", "objectives.spcl.temperature=0.1", "teacher.confidence=pixel"],
  ])
  func contrastKeepsTheBits(_ method: [String]) throws {
    let one = try train(method, ranks: 1)[0]
    #expect(one.objective != nil)
    for (ranks, more) in [(2, []), (4, []), (4, ["batch.cropShards=2"]), (2, ["optimizer.shardMoments=true"])] {
      #expect(try train(method + more, ranks: ranks) == Array(repeating: one, count: ranks), "\(ranks) ranks \(more)")
    }
    let parts = try train(method + ["batch.accumulate=2"], ranks: 1)[0]
    #expect(try train(method + ["batch.accumulate=2"], ranks: 2) == [parts, parts])
    #expect(parts.student != one.student, "their number is part of the recipe")
  }
}
