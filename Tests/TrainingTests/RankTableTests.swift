// The table of ranks and its warnings.

import Collectives
import CollectivesTesting
import Testing
import Training

@Suite struct RankTableTests {
  private func facts(_ host: String, threads: Int = 1, cores: [Int] = [0, 1], level: String = "avx512") -> RankFacts {
    RankFacts(
      host: host, threads: threads, cores: cores, level: level, memoryBytes: 16 << 30, freeBytes: (16 << 30) / 4)
  }

  @Test func linesNameEveryRank() {
    let lines = RankTable([facts("node1", cores: [0, 1, 2, 5]), facts("node20", threads: 12)]).lines
    #expect(
      lines == [
        "rank  host    threads  cores  CPU level  free memory",
        "0     node1   1        0-2,5  avx512     4.0 of 16.0 GiB",
        "1     node20  12       0-1    avx512     4.0 of 16.0 GiB",
      ])
  }

  @Test func aGoodLayoutIsNotComplainedAbout() {
    #expect(RankTable([facts("a"), facts("a"), facts("b", threads: 2)]).warnings.isEmpty)
    #expect(RankTable([facts("a", cores: [0]), facts("a", cores: [1])]).warnings.isEmpty)
  }

  @Test func tooManyThreadsAreCountedByHost() {
    let warnings = RankTable([facts("a"), facts("a", threads: 2), facts("b")]).warnings
    #expect(warnings.count == 1 && warnings[0].hasPrefix("warning: host a runs 3 compute threads on 2 cores;"))
    let bound = RankTable([facts("a", cores: [0]), facts("a", cores: [0])]).warnings
    #expect(bound.count == 1 && bound[0].contains("2 compute threads on 1 core;"))
  }

  @Test func narrowBindingIsFound() {
    let warnings = RankTable([facts("a", threads: 2, cores: [0]), facts("a", threads: 2, cores: [1, 2, 3])]).warnings
    #expect(
      warnings.count == 1 && warnings[0].hasPrefix("warning: rank 0 on a runs 2 compute threads bound to cores 0;"))
  }

  @Test func unlikeLevelsAreNamed() {
    let warnings = RankTable([facts("a"), facts("b", level: "avx2"), facts("c")]).warnings
    #expect(warnings == ["warning: CPU levels differ: all ranks use avx2, the highest that rank 1 on b has"])
  }

  @Test func everyRankSeesTheSameTable() throws {
    let tables = try LoopbackCommunicator.run(ranks: 3) { communicator in
      try RankTable(facts("host\(communicator.rank)"), on: communicator).lines
    }
    #expect(tables[0].count == 4 && tables[0][3].contains("host2"))
    #expect(tables.allSatisfy { $0 == tables[0] })
  }

  @Test func listsOfCoresAreRead() {
    #expect(RankFacts.numbers("0-3,8,10-11\n".filter { $0 != "\n" }) == [0, 1, 2, 3, 8, 10, 11])
    #expect(RankFacts.numbers("") == [])
  }
}
