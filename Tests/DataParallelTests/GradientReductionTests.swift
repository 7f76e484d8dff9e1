// Gradients over samples and ranks: the same bits for every rank count and bucket size.

import Collectives
import DataParallel
import Support
import Tensors
import TestSupport
import Testing

@Suite struct GradientReductionTests {
  private static let parameters = 70_001

  /// Gradients of one sample, of very different size so that each order of additions rounds differently.
  private static func gradient(_ sample: Int, _ count: Int) -> [Float] {
    var stream = RandomStream(seed: 3, step: 0, sample: sample, purpose: Purpose("gradient"))
    return (0..<count).map { _ in Float(stream.nextNormal()) * Float(1 << stream.nextIndex(below: 12)) }
  }

  private static func plainTree(_ rows: [[Float]]) -> [Float] {
    guard rows.count > 1 else { return rows[0] }
    return plainTree(
      stride(from: 0, to: rows.count, by: 2).map { index in
        index + 1 < rows.count ? zip(rows[index], rows[index + 1]).map { $0 + $1 } : rows[index]
      })
  }

  private func reduced(
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

  @Test func bytesAreCounted() throws {
    let counted = try LoopbackCommunicator.run(ranks: 2) { communicator in
      let reduction = try GradientReduction(on: communicator, bucketBytes: 1024)
      _ = try reduction.sum(Tensor(zeros: [2, 1000]))
      _ = try reduction.sum(Tensor(zeros: [2, 1000]))
      return reduction.reducedBytes
    }
    #expect(counted == [8000, 8000])
  }
}
