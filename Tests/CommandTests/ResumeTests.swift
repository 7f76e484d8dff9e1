// A run that was interrupted, by plan, by a signal or by a damaged file, ends with the bits of one that was not.

import Foundation
import TestSupport
import Testing
import Training

@Suite(.serialized) struct ResumeTests {
  let folder: TemporaryFolder
  let run: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
  }

  @Test(arguments: [(1, 2), (4, 1)]) func anotherNumberOfRanksGoesOn(first: Int, second: Int) async throws {
    let half = try await startTraining(in: run, ranks: first > 1 ? first : nil, ["--steps", "10"])
    try #require(half.status == 0, "\(half)")
    let begun = try TrainedState(run)
    #expect(begun.layout.step == 10 && begun.layout.worldSize == first)
    let rest = try await startTraining(in: run, ranks: second > 1 ? second : nil, threads: 2, ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(rest.output.contains("resuming after step 10 from \(run)/checkpoints/step-00000010.h5\n"))
    let ended = try TrainedState(run)
    #expect(ended.layout.step == 20 && ended.layout.worldSize == second)
    #expect(!ended.matches(begun))
    #expect(ended.digests == (try await referenceRun.value.digests))
    #expect(ended.steps == (try await referenceRun.value.steps))
  }

  @Test(arguments: [SIGINT, SIGUSR1, SIGTERM]) func aSignalSavesAndTheRunGoesOn(signal: Int32) async throws {
    let stopped = try await signalled(signal) { self.loggedSteps >= 2 }
    #expect(stopped.status == 75)
    let last = stopped.output.split(separator: "\n").last.map(String.init) ?? ""
    #expect(last.hasPrefix("stopped by a signal after step ") && last.hasSuffix("; go on with --resume"))
    #expect(stopped.output.components(separatedBy: "signal").count == 2, "\(stopped.output)")
    #expect(stopped.errors.isEmpty)
    let step = try #require(last.firstMatch(of: /after step (\d+);/).flatMap { Int($0.1) })
    try #require(step < 20, "the run had ended before the signal came")
    #expect(FileManager.default.fileExists(atPath: run + "/checkpoints/step-000000\(step < 10 ? "0" : "")\(step).h5"))
    #expect(!FileManager.default.fileExists(atPath: run + "/summary.json"))

    let rest = try await startTraining(in: run, ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(rest.output.hasPrefix("resuming after step \(step) from "))
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  /// An evaluation may take longer than the time that a batch system leaves.
  @Test func aSignalEndsAnEvaluationAndNothingIsLost() async throws {
    let options = ["evaluation.every=3", "checkpoint.every=3", "data.validation.count=100000"]
    let stopped = try await signalled(SIGUSR1, options.flatMap { ["--set", $0] }) {
      FileManager.default.fileExists(atPath: self.run + "/checkpoints/step-00000003.h5")
    }
    #expect(stopped.status == 75)
    #expect(stopped.output.hasSuffix("stopped by a signal after step 3; go on with --resume\n"), "\(stopped)")
    #expect(!stopped.output.contains("mIoU"))
    let rest = try await startTraining(in: run, ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  @Test func aStopIsLoggedWhereItsLineIsNotDue() async throws {
    let options = ["--set", "log.every=0", "--set", "checkpoint.every=2"]
    let first = run + "/checkpoints/step-00000002.h5"
    let stopped = try await signalled(SIGTERM, options) { FileManager.default.fileExists(atPath: first) }
    try #require(stopped.status == 75, "\(stopped)")
    let lines = try RunLog.read(run + "/log.jsonl")
    try #require(lines.count == 1 && lines[0].step < 20, "\(lines)")
    #expect(stopped.output.contains("stopped by a signal after step \(lines[0].step); "), "\(stopped)")
    let before = try #require(lines[0].trainingSeconds)
    let rest = try await startTraining(in: run, ["--resume"] + options)
    try #require(rest.status == 0, "\(rest)")
    #expect(try RunLog.read(run + "/log.jsonl").map(\.step) == [lines[0].step, 20])
    // The seconds of both sessions count.
    let summary = try Summary(contentsOf: run + "/summary.json")
    #expect(before > 0 && summary.seconds > before)
    #expect(abs(summary.imagesPerSecond * summary.seconds - 4 * 20) < 1e-6, "\(summary)")
    #expect(try TrainedState(run).digests == (try await referenceRun.value.digests))
  }

  /// Trains alone and sends a signal once something is so.
  private func signalled(
    _ signal: Int32, _ options: [String] = [], once isReady: () -> Bool
  ) async throws -> (status: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments = ["train", testRecipe, "--run-directory", run] + options
    process.environment = ProcessInfo.processInfo.environment.merging(["APUS_THREADS": "1"]) { $1 }
    let files = try ["output", "errors"].map { name in
      try folder.write([], to: name)
      return try FileHandle(forWritingTo: URL(filePath: folder.file(name)))
    }
    process.standardOutput = files[0]
    process.standardError = files[1]
    try process.run()
    let deadline = ContinuousClock.now + .seconds(300)
    while process.isRunning, ContinuousClock.now < deadline, !isReady() { try await Task.sleep(for: .milliseconds(5)) }
    #expect(try blockedSignals(of: process.processIdentifier).isSuperset(of: [SIGINT, SIGUSR1, SIGTERM]))
    kill(process.processIdentifier, signal)
    while process.isRunning, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    let texts = try ["output", "errors"].map { String(decoding: try folder.bytes($0), as: UTF8.self) }
    return (process.terminationStatus, texts[0], texts[1])
  }

  /// The signals that the main thread of a process handles on no account: a handler in the midst of a kernel would
  /// write over the heap (see `StopSignals.install`).
  private func blockedSignals(of process: pid_t) throws -> Set<Int32> {
    let status = try String(contentsOfFile: "/proc/\(process)/task/\(process)/status", encoding: .utf8)
    let mask = try #require(status.firstMatch(of: /SigBlk:\s*([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) })
    return Set((1...64).filter { mask >> UInt64($0 - 1) & 1 == 1 })
  }

  private var loggedSteps: Int {
    (FileManager.default.contents(atPath: run + "/log.jsonl") ?? Data()).count { $0 == UInt8(ascii: "\n") }
  }

  @Test func aDamagedCheckpointIsPassedOver() async throws {
    let whole = try await startTraining(in: run)
    try #require(whole.status == 0, "\(whole)")
    let file = "run/checkpoints/step-00000020.h5"
    try folder.write(Array(try folder.bytes(file).dropLast(1000)), to: file)
    let again = try await startTraining(in: run, ["--resume"])
    try #require(again.status == 0, "\(again)")
    #expect(again.output.contains("passed over checkpoint of step 20: "))
    #expect(again.output.contains("resuming after step 10 from "))
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  @Test func anEmptyFolderStartsAfreshAndAFinishedRunStaysAsItIs() async throws {
    let first = try await startTraining(in: run, ["--resume", "--steps", "2"])
    try #require(first.status == 0, "\(first)")
    #expect(first.output.hasPrefix("no checkpoint in \(run)/checkpoints: starting afresh\n"))
    let state = try TrainedState(run)
    let summary = try Summary(contentsOf: run + "/summary.json")
    #expect(state.layout.step == 2 && summary.seconds > 0 && summary.imagesPerSecond > 0)
    #expect(state.steps == (try await referenceRun.value.steps.prefix(2)).map { $0 })

    let again = try await startTraining(in: run, ["--resume", "--steps", "2"])
    #expect(again.status == 0 && again.output.hasPrefix("resuming after step 2 from "), "\(again)")
    #expect(try TrainedState(run).matches(state))
    let later = try Summary(contentsOf: run + "/summary.json")
    #expect(later.seconds == summary.seconds && later.imagesPerSecond == summary.imagesPerSecond)
  }

  @Test func anyNumberOfSignalsSavesAndStops() async throws {
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments = ["train", testRecipe, "--run-directory", run, "--set", "schedule.steps=100000"]
    process.environment = ProcessInfo.processInfo.environment.merging(["APUS_THREADS": "1"]) { $1 }
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let deadline = ContinuousClock.now + .seconds(300)
    while process.isRunning, ContinuousClock.now < deadline, loggedSteps < 2 {
      try await Task.sleep(for: .milliseconds(5))
    }
    // As a batch system whose job does not end at once, to the very end.
    var count = 0
    while process.isRunning, ContinuousClock.now < deadline {
      kill(process.processIdentifier, [SIGUSR1, SIGTERM, SIGINT][count % 3])
      count += 1
      try await Task.sleep(for: .milliseconds(20))
    }
    process.waitUntilExit()
    #expect(count > 1 && process.terminationStatus == 75 && process.terminationReason == .exit)
    let saved = loggedSteps
    let rest = try await startTraining(
      in: run, ["--resume", "--steps", "\(saved + 1)", "--set", "schedule.steps=100000"])
    #expect(rest.status == 0 && rest.output.contains("resuming after step \(saved) "), "\(rest)")
  }

  @Test(arguments: [nil, 2] as [Int?]) func aCheckpointOfAnotherNetworkIsRefused(ranks: Int?) async throws {
    let first = try await startTraining(in: run, ["--steps", "1"])
    try #require(first.status == 0, "\(first)")
    let before = try contents(of: run)
    // Meant or not, weights do not fit into another network.
    let meant = try await startTraining(in: run, ranks: ranks, ["--resume", "--set", "head.width=8"])
    #expect(
      meant.refuses(65, "step-00000001.h5", "has shape [16, 16] instead of [8, 16]", "another network"), "\(meant)")
    let recipe = folder.file("other.yaml")
    let text = try String(contentsOfFile: testRecipe, encoding: .utf8)
    try Data(text.replacing("head: {width: 16", with: "head: {width: 8").utf8).write(to: URL(filePath: recipe))
    let unmeant = try await startTraining(in: run, ranks: ranks, recipe: recipe, ["--resume"])
    #expect(unmeant.refuses(65, "\(run)/recipe.yaml", "head.width: 16 -> 8", "--set head.width=8"), "\(unmeant)")
    #expect(try contents(of: run) == before)
  }
}
