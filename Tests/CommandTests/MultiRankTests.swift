// The self-test command on real MPI ranks: the operations hold, and a job that fails ends everywhere with its reason.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct MultiRankTests {
  private struct Report: Decodable {
    struct Check: Decodable {
      let name: String
      let holds: Bool
    }
    let ranks: Int
    let checks: [Check]
    let failed: Int
  }

  private func report(_ result: CommandResult) throws -> Report {
    let lines = result.output.split(separator: "\n")
    try #require(lines.count == 1, "\(result)")
    return try JSONDecoder().decode(Report.self, from: Data(lines[0].utf8))
  }

  @Test(arguments: [1, 2, 3, 4]) func collectiveChecksHold(ranks: Int) async throws {
    let result = try await runRanks(ranks, ["self-test"])
    #expect(!result.timedOut && result.status == 0, "\(result)")
    let report = try report(result)
    #expect(report.ranks == ranks && report.failed == 0)
    #expect(report.checks.count > 15 && report.checks.allSatisfy { $0.holds })
  }

  @Test func longMessagesAreCutIntoPieces() async throws {
    let result = try await runRanks(3, ["self-test", "--piece-bytes", "4099", "--exchange-bytes", "1000003"])
    #expect(try result.status == 0 && report(result).failed == 0, "\(result)")
  }

  @Test func aloneItNeedsNoLauncher() async throws {
    let result = try await runCommand(["self-test"], timeout: 30)
    #expect(try result.status == 0 && report(result).ranks == 1, "\(result)")
  }

  @Test(arguments: [(2, 0), (2, 1), (3, 1), (4, 3)])
  func failureOfOneRankEndsTheJob(ranks: Int, failing: Int) async throws {
    let result = try await runRanks(ranks, ["self-test", "--exchange-bytes", "99", "--fail-on-rank", "\(failing)"])
    #expect(!result.timedOut && result.status == 74 && result.seconds < 20, "\(result)")
    #expect(result.ownErrors.count == 1)
    #expect(result.ownErrors.last?.hasPrefix("apus: rank \(failing) on ") == true)
    #expect(result.ownErrors.last?.hasSuffix(": asked for by --fail-on-rank") == true)
    #expect(result.output.isEmpty)
  }

  @Test(arguments: [1, 2, 4]) func agreedFailureIsPrintedOnceAndEndsAllRanks(ranks: Int) async throws {
    let failing = ranks - 1
    let result = try await runRanks(
      ranks, ["self-test", "--exchange-bytes", "99", "--fail-together-on-rank", "\(failing)"])
    #expect(!result.timedOut && result.status == 65, "\(result)")
    #expect(result.ownErrors.count == 1)
    #expect(result.ownErrors.first?.hasSuffix("asked for by --fail-together-on-rank") == true)
    #expect(result.ownErrors.first?.contains("rank \(failing) on ") == (ranks > 1))
    #expect(!result.errors.contains("MPI_ABORT"), "all ranks leave by themselves")
  }

  @Test func lengthsThatDisagreeEndTheJob() async throws {
    let result = try await runRanks(3, ["self-test", "--exchange-bytes", "99", "--disagree-on-rank", "1"])
    #expect(!result.timedOut && result.status == 70, "\(result)")
    #expect(result.ownErrors.last?.contains("rank 1 sent 100 bytes where 200 are expected") == true)
  }

  @Test func wrongUsageIsRefusedOnOneRankAndOnSeveral() async throws {
    #expect(try await runCommand(["self-test", "--piece-bytes", "0"]).status == 64)
    #expect(try await runRanks(2, ["self-test", "--piece-bytes", "0"]).status == 64)
  }

  @Test func launcherEndsWhatTakesTooLong() async throws {
    let result = try await runRanks(2, ["100"], of: URL(fileURLWithPath: "/bin/sleep"), timeout: 1)
    #expect(result.timedOut && result.status != 0 && result.seconds < 30)
  }

  @Test func launcherPassesEnvironmentOutputAndStatus() async throws {
    let result = try await runRanks(
      1, ["-c", "echo $APUS_PROBE; echo aside >&2; exit 9"], of: URL(fileURLWithPath: "/bin/sh"),
      environment: ["APUS_PROBE": "seen"])
    #expect(result.status == 9 && result.output == "seen\n" && result.errors.contains("aside\n"))
  }
}
