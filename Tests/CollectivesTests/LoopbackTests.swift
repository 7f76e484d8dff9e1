// Ranks as threads: they do what ranks of MPI do, and what is broken ends with a reason instead of a hang.

import Collectives
import CollectivesTesting
import Support
import Testing

@Suite struct LoopbackTests {
  @Test(arguments: 1...6) func checksHold(ranks: Int) throws {
    let outcomes = try LoopbackCommunicator.run(ranks: ranks) {
      try CollectiveChecks(on: $0).run(exchangeBytes: 100_003)
    }
    #expect(outcomes.count == ranks && outcomes[0].count > 15)
    #expect(
      outcomes.allSatisfy { $0.allSatisfy { $0.holds } && $0 == outcomes[0] }, "\(outcomes[0].filter { !$0.holds })")
  }

  @Test func checksHoldAlone() throws {
    let outcomes = try CollectiveChecks(on: SoloCommunicator()).run(exchangeBytes: 1009)
    #expect(outcomes.allSatisfy { $0.holds }, "\(outcomes.filter { !$0.holds })")
  }

  @Test func resultsComeByRank() throws {
    #expect(try LoopbackCommunicator.run(ranks: 5) { $0.rank * $0.worldSize } == [0, 5, 10, 15, 20])
  }

  @Test(arguments: 0..<3) func rankThatThrowsReleasesTheOthers(failing: Int) {
    #expect(throws: Failure(.badData, "number \(failing)")) {
      try LoopbackCommunicator.run(ranks: 3) { communicator in
        if communicator.rank == failing { throw Failure(.badData, "number \(failing)") }
        try communicator.barrier()
        try communicator.barrier()
      }
    }
  }

  private func failure(ranks: Int, _ body: @Sendable (LoopbackCommunicator) throws -> Void) -> String {
    do {
      try LoopbackCommunicator.run(ranks: ranks, body)
      return "none"
    } catch {
      return "\(error)"
    }
  }

  @Test func waitingForEachOtherIsFound() {
    let text = failure(ranks: 3) { communicator in
      var bytes: [UInt8] = [0]
      try bytes.withUnsafeMutableBytes { try communicator.receive($0, from: (communicator.rank + 1) % 3) }
    }
    #expect(text.contains("every rank waits for another"))
  }

  @Test func waitingForOneThatIsDoneIsFound() {
    let text = failure(ranks: 2) { communicator in
      if communicator.rank == 0 { try communicator.barrier() }
    }
    #expect(text.contains("rank 0: waits for rank 1, which is done"))
  }

  @Test func operationsThatDisagreeAreFound() {
    let text = failure(ranks: 2) { communicator in
      var number: [Float] = [1]
      if communicator.rank == 0 { return try communicator.barrier() }
      try number.withUnsafeMutableBufferPointer { try communicator.nativeSum($0) }
    }
    #expect(text.contains("called barrier where rank 1 called sum"))
  }

  @Test func lengthsThatDisagreeAreFound() {
    let text = failure(ranks: 2) { communicator in
      var values = [Double](repeating: 1, count: communicator.rank == 0 ? 3 : 4)
      try sumTree(&values, on: communicator)
    }
    #expect(
      text.contains("sent 24 bytes where 32 are expected") || text.contains("sent 32 bytes where 24 are expected"))
  }
}
