// Whole training steps on ranks that are threads of this process: the promised tree keeps the bits, another does not.

import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct InvarianceTests {
  /// State digests after four steps, by rank.
  private func train(
    _ overrides: [String] = [], ranks: Int, order: [Int]? = nil
  ) throws -> [StateDigests] {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator, reductionOrder: order)
      for step in 0..<4 { _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step) }
      return try experiment.digests
    }
  }

  @Test func fourRanksEqualOneAndAnotherTreeDoesNot() throws {
    let one = try train(ranks: 1)[0]
    #expect(one.student != one.teacher)
    #expect(try train(ranks: 4) == Array(repeating: one, count: 4))

    let permuted = try train(ranks: 4, order: [0, 2, 1, 3])
    #expect(permuted == Array(repeating: permuted[0], count: 4), "every rank still holds the same sums")
    #expect(permuted[0].student != one.student)
    #expect(permuted[0].teacher != one.teacher)
    #expect(permuted[0].optimizer != one.optimizer)
  }

  @Test func maskedConsistencyKeepsTheBitsToo() throws {
    let mic = ["method=mic", "methodOptions.block=32"]
    let one = try train(mic, ranks: 1)[0]
    #expect(try train(mic, ranks: 2) == Array(repeating: one, count: 2))
    #expect(try train(mic, ranks: 4) == Array(repeating: one, count: 4))
    let host = try train(ranks: 1)[0]
    #expect(one.student != host.student, "the masked pass must change something")
    #expect(try train(mic + ["methodOptions.weight=0"], ranks: 1)[0] == host)
  }

  @Test func sharedCropsKeepTheBits() throws {
    let one = try train(["batch.global=4"], ranks: 1)[0]
    for (ranks, shards) in [(2, 2), (4, 2), (8, 2), (4, 4), (8, 4)] {
      let many = try train(["batch.global=4", "batch.cropShards=\(shards)"], ranks: ranks)
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks, \(shards) share crops")
    }
  }

  @Test func momentsDealtOutKeepTheBits() throws {
    let shards = ["optimizer.shardMoments=true"]
    let one = try train(ranks: 1)[0]
    for (ranks, bucket) in [(1, "auto"), (2, "1"), (4, "auto"), (4, "16")] {
      let many = try train(shards + ["communication.bucketMB=\(bucket)"], ranks: ranks)
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks, buckets of \(bucket)")
    }
    for (ranks, crops) in [(2, 2), (8, 2), (8, 4), (16, 4)] {
      let many = try train(shards + ["batch.cropShards=\(crops)"], ranks: ranks)
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks, \(crops) share crops")
    }
    let six = try train(["batch.global=6"], ranks: 1)[0]
    #expect(try train(shards + ["batch.global=6", "communication.overlap=on"], ranks: 3) == [six, six, six])
  }

  @Test func momentsDealtOutKeepTheBitsOfShortNumbers() throws {
    let whole = try train(["reduction=bf16"], ranks: 4)
    #expect(try train(["reduction=bf16", "optimizer.shardMoments=true"], ranks: 4) == whole)
  }

  @Test func teamsLargerThanThePairKeepTheBits() throws {
    let one = try train(["batch.global=1"], ranks: 1)[0]
    for ranks in [2, 4, 8, 16] {
      let many = try train(["batch.global=1", "batch.cropShards=\(ranks)"], ranks: ranks)
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks")
    }
  }

  @Test func sharedCropsOfMaskedImagesKeepTheBits() throws {
    let mic = ["method=mic", "methodOptions.block=32", "batch.global=2"]
    let one = try train(mic, ranks: 1)[0]
    #expect(try train(mic + ["batch.cropShards=2"], ranks: 4) == Array(repeating: one, count: 4))
  }

  @Test(arguments: [2, 4]) func accumulatedGradientsKeepTheBits(parts: Int) throws {
    defer { WorkerPool.configure(threads: 1) }
    let recipe = ["batch.global=8", "batch.accumulate=\(parts)"]
    let one = try train(recipe, ranks: 1)[0]
    for (ranks, shards) in [(2, 1), (4, 1), (2, 2), (4, 2), (4, 4), (8, 2)] where ranks / shards <= 8 / parts {
      let many = try train(recipe + ["batch.cropShards=\(shards)"], ranks: ranks)
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks, \(shards) share crops")
    }
    let early = ["communication.overlap=on", "communication.bucketMB=1"]
    #expect(try train(recipe + early, ranks: 2) == Array(repeating: one, count: 2))
    WorkerPool.configure(threads: 2)
    #expect(try train(recipe, ranks: 1)[0] == one)
    let others = try train(["batch.global=8", "batch.accumulate=\(6 - parts)"], ranks: 1)[0]
    #expect(others.student != one.student && others.teacher != one.teacher, "their number is part of the recipe")
  }

  @Test func accumulatedMaskedPassesKeepTheBits() throws {
    let mic = ["method=mic", "methodOptions.block=32", "batch.accumulate=2"]
    let one = try train(mic, ranks: 1)[0]
    #expect(try train(mic, ranks: 2) == Array(repeating: one, count: 2))
    let early = ["communication.overlap=on", "communication.bucketMB=1"]
    #expect(try train(mic + early, ranks: 2) == Array(repeating: one, count: 2))
    #expect(try train(mic + ["batch.cropShards=2"], ranks: 4) == Array(repeating: one, count: 4))
  }

  @Test("wide heads, whose convolutions take Winograd's way, keep the bits over threads and ranks")
  func wideHeadsKeepTheBits() throws {
    defer { WorkerPool.configure(threads: 1) }
    let wide = ["head.width=96", "attention.width=64"]
    WorkerPool.configure(threads: 1)
    let one = try train(wide, ranks: 1)[0]
    #expect(try train(wide, ranks: 2) == Array(repeating: one, count: 2))
    for threads in 2...3 {
      WorkerPool.configure(threads: threads)
      #expect(try train(wide, ranks: 1)[0] == one, "\(threads) threads")
    }
    #expect(try train(wide + ["convolution=direct"], ranks: 1)[0] != one, "the heads must be wide enough for tiles")
  }

  @Test func twoRanksHaveOneTreeOnly() throws {
    // Addition commutes: the order of two ranks is no control, which is why the one above takes four.
    #expect(try train(ranks: 2, order: [1, 0]) == train(ranks: 2))
  }
}
