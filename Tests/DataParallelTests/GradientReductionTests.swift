// Gradients over samples and ranks: the same bits for every rank count and bucket size.

import Collectives
import CollectivesTesting
import DataParallel
import Support
import Tensors
import TestSupport
import Testing

@Suite struct GradientReductionTests {
  fileprivate static let parameters = 70_001

  /// Gradients of one sample, of very different size so that each order of additions rounds differently.
  fileprivate static func gradient(_ sample: Int, _ count: Int) -> [Float] {
    var stream = RandomStream(seed: 3, step: 0, sample: sample, purpose: Purpose("gradient"))
    return (0..<count).map { _ in Float(stream.nextNormal()) * Float(1 << stream.nextIndex(below: 12)) }
  }

  fileprivate static func plainTree(_ rows: [[Float]]) -> [Float] {
    guard rows.count > 1 else { return rows[0] }
    return plainTree(
      stride(from: 0, to: rows.count, by: 2).map { index in
        index + 1 < rows.count ? zip(rows[index], rows[index + 1]).map { $0 + $1 } : rows[index]
      })
  }

  fileprivate func reduced(
    _ rows: [[Float]], ranks: Int, method: ReductionMethod = .reproducible, bucketBytes: Int = 4 << 20
  ) throws -> [[Float]] {
    let plan = try ShardPlan(globalBatch: rows.count, worldSize: ranks)
    let count = rows[0].count
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let mine = rows[plan.samples(of: communicator.rank)]
      let slots = Tensor(mine.flatMap { $0 }, [mine.count, count])
      let reduction = try GradientReduction(on: communicator, method: method, bucketBytes: bucketBytes)
      return try reduction.sum(slots).values
    }
  }

  @Test(arguments: [(8, [1, 2, 4, 8]), (6, [1, 3, 6]), (2, [1, 2]), (5, [1, 5])])
  func bitsDoNotDependOnRanks(batch: Int, worlds: [Int]) throws {
    let rows = (0..<batch).map { GradientReductionTests.gradient($0, GradientReductionTests.parameters) }
    let expected = GradientReductionTests.plainTree(rows)
    for ranks in worlds {
      #expect(try reduced(rows, ranks: ranks).allSatisfy { $0 == expected }, "\(batch) samples on \(ranks) ranks")
    }
  }

  @Test(arguments: [4, 1000, 16 << 10, 16_388, 65_536, 1 << 30]) func bitsDoNotDependOnBuckets(bytes: Int) throws {
    let count = bytes < 1000 ? 257 : GradientReductionTests.parameters
    let rows = (0..<4).map { GradientReductionTests.gradient($0, count) }
    #expect(try reduced(rows, ranks: 2, bucketBytes: bytes).allSatisfy { $0 == GradientReductionTests.plainTree(rows) })
  }

  @Test func nativeSumIsCloseButAnotherTree() throws {
    let rows = (0..<8).map { GradientReductionTests.gradient($0, GradientReductionTests.parameters) }
    let native = try reduced(rows, ranks: 8, method: .native)[0]
    let tree = GradientReductionTests.plainTree(rows)
    #expect(relativeError(native, tree.map(Double.init)) < 1e-6)
    #expect(native != tree, "a sum in rank order has other bits, or this test could not tell them apart")
  }

  /// Half of the vector to be added, half of the sum to be told.
  @Test func bytesOfOneSumAreCounted() throws {
    let counted = try LoopbackCommunicator.run(ranks: 2) { communicator in
      let reduction = try GradientReduction(on: communicator, bucketBytes: 1024)
      _ = try reduction.sum(Tensor(zeros: [2, 1000]))
      _ = try reduction.sum(Tensor(zeros: [2, 1000]))
      return reduction.figures.bytes
    }
    #expect(counted == [4000, 4000])
  }
}

