// How the global batch is cut, and which cuts keep the promise of equal bits.

import Collectives
import CollectivesTesting
import DataParallel
import Support
import Testing

@Suite struct ShardPlanTests {
  @Test func blocksAreContiguousAndCoverTheBatch() throws {
    let plan = try ShardPlan(globalBatch: 12, worldSize: 3)
    #expect((0..<3).flatMap { Array(plan.samples(of: $0)) } == Array(0..<12))
    #expect((0..<12).allSatisfy { plan.samples(of: plan.ranks(of: $0).lowerBound).contains($0) })
    #expect(plan.samplesPerRank == 4)
  }

  @Test(arguments: [
    (8, 2, true), (6, 3, true), (6, 2, false), (5, 5, true), (6, 1, true), (2, 1, true), (12, 2, false),
  ])
  func powersOfTwoAreReproducible(batch: Int, ranks: Int, reproducible: Bool) throws {
    #expect(try ShardPlan(globalBatch: batch, worldSize: ranks).isReproducible == reproducible)
  }

  @Test(arguments: [
    (6, 4, "use 3 or 6 ranks, or batch.global: 4 or 8"), (2, 3, "use 2 ranks, or batch.global: 3"),
    (7, 2, "use 1 or 7 ranks, or batch.global: 6 or 8"),
  ])
  func unequalPartsAreRefusedWithChoices(batch: Int, ranks: Int, choices: String) {
    #expect(
      throws: Failure(
        .badData, "a global batch of \(batch) samples cannot be cut into \(ranks) equal parts", at: "batch.global",
        remedy: choices)
    ) { try ShardPlan(globalBatch: batch, worldSize: ranks) }
  }

  @Test func everyRankKnowsItsOwnSamples() throws {
    let samples = try LoopbackCommunicator.run(ranks: 3) { try ShardPlan(globalBatch: 6, on: $0).samples }
    #expect(samples == [0..<2, 2..<4, 4..<6])
  }

  /// Global batch, ranks, ranks that share crops: the size of a team and its samples.
  @Test(arguments: [
    ([8, 8, 1], 1, 1), ([8, 8, 2], 2, 2), ([8, 8, 4], 2, 2), ([8, 16, 4], 2, 1), ([8, 32, 4], 4, 1), ([1, 4, 4], 4, 1),
    ([2, 8, 8], 4, 1), ([6, 6, 2], 2, 2), ([3, 2, 2], 2, 3),
  ])
  func pairsFormBeforeLargerTeams(setting: [Int], teamSize: Int, samples: Int) throws {
    let plans = try (0..<setting[1]).map {
      try ShardPlan(globalBatch: setting[0], cropShards: setting[2], worldSize: setting[1], rank: $0)
    }
    #expect(plans.allSatisfy { $0.teamSize == teamSize && $0.samplesPerRank == samples })
    for plan in plans {
      let mates = plans.filter { $0.samples == plan.samples }.map(\.rank)
      #expect(mates == Array(plan.team) && plan.samples.allSatisfy { Array(plan.ranks(of: $0)) == mates })
      #expect(plan.counterparts == plans.filter { $0.place == plan.place }.map(\.rank))
    }
    let covered = stride(from: 0, to: setting[1], by: teamSize).flatMap { Array(plans[$0].samples) }
    #expect(covered == Array(0..<setting[0]))
  }

  @Test(arguments: [
    ([4, 3, 3], "3 is no power of two", "use 2 or 4"),
    ([4, 1, 2], "1 rank cannot form groups of 2", "start a multiple of 2 ranks, or use batch.cropShards: 1"),
    ([4, 6, 4], "6 ranks cannot form groups of 4", "start a multiple of 4 ranks, or use batch.cropShards: 1 or 2"),
    ([6, 8, 4], "3 samples cannot be shared out equally among 4 ranks", "use batch.cropShards: 2"),
  ])
  func groupsThatDoNotFitAreRefused(setting: [Int], what: String, remedy: String) {
    #expect(throws: Failure(.badData, what, at: "batch.cropShards", remedy: remedy)) {
      try ShardPlan(globalBatch: setting[0], cropShards: setting[2], worldSize: setting[1])
    }
  }

  @Test func everyMicroBatchIsCutAlike() throws {
    let plan = try ShardPlan(globalBatch: 8, microBatches: 2, worldSize: 2, rank: 1)
    #expect(plan.globalBatch == 8 && plan.microBatch == 4 && plan.samples == 2..<4 && plan.isReproducible)
    #expect(plan.ranks(of: 3) == 1..<2)
    #expect(try ShardPlan(globalBatch: 12, microBatches: 3, worldSize: 2).isReproducible)
    #expect(try !ShardPlan(globalBatch: 12, microBatches: 2, worldSize: 2).isReproducible, "blocks of three")
    #expect(try ShardPlan(globalBatch: 8, microBatches: 4, cropShards: 2, worldSize: 4).teamSize == 2)
  }

  @Test(arguments: [
    (
      [8, 4, 4, 1], "a micro-batch of 2 samples (8 in 4 parts)", "use 2 ranks, batch.accumulate: 2, or batch.global: 16"
    ),
    (
      [12, 2, 4, 1], "a micro-batch of 6 samples (12 in 2 parts)",
      "use 3 or 6 ranks, batch.accumulate: 1 or 3, or batch.global: 8 or 16"
    ),
    ([6, 2, 4, 1], "a micro-batch of 3 samples (6 in 2 parts)", "use 3 ranks, or batch.global: 8"),
    (
      [4, 4, 4, 2], "a micro-batch of 1 samples (4 in 4 parts)", "use 2 ranks, batch.accumulate: 2, or batch.global: 8"
    ),
  ])
  func microBatchesThatDoNotFitTheRanksAreRefused(setting: [Int], what: String, remedy: String) {
    let groups = setting[2] / setting[3]
    #expect(
      throws: Failure(
        .badData, "\(what) cannot be cut into \(groups) equal parts", at: "batch.accumulate", remedy: remedy)
    ) {
      try ShardPlan(
        globalBatch: setting[0], microBatches: setting[1], cropShards: setting[3], worldSize: setting[2])
    }
  }

  @Test func emptyBatchIsRefused() {
    #expect(throws: Failure.self) { try ShardPlan(globalBatch: 0, worldSize: 1) }
  }
}
