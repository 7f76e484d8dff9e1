// How the global batch is cut, and which cuts keep the promise of equal bits.

import Collectives
import DataParallel
import Support
import Testing

@Suite struct ShardPlanTests {
  @Test func blocksAreContiguousAndCoverTheBatch() throws {
    let plan = try ShardPlan(globalBatch: 12, worldSize: 3)
    #expect((0..<3).flatMap { Array(plan.samples(of: $0)) } == Array(0..<12))
    #expect((0..<12).allSatisfy { plan.samples(of: plan.rank(of: $0)).contains($0) })
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

  @Test func emptyBatchIsRefused() {
    #expect(throws: Failure.self) { try ShardPlan(globalBatch: 0, worldSize: 1) }
  }
}
