// Ranks that stand still on real MPI: the job ends within the limit and says who it was.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct StallTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var limits: [String] {
    ["watch.stallMinimumSeconds=4", "watch.stallFactor=2", "schedule.steps=100000"].flatMap { ["--set", $0] }
  }

  @Test(arguments: [(2, 1), (2, 0), (4, 3), (4, 0)]) func aStoppedRankIsReported(ranks: Int, stopped: Int) async throws
  {
    let run = folder.file("run")
    async let training = startTraining(in: run, ranks: ranks, limits)
    let process = try await process(of: stopped, in: run)
    let begin = ContinuousClock.now
    kill(process, SIGSTOP)
    let result = try await training
    let seconds = (ContinuousClock.now - begin).components.seconds
    #expect(!result.timedOut && result.status == 70, "\(result)")
    #expect(seconds < 60)
    let line = try #require(result.ownErrors.last)
    let pattern = /apus: stalled: rank (\d) on \S+ has given no sign of life for \d+ s, in step \d+, phase [\w ]+; .*/
    let match = try #require(line.wholeMatch(of: pattern), "\(line)")
    #expect(match.1 == "\(stopped)" && result.ownErrors.count == 1)
    #expect(kill(process, 0) != 0, "the stopped rank is still there")
  }

  @Test func evaluationsAndCheckpointsRaiseNoAlarm() async throws {
    let options = [
      "watch.stallMinimumSeconds=1", "watch.stallFactor=2", "evaluation.every=3", "checkpoint.every=2",
    ]
    let result = try await startTraining(
      in: folder.file("run"), ranks: 2, ["--steps", "9"] + options.flatMap { ["--set", $0] })
    #expect(result.status == 0 && result.ownErrors.isEmpty, "\(result)")
  }

  /// The process of a rank, once the run has logged a few steps.
  private func process(of rank: Int, in run: String) async throws -> pid_t {
    let deadline = ContinuousClock.now + .seconds(120)
    while ContinuousClock.now < deadline {
      let log = FileManager.default.contents(atPath: run + "/log.jsonl") ?? Data()
      if log.count(where: { $0 == UInt8(ascii: "\n") }) >= 3 {
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
          guard let process = pid_t(name), commandLine(process).contains(run),
            commandLine(process).first?.hasSuffix("/apus") == true,
            environment(process).contains("OMPI_COMM_WORLD_RANK=\(rank)")
          else { continue }
          return process
        }
      }
      try await Task.sleep(for: .milliseconds(50))
    }
    throw CancellationError()
  }

  private func commandLine(_ process: pid_t) -> [String] { words("/proc/\(process)/cmdline") }
  private func environment(_ process: pid_t) -> [String] { words("/proc/\(process)/environ") }

  private func words(_ path: String) -> [String] {
    guard let bytes = try? FileHandle(forReadingFrom: URL(filePath: path)).readToEnd() else { return [] }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }
}
