// Arenas dealt out over ranks: every element has one owner, and what owners hold comes to others to the bit.

import Collectives
import CollectivesTesting
import DataParallel
import Support
import Tensors
import TestSupport
import Testing

@Suite struct ArenaShardsTests {
  private static let count = 70_001

  /// Runs on ranks that own what a scattered sum of `count` elements leaves to them.
  private func withShards<Result: Sendable>(
    _ ranks: Int, pieceBytes: Int, count: Int = count,
    _ body: @escaping @Sendable (any Communicator, GradientReduction, ArenaShards) throws -> Result
  ) throws -> [Result] {
    try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let reduction = try GradientReduction(on: communicator, pieceBytes: pieceBytes, scatters: true)
      let shards = try ArenaShards(reduction.owned(of: count), of: count, on: communicator)
      return try body(communicator, reduction, shards)
    }
  }

  private static func values(_ seed: UInt64, _ count: Int = count) -> [Float] {
    var stream = RandomStream(seed: seed, step: 0, sample: 0, purpose: Purpose("shards"))
    return (0..<count).map { _ in Float(stream.nextNormal()) * Float(1 << stream.nextIndex(below: 12)) }
  }

  /// 64 ranks have more members than a piece of 16 kB has grains: most own nothing of it.
  @Test(arguments: [1, 2, 3, 4, 6, 8, 64], [1 << 14, 1 << 16, 2 << 20])
  func everyElementHasOneOwner(ranks: Int, pieceBytes: Int) throws {
    for count in [1, 4096, 4097, Self.count] {
      let owned = try withShards(ranks, pieceBytes: pieceBytes, count: count) { _, _, shards in
        (shards.own, shards.owners(of: 0..<count))
      }
      var owners = [Int](repeating: 0, count: count)
      for (own, _) in owned { for element in own.joined() { owners[element] += 1 } }
      #expect(owners == Array(repeating: 1, count: count), "\(count) elements")
      for (rank, (own, _)) in owned.enumerated() {
        let told = owned.map { $0.1.filter { $0.owner == rank }.flatMap { Array($0.range) } }
        #expect(told == Array(repeating: Array(own.joined()), count: ranks), "what ranks know of rank \(rank)")
      }
    }
  }

  @Test(arguments: [2, 3, 8]) func scatteredAndGatheredIsTheSum(ranks: Int) throws {
    let rows = (0..<ranks).map { Self.values(UInt64($0)) }
    for (pieceBytes, bucketBytes) in [(1 << 14, 1 << 14), (1 << 16, 1 << 18), (2 << 20, 16 << 20)] {
      let same = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let (mine, count) = (rows[communicator.rank], Self.count)
        let whole = try GradientReduction(on: communicator).sum(Tensor(mine, [1, count])).values
        let reduction = try GradientReduction(
          on: communicator, bucketBytes: bucketBytes, pieceBytes: pieceBytes, scatters: true)
        let sum = try reduction.sum(Tensor(mine, [1, count]))
        let owned = reduction.owned(of: count).joined()
        let owners = owned.allSatisfy { sum.values[$0] == whole[$0] }
        let others = Set(0..<count).subtracting(owned)
        for element in others { sum.pointer[element] = .nan }
        try reduction.gather(sum)
        return [owners, sum.values == whole]
      }
      #expect(same == Array(repeating: [true, true], count: ranks), "pieces of \(pieceBytes) bytes")
    }
  }

  @Test func ownersStayWhenBucketsGrow() throws {
    let owned = try LoopbackCommunicator.run(ranks: 4) { communicator in
      let reduction = try GradientReduction(
        on: communicator, bucketBytes: 1 << 15, pieceBytes: 1 << 20, scatters: true)
      let first = reduction.owned(of: Self.count)
      reduction.bucketBytes = 1 << 20
      return [first, reduction.owned(of: Self.count)]
    }
    #expect(owned.allSatisfy { $0[0] == $0[1] })
  }

  @Test(arguments: [1, 2, 3, 8, 64]) func theNormHasTheBitsOfTheWhole(ranks: Int) throws {
    let slices: [(name: String, range: Range<Int>)] = [
      ("b", 0..<9001), ("a", 9001..<9002), ("d", 9002..<50_000), ("c", 50_000..<Self.count),
    ]
    let gradient = Self.values(9)
    let expected = GradientNorm(slices)(Tensor(gradient, [Self.count]))
    for pieceBytes in [1 << 14, 1 << 16, 2 << 20] {
      let norms = try withShards(ranks, pieceBytes: pieceBytes) { _, _, shards in
        var owned = [Float](repeating: .nan, count: Self.count)
        for element in shards.own.joined() { owned[element] = gradient[element] }
        return try GradientNorm(slices, shards: shards)(Tensor(owned, [Self.count]), dealtOut: shards)
      }
      #expect(norms == Array(repeating: expected, count: ranks), "pieces of \(pieceBytes) bytes")
    }
  }

  @Test func whatIsNotFiniteShowsOnAllRanks() throws {
    var gradient = Self.values(9)
    gradient[Self.count - 1] = .infinity
    let values = gradient
    let finite = try withShards(4, pieceBytes: 1 << 16) { _, _, shards in
      try GradientNorm([("a", 0..<Self.count)], shards: shards)(Tensor(values, [Self.count]), dealtOut: shards).isFinite
    }
    #expect(finite == Array(repeating: false, count: 4))
  }

  @Test(arguments: [1, 2, 3, 8]) func whatIsDealtOutIsCollected(ranks: Int) throws {
    let values = Self.values(4)
    let ranges = [0..<1, 1..<9001, 9001..<9001, 9001..<Self.count]
    let collected = try withShards(ranks, pieceBytes: 1 << 15) { communicator, _, shards in
      let shard = Tensor(zeros: [shards.own.reduce(0) { $0 + $1.count }])
      for range in ranges {
        let whole = communicator.rank == 0 ? Tensor(Array(values[range]), [range.count]) : nil
        try shards.deal(range, whole, from: 0, into: shard)
      }
      let isMine = shard.values == shards.own.joined().map { values[$0] }
      var copy: [Float] = []
      for range in ranges {
        try shards.collect(range, of: shard, at: ranks - 1) { first, part in
          precondition(range.lowerBound + first == copy.count)
          copy += part.values
        }
      }
      return isMine && copy == (communicator.rank == ranks - 1 ? values : [])
    }
    #expect(collected == Array(repeating: true, count: ranks))
  }
}
