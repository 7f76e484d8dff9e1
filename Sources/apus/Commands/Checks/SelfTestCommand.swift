// `apus self-test`: whether sums, exchanges, agreements and the ending of a job work on the ranks it is started with.

import ArgumentParser
import Collectives
import CollectivesMPI
import Foundation
import Support

/// Checks the collective operations on the ranks given and prints one JSON line on rank 0.
struct SelfTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "self-test", abstract: "Check the communication between the ranks this is started on.",
    shouldDisplay: false)

  @Option(help: "Fail on this rank alone after the checks, while the others go on: the job must end on all ranks.")
  var failOnRank: Int?

  @Option(help: "Find bad data on this rank after the checks: all ranks must leave together.")
  var failTogetherOnRank: Int?

  @Option(help: "Call another operation on this rank than on the others after the checks.")
  var disagreeOnRank: Int?

  @Option(help: "Length in bytes of the longest exchange.")
  var exchangeBytes = 17_000_003

  @Option(help: "Longest single MPI message in bytes.")
  var pieceBytes = 1 << 30

  /// What rank 0 prints.
  private struct Report: Codable {
    let ranks: Int
    let hosts: [String]
    let seconds: Double
    let checks: [CheckOutcome]
    let failed: Int
  }

  func validate() throws {
    guard exchangeBytes >= 0 else { throw ValidationError("--exchange-bytes must not be negative") }
    guard (4...Int(Int32.max)).contains(pieceBytes) else {
      throw ValidationError("--piece-bytes must be in 4...\(Int32.max)")
    }
  }

  func run() throws {
    let status = withWorldCommunicator(pieceBytes: pieceBytes) { try check($0) }
    throw ExitCode(status.rawValue)
  }

  private func check(_ communicator: any Communicator) throws -> ExitStatus {
    if communicator.rank == 0 { reportToLauncher("started") }
    let watch = Stopwatch()
    let checks = try CollectiveChecks(on: communicator).run(exchangeBytes: exchangeBytes)
    let hosts = try communicator.gatherStrings(communicator.hostName)
    try failAsAsked(communicator)
    let report = Report(
      ranks: communicator.worldSize, hosts: hosts, seconds: watch.seconds, checks: checks,
      failed: checks.count { !$0.holds })
    if communicator.rank == 0 {
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
    return report.failed == 0 ? .done : .checkFailed
  }

  private func failAsAsked(_ communicator: any Communicator) throws {
    let rank = communicator.rank
    try communicator.together {
      if rank == failTogetherOnRank { throw Failure(.badData, "asked for by --fail-together-on-rank") }
    }
    if rank == failOnRank { throw Failure(.inputOutput, "asked for by --fail-on-rank") }
    if let disagreeOnRank {
      // One rank sends fewer bytes round the ring than its neighbour expects.
      let (next, previous) = (
        (rank + 1) % communicator.worldSize, (rank - 1 + communicator.worldSize) % communicator.worldSize
      )
      let outgoing = [UInt8](repeating: 0, count: rank == disagreeOnRank ? 100 : 200)
      var incoming = [UInt8](repeating: 0, count: 200)
      try outgoing.withUnsafeBytes { sent in
        try incoming.withUnsafeMutableBytes {
          try communicator.exchange(sending: sent, to: next, receiving: $0, from: previous)
        }
      }
    }
    if failOnRank != nil || disagreeOnRank != nil { try communicator.barrier() }
  }
}
