// Tree sums on threads as ranks, against the plain tree over lists.

import Collectives
import CollectivesTesting
import Support
import Testing

@Suite struct ReproducibleSumTests {
  /// Numbers whose sums round differently in every order.
  private static func row(_ index: Int, _ count: Int) -> [Double] {
    var stream = RandomStream(seed: 5, step: count, sample: index, purpose: Purpose("rows"))
    return (0..<count).map { _ in stream.nextNormal() * (stream.nextNormal() * 3).exponential }
  }

  private static func plainTree<Element: FloatingPoint>(_ rows: [[Element]]) -> [Element] {
    guard rows.count > 1 else { return rows[0] }
    return plainTree(
      stride(from: 0, to: rows.count, by: 2).map { index in
        index + 1 < rows.count ? zip(rows[index], rows[index + 1]).map { $0 + $1 } : rows[index]
      })
  }

  @Test(arguments: 1...9) func ranksAddAlongTheTree(ranks: Int) throws {
    for count in [0, 1, 2, 3, 5, 7, 13, 127, 1021, 2047, 2048, 4096, 8209, 20_011] {
      let rows = (0..<ranks).map { ReproducibleSumTests.row($0, count) }
      let floats = rows.map { $0.map { Float($0) } }
      let results = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        var long = rows[communicator.rank]
        var short = floats[communicator.rank]
        try sumTree(&long, on: communicator)
        try short.withUnsafeMutableBufferPointer { try sumTree($0, on: communicator) }
        return (long.map(\.bitPattern), short.map(\.bitPattern))
      }
      let long = ReproducibleSumTests.plainTree(rows).map(\.bitPattern)
      let short = ReproducibleSumTests.plainTree(floats).map(\.bitPattern)
      #expect(results.count == ranks)
      #expect(results.allSatisfy { $0.0 == long }, "\(count) Doubles on \(ranks) ranks")
      #expect(results.allSatisfy { $0.1 == short }, "\(count) Floats on \(ranks) ranks")
    }
  }

  @Test(arguments: [3, 4, 5, 8]) func anotherTreeGivesOtherBits(ranks: Int) throws {
    for count in [1021, 8209] {
      let rows = (0..<ranks).map { ReproducibleSumTests.row($0, count) }
      let results = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        var sums = rows[communicator.rank]
        let tree = RankTree(on: communicator, order: [0, 2, 1] + Array(3..<ranks))
        try sums.withUnsafeMutableBufferPointer { try tree.sum($0) }
        return sums
      }
      let plain = ReproducibleSumTests.plainTree([rows[0], rows[2], rows[1]] + rows[3...])
      #expect(results.allSatisfy { $0 == plain })
      #expect(results[0] != ReproducibleSumTests.plainTree(rows))
    }
  }

  @Test func givenScratchServes() throws {
    let results = try LoopbackCommunicator.run(ranks: 4) { communicator in
      var values = [Float](repeating: Float(communicator.rank), count: 9001)
      var scratch = [Float](repeating: .nan, count: 9001)
      try values.withUnsafeMutableBufferPointer { values in
        try scratch.withUnsafeMutableBufferPointer { try RankTree(on: communicator).sum(values, scratch: $0) }
      }
      return values
    }
    #expect(results.allSatisfy { $0 == [Float](repeating: 6, count: 9001) })
  }

  @Test(arguments: 1...9) func samplesAddAlongTheTree(samples: Int) {
    let rows = (0..<samples).map { ReproducibleSumTests.row($0, 11) }
    #expect(
      sumSamples(rows.flatMap { $0 }, samples: samples, count: 11) == ReproducibleSumTests.plainTree(rows))
  }

  @Test func noSamplesSumToZero() { #expect(sumSamples([], samples: 0, count: 3) == [0, 0, 0]) }

  @Test(arguments: [(8, [1, 2, 4, 8]), (6, [1, 3, 6]), (12, [1, 3, 6, 12]), (7, [1, 7])])
  func globalSumDoesNotDependOnRanks(samples: Int, worlds: [Int]) throws {
    let count = 37
    let rows = (0..<samples).map { ReproducibleSumTests.row($0, count) }
    let expected = ReproducibleSumTests.plainTree(rows)
    for ranks in worlds {
      let local = samples / ranks
      let results = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let mine = rows[communicator.rank * local..<(communicator.rank + 1) * local].flatMap { $0 }
        return try globalSum(rows: mine, samples: local, count: count, on: communicator)
      }
      #expect(results.allSatisfy { $0 == expected }, "\(samples) samples on \(ranks) ranks")
    }
  }

  /// Blocks of three are no subtrees of the tree over six: the promise must not be made for them.
  @Test func blocksThatAreNoPowersOfTwoGiveOtherBits() throws {
    let rows = (0..<6).map { ReproducibleSumTests.row($0, 997) }
    let results = try LoopbackCommunicator.run(ranks: 2) { communicator in
      let mine = rows[communicator.rank * 3..<(communicator.rank + 1) * 3].flatMap { $0 }
      return try globalSum(rows: mine, samples: 3, count: 997, on: communicator)
    }
    #expect(results[0] != ReproducibleSumTests.plainTree(rows))
  }
}
