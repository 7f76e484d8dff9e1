// The promise of the product on real MPI ranks: how a run is cut over ranks and threads changes no bit of it.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct InvarianceTests {
  @Test func theRecipeExercisesEveryTerm() async throws {
    let steps = try await referenceRun.value.steps
    #expect(steps.map(\.step) == Array(1...20))
    let distances = steps.compactMap { $0.losses["source.feature-distance"] }
    #expect(distances.count == 20 && distances.contains { $0 > 0 })
    let confident = steps.compactMap { $0.losses["confident-share"] }
    #expect(confident.count == 20 && confident.contains { $0 > 0.01 && $0 < 0.99 })
    #expect(Set(steps.map(\.learningRate)).count == 20)
  }

  @Test(arguments: [(1, 2), (2, 1), (4, 1)]) func everyLayoutGivesTheSameBits(ranks: Int, threads: Int) async throws {
    let state = try await train(ranks: ranks > 1 ? ranks : nil, threads: threads)
    let reference = try await referenceRun.value
    #expect(state.layout.worldSize == ranks && state.layout.threads == threads)
    #expect(reference.layout.worldSize == 1 && reference.layout.threads == 1)
    #expect(state.layout.reproducibleAcrossRanks)
    #expect(state.digests == reference.digests)
    #expect(state.steps == reference.steps)
  }

  @Test(arguments: [(2, 2, 1), (4, 2, 1), (4, 4, 1), (8, 4, 2)])
  func sharedCropsGiveTheSameBits(ranks: Int, shards: Int, threads: Int) async throws {
    let state = try await train(ranks: ranks, threads: threads, set: "batch.cropShards=\(shards)")
    #expect(state.layout.worldSize == ranks && state.layout.reproducibleAcrossRanks)
    #expect(state.matches(try await referenceRun.value))
  }

  @Test func accumulatedGradientsGiveTheSameBitsAndGoOn() async throws {
    let settings = ["batch.global=8", "batch.accumulate=2"]
    let one = try await train(steps: 6, set: settings[0], settings[1])
    #expect(one.layout.globalBatch == 8 && one.layout.reproducibleAcrossRanks)
    let shared = try await train(ranks: 4, threads: 2, steps: 6, set: settings[0], settings[1], "batch.cropShards=2")
    #expect(shared.matches(one))

    let folder = try TemporaryFolder()
    let run = folder.file("run")
    let options = settings.flatMap { ["--set", $0] }
    let half = try await startTraining(in: run, ranks: 4, options + ["--steps", "3"])
    try #require(half.status == 0, "\(half)")
    let other = try await startTraining(in: run, ["--set", "batch.global=8", "--steps", "6", "--resume"])
    #expect(other.refuses(65, "batch.accumulate: 2 -> 1", "--set batch.accumulate=1"), "\(other)")
    let rest = try await startTraining(in: run, ranks: 2, options + ["--steps", "6", "--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(run).matches(one))
    #expect(try String(contentsOfFile: run + "/recipe.yaml", encoding: .utf8).contains("  accumulate: 2\n"))
  }

  @Test func momentsDealtOutGiveTheSameBitsAndGoOn() async throws {
    let settings = ["batch.global=8", "batch.accumulate=2", "batch.cropShards=2"]
    let one = try await train(steps: 6, set: settings[0], settings[1])
    let folder = try TemporaryFolder()
    let run = folder.file("run")
    let options = (settings + ["optimizer.shardMoments=true", "checkpoint.sharded=true"]).flatMap { ["--set", $0] }
    let half = try await startTraining(in: run, ranks: 4, options + ["--steps", "3"])
    try #require(half.status == 0, "\(half)")
    let rest = try await startTraining(in: run, ranks: 2, options + ["--steps", "6", "--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(run).matches(one))
    #expect(try TrainedState(run).layout.reproducibleAcrossRanks)
    #expect(try await train(ranks: 4, set: "optimizer.shardMoments=true").matches(try await referenceRun.value))
  }

  @Test func microBatchesThatDoNotFitTheRanksAreRefused() async throws {
    let folder = try TemporaryFolder()
    let result = try await startTraining(in: folder.file("run"), ranks: 4, ["--set", "batch.accumulate=2"])
    #expect(
      result.refuses(
        65, "batch.accumulate: a micro-batch of 2 samples (4 in 2 parts) cannot be cut into 4 equal parts",
        "use 2 ranks, batch.accumulate: 1, or batch.global: 8"), "\(result)")
  }

  @Test func groupsThatDoNotFitTheRanksAreRefused() async throws {
    let folder = try TemporaryFolder()
    let alone = try await startTraining(in: folder.file("run"), ["--set", "batch.cropShards=2"])
    #expect(
      alone.refuses(65, "batch.cropShards: 1 rank cannot form groups of 2", "use batch.cropShards: 1"), "\(alone)")
    let native = try await startTraining(
      in: folder.file("run"), ranks: 2, ["--set", "batch.cropShards=2", "--set", "reduction=native"])
    #expect(native.refuses(65, "batch.cropShards: 2 ranks share crops"), "\(native)")
  }

  @Test func anotherSeedGivesOtherBits() async throws {
    let state = try await train(set: "seed=8")
    let reference = try await referenceRun.value
    #expect(state.digests.studentDigest != reference.digests.studentDigest)
    #expect(state.digests.teacherDigest != reference.digests.teacherDigest)
    #expect(state.digests.optimizerDigest != reference.digests.optimizerDigest)
    #expect(zip(state.steps, reference.steps).allSatisfy { $0.losses != $1.losses })
  }

  @Test func threeRanksOfTwoSamplesEqualOneRank() async throws {
    let one = try await train(steps: 6, set: "batch.global=6")
    let three = try await train(ranks: 3, steps: 6, set: "batch.global=6")
    #expect(three.layout.worldSize == 3 && three.layout.globalBatch == 6 && three.layout.reproducibleAcrossRanks)
    #expect(three.matches(one))
  }

  @Test func blocksOfThreeSamplesRunWithoutThePromise() async throws {
    let state = try await train(ranks: 2, steps: 2, set: "batch.global=6")
    #expect(state.layout.worldSize == 2 && state.layout.step == 2)
    #expect(!state.layout.reproducibleAcrossRanks)
  }

  @Test func theLowestLevelOfAnyRankHoldsForAll() async throws {
    let avx2 = ["APUS_CPU_LEVEL": "avx2"]
    let one = try await train(steps: 6, environment: avx2)
    let two = try await train(ranks: 2, steps: 6, environment: avx2)
    #expect(two.matches(one))

    let folder = try TemporaryFolder()
    let script = "[ \"$OMPI_COMM_WORLD_RANK\" = 1 ] && export APUS_CPU_LEVEL=avx2; exec \"$@\""
    let mixed = try await runRanks(
      2,
      ["-c", script, "sh", apusExecutable.path, "train", testRecipe, "--run-directory", folder.file("run")]
        + ["--steps", "6"], of: URL(filePath: "/bin/sh"), environment: ["APUS_THREADS": "1"], timeout: 300)
    try #require(mixed.status == 0, "\(mixed)")
    #expect(try TrainedState(folder.file("run")).matches(one))

    // Where the processor offers more, the levels differ in their last bits: the variable has done something.
    let machine = try apus("doctor", "--json").object()["machine"] as? [String: Any]
    let free = try await train(steps: 6)
    #expect(free.matches(one) == (machine?["cpuLevel"] as? String != "avx512"))
  }
}
