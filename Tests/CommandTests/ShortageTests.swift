// Runs whose numbers grow beyond measure, and runs to which the system gives too little: text or one line, never a trap.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct ShortageTests {
  private func limited(_ limit: String, _ options: [String], threads: Int = 1) async throws -> CommandResult {
    let folder = try TemporaryFolder()
    let arguments = ["train", testRecipe, "--run-directory", folder.file("run"), "--steps", "2"] + options
    return try await runCommand(
      ["-c", limit + "; exec \"$0\" \"$@\"", apusExecutable.path] + arguments, of: URL(filePath: "/bin/bash"),
      environment: ["APUS_THREADS": "\(threads)"], timeout: 120)
  }

  @Test("losses beyond every whole number are logged and drawn") func hugeLosses() async throws {
    let folder = try TemporaryFolder()
    let run = folder.file("run")
    let result = try await startTraining(in: run, ["--steps", "8", "--set", "featureDistance.weight=1e18"])
    let crash = ["Fatal error", "Illegal instruction", "Backtrace"].contains { result.errors.contains($0) }
    #expect([0, 70].contains(result.status) && !crash && !result.timedOut, "\(result)")
    #expect(result.output.contains("e+"), "\(result)")
    #expect(
      result.status != 0 || folder.names == ["run"] && FileManager.default.fileExists(atPath: run + "/report.html"))
  }

  /// From what the program needs to begin at all up to what the run needs: wherever memory ends, in a library or not.
  @Test("an address limit is one line, or enough", arguments: (4...14).map { $0 * 50_000 })
  func addressLimit(kilobytes: Int) async throws {
    let result = try await limited(
      "ulimit -v \(kilobytes)", ["--set", "checkpoint.every=1", "--set", "batch.global=2"], threads: 2)
    #expect(result.status == 0 || result.refuses(70, "apus: "), "\(result)")
  }

  private func limited(kilobytes: Int, _ command: String) async throws -> CommandResult {
    try await runCommand(
      ["-c", "ulimit -v \(kilobytes); exec \"$0\" \"$@\"", apusExecutable.path, command],
      of: URL(filePath: "/bin/bash"), timeout: 30)
  }

  @Test("a command without matrices ends under it", arguments: [200_000, 400_000])
  func addressLimitOfACheck(kilobytes: Int) async throws {
    let result = try await limited(kilobytes: kilobytes, "self-test")
    #expect(result.status == 0 || result.refuses(70, "apus: "), "\(result)")
  }

  @Test("the doctor tells an address limit", arguments: [200_000, 400_000])
  func addressLimitIsAnObstacle(kilobytes: Int) async throws {
    let result = try await limited(kilobytes: kilobytes, "doctor")
    #expect(result.status == 1 && (result.output + result.errors).contains(/only 0\.\d GB of memory is/), "\(result)")
  }

  /// A stack as large as this is never to be had within that address space, and no library asks for one before us.
  @Test("a system without threads is one line") func noThread() async throws {
    let result = try await limited("ulimit -s 16000000 -v 12000000", [])
    #expect(result.refuses(70, "the system has no thread left for"), "\(result)")
  }

  @Test("a network beyond all memory is one line with the size") func noMemory() async throws {
    let result = try await limited("ulimit -v 8000000", ["--set", "head.width=65536"])
    #expect(result.refuses(70, "the system does not give", "bytes of memory for a buffer"), "\(result)")
  }

  @Test("more threads than can be is wrong usage") func tooManyThreads() async throws {
    let result = try await limited("true", ["--set", "threads=2000000000"])
    #expect(result.refuses(64, "2000000000 threads are too many"), "\(result)")
  }

  @Test("a benchmark refuses numbers below its least") func hugeCounts() throws {
    let outcome = try apus("benchmark", "step", "--case", "b0-256", "--warm-up=-1")
    #expect(outcome.status == 64 && outcome.errors.contains("--warm-up is too small"))
  }
}