extension GradientReductionTests {
  /// As `reduced`, but buckets start while "the backward pass" lets gradients land in steps of `stride` elements, those
  /// of the middle last.
  private func overlapped(_ rows: [[Float]], ranks: Int, bucketBytes: Int, stride step: Int) throws -> [([Float], Int)]
  {
    let late = rows[0].count / 3..<rows[0].count / 2
    let plan = try ShardPlan(globalBatch: rows.count, worldSize: ranks)
    let count = rows[0].count
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let mine = rows[plan.samples(of: communicator.rank)]
      let slots = Tensor(mine.flatMap { $0 }, [mine.count, count])
      let reduction = try GradientReduction(on: communicator, bucketBytes: bucketBytes, pieceBytes: 1 << 14)
      reduction.begin(slots)
      for end in stride(from: count, to: step, by: -step) {
        let part = end - step..<end
        try reduction.landed(part.clamped(to: 0..<late.lowerBound))
        try reduction.landed(part.clamped(to: late.upperBound..<count))
        for _ in 0...communicator.rank { try reduction.poll() }
      }
      try reduction.landed(late)
      return (try reduction.finish().values, reduction.figures.earlyBuckets)
    }
  }

  @Test(arguments: [1, 2, 4, 8]) func bitsDoNotDependOnOverlap(ranks: Int) throws {
    let rows = (0..<8).map { GradientReductionTests.gradient($0, GradientReductionTests.parameters) }
    let expected = GradientReductionTests.plainTree(rows)
    for (bucket, step) in [(4 << 10, 999), (64 << 10, 5003), (1 << 20, 10_000)] {
      let results = try overlapped(rows, ranks: ranks, bucketBytes: bucket, stride: step)
      let equal = results.map { $0.0 == expected }
      #expect(equal == Array(repeating: true, count: ranks), "\(bucket) bytes, steps of \(step)")
      let early = results.map { $0.1 > 0 }
      #expect(early == Array(repeating: ranks > 1 && bucket < 1 << 20, count: ranks))
    }
  }

  @Test func halfWidthIsNearAndEqualOnAllRanks() throws {
    let rows = (0..<4).map { GradientReductionTests.gradient($0, GradientReductionTests.parameters) }
    let tree = GradientReductionTests.plainTree(rows).map(Double.init)
    for ranks in [2, 4] {
      let sums = try reduced(rows, ranks: ranks, method: .bf16)
      let equal = sums.map { $0 == sums[0] }
      #expect(equal == Array(repeating: true, count: ranks))
      let error = relativeError(sums[0], tree)
      #expect(error < 0.004 && error > 1e-4, "\(error)")
    }
  }
}

@Suite struct GradientNormTests {
  @Test func normIsThatOfAllTensors() {
    let slices: [(name: String, range: Range<Int>)] = [("b", 0..<9001), ("a", 9001..<9002), ("c", 9002..<20_000)]
    var stream = RandomStream(seed: 1, step: 0, sample: 0, purpose: Purpose("norm"))
    let values = (0..<20_000).map { _ in Float(stream.nextNormal()) }
    let norm = GradientNorm(slices)(Tensor(values, [20_000]))
    let plain = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(abs(norm - plain) < 1e-12 * plain)
    let shuffled = GradientNorm([slices[2], slices[0], slices[1]])(Tensor(values, [20_000]))
    #expect(shuffled == norm, "the tree goes by name, not by place in the list")
  }

  @Test func whatIsNotFiniteShows() {
    for bad in [Float.nan, .infinity, -.infinity] {
      var values = [Float](repeating: 1, count: 5000)
      values[4321] = bad
      let isFinite = GradientNorm([("p", 0..<5000)])(Tensor(values, [5000])).isFinite
      #expect(!isFinite)
    }
    let largest = GradientNorm([("p", 0..<100)])(
      Tensor([Float](repeating: .greatestFiniteMagnitude, count: 100), [100]))
    #expect(largest.isFinite, "squares of Float do not overflow a Double")
  }
}
