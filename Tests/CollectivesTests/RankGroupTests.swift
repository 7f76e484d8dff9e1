// Groups of ranks as worlds of their own, and two computations by turns.

import Collectives
import CollectivesTesting
import Support
import Synchronization
import Testing

@Suite struct RankGroupTests {
  /// Groups of every third rank of seven, in an order of their own.
  private static func group(_ world: any Communicator) -> RankGroup {
    let members = Array(stride(from: world.rank % 3, to: 7, by: 3))
    return RankGroup(members.reversed(), of: world)
  }

  @Test func sumsAndAgreementsStayInsideTheGroup() throws {
    let found = try LoopbackCommunicator.run(ranks: 7) { world in
      let group = RankGroupTests.group(world)
      var values = [Double(world.rank), 1]
      try sumTree(&values, on: group)
      return values + [Double(try group.allMaximum(Int64(world.rank))), Double(group.rank), Double(group.worldSize)]
    }
    let expected = (0..<7).map { rank -> [Double] in
      let members = stride(from: rank % 3, to: 7, by: 3).map { $0 }
      let sum = members.reduce(0, +)
      let place = members.count - 1 - rank / 3
      return [sum, members.count, members.max() ?? 0, place, members.count].map { Double($0) }
    }
    #expect(found == expected)
  }

  @Test(arguments: 1...6) func everyRootIsHeardByAll(ranks: Int) throws {
    let found = try LoopbackCommunicator.run(ranks: ranks) { world in
      let group = RankGroup(Array(0..<ranks), of: world)
      try group.barrier()
      return try (0..<ranks).map { try group.broadcastString("from \(world.rank)", from: $0) }
    }
    let expected = (0..<ranks).map { "from \($0)" }
    #expect(found == Array(repeating: expected, count: ranks))
  }

  @Test func listsOfDifferentLengthsAreGathered() throws {
    let found = try LoopbackCommunicator.run(ranks: 4) { world in
      try world.gathered([Int](repeating: world.rank, count: world.rank == 2 ? 0 : world.rank + 1))
    }
    let expected = [[0], [1, 1], [], [3, 3, 3, 3]]
    #expect(found == Array(repeating: expected, count: 4))
  }

  @Test(arguments: [1, 2, 3, 5, 6, 7, 8, 13]) func anyNumberOfRanksGathersInLogarithmicallyManyExchanges(ranks: Int)
    throws
  {
    let found = try LoopbackCommunicator.run(ranks: ranks) { world in
      let counting = CountingCommunicator(world)
      let lists = try counting.gathered((0..<world.rank * 3 % 5).map { world.rank * 10 + $0 })
      let texts = try counting.gatherStrings(String(repeating: "é", count: world.rank))
      return (lists, texts, counting.counts[.exchange] ?? 0, counting.counts.count)
    }
    let lists = (0..<ranks).map { rank in (0..<rank * 3 % 5).map { rank * 10 + $0 } }
    let rounds = (0..<8).first { 1 << $0 >= ranks } ?? 8
    for (own, texts, exchanges, kinds) in found {
      #expect(own == lists && texts == (0..<ranks).map { String(repeating: "é", count: $0) })
      #expect(exchanges == 4 * rounds && kinds == (ranks > 1 ? 1 : 0))
    }
  }

  @Test func turnsChangeAtPassesOnly() throws {
    let log = Mutex<[String]>([])
    let note = { (text: String) in log.withLock { $0.append(text) } }
    let (first, second) = try Alternation.run { turns in
      for index in 0..<3 {
        note("a\(index)")
        try turns.pass()
      }
      return 1
    } _: { turns in
      for index in 0..<5 {
        note("b\(index)")
        try turns.pass()
      }
      return 2
    }
    let order = log.withLock { $0 }
    #expect(first == 1 && second == 2)
    #expect(order == ["a0", "b0", "a1", "b1", "a2", "b2", "b3", "b4"])
  }

  @Test func aFailureOfOneEndsBoth() throws {
    let passes = Mutex(0)
    #expect(throws: Failure(.internal, "first")) {
      _ = try Alternation.run { turns in
        try turns.pass()
        throw Failure(.internal, "first")
      } _: { turns in
        while true {
          passes.withLock { $0 += 1 }
          try turns.pass()
        }
      }
    }
    let count = passes.withLock { $0 }
    #expect(count == 1)
  }
}
