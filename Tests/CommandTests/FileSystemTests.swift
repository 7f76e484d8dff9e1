// Training where the file system lacks locks or flushes, or has no room, and where a program is started without its
// standard descriptors.

import Foundation
import Support
import TestSupport
import Testing

@Suite(.serialized) struct FileSystemTests {
  let folder: TemporaryFolder
  let run: String
  let faulty: FaultyFileSystem

  init() async throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
    faulty = try await FaultyFileSystem(in: folder)
  }

  private func train(
    _ faults: [String: String], ranks: Int? = nil, _ options: [String] = []
  ) async throws -> CommandResult {
    try await startTraining(in: run, ranks: ranks, options, environment: faulty.environment(faults))
  }

  /// Warnings but for those about labels and the machine.
  private func warnings(_ result: CommandResult) -> [Substring] {
    result.output.split(separator: "\n").filter { line in
      line.hasPrefix("warning: ") && !["data.", "host "].contains { line.hasPrefix("warning: \($0)") }
    }
  }

  @Test(arguments: [ENOSYS, ENOLCK, EOPNOTSUPP]) func withoutLocksTheNameInTheFileGuards(number: Int32) async throws {
    let faults = [FaultyFileSystem.locks: "\(number)"]
    let first = try await train(faults, ["--steps", "10"])
    try #require(first.status == 0, "\(first)")
    #expect(warnings(first).count == 1, "\(first)")
    #expect(warnings(first)[0].hasPrefix("warning: the file system of \(run)/lock has no locks ("), "\(first)")
    // A holder that lives is heeded, one that was killed is not.
    func hold(_ identity: String) throws {
      try Data("process 7 on host \(ProcessInfo.processInfo.hostName) (\(identity))\n".utf8)
        .write(to: URL(filePath: run + "/lock"))
    }
    try hold("\(ProcessIdentity.current)")
    let held = try await train(faults, ["--resume"])
    #expect(held.refuses(73, "the run is held by process 7 on host ", "wait until it ends"), "\(held)")
    try hold("0123456789ab-1-2-3")
    let unknown = try await train(faults, ["--resume"])
    #expect(unknown.refuses(73, "the file system has no locks to ask", "--release-lock"), "\(unknown)")
    let fields = "\(ProcessIdentity.current)".split(separator: "-")
    try hold("\(fields[0])-\(fields[1])-4194304-\(fields[3])")
    let rest = try await train(faults, ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  @Test(arguments: [EBADF, EIO, EINVAL]) func withoutFlushedFoldersCheckpointsAreKept(number: Int32) async throws {
    let result = try await train([FaultyFileSystem.folders: "\(number)"], ["--set", "checkpoint.every=5"])
    try #require(result.status == 0, "\(result)")
    #expect(warnings(result).count == 1, "\(result)")
    #expect(
      warnings(result)[0].hasPrefix("warning: the file system of \(run)/checkpoints does not flush folders ("),
      "\(result)")
    let verified = try apus("checkpoint", "verify", run + "/checkpoints", "--json").object()
    #expect((verified["files"] as? [[String: Any]])?.count == 2 && verified["ok"] as? Bool == true)
  }

  /// Every lock is granted, as to processes of different hosts where locks are local to each.
  @Test func ranksLeaveEachOthersFilesAlone() async throws {
    let settings = ["--set", "checkpoint.sharded=true", "--set", "checkpoint.every=1", "--set", "checkpoint.keep=2"]
    let result = try await train([FaultyFileSystem.locks: "0"], ranks: 4, settings)
    try #require(result.status == 0, "\(result)")
    #expect(warnings(result) == [], "\(result)")
    let names = try FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints")
    #expect(names.count == 2 * 5 && !names.contains { $0.hasSuffix(".tmp") }, "\(names)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  /// Room may come by itself: supervision starts again after 74, not after 73.
  @Test func aFullDiskAtAResumeIsWorthAnotherTry() async throws {
    let first = try await startTraining(in: run, ["--steps", "10"])
    try #require(first.status == 0, "\(first)")
    let log = try Data(contentsOf: URL(filePath: run + "/log.jsonl"))
    let unnamed = try await train([FaultyFileSystem.writing: "/lock"], ["--resume"])
    #expect(unnamed.refuses(74, run + "/lock"), "\(unnamed)")
    try FileManager.default.removeItem(atPath: run + "/lock")
    let full = try await train([FaultyFileSystem.creation: "/lock"], ["--resume"])
    #expect(full.refuses(74, run + "/lock", "No space left on device"), "\(full)")
    #expect(try Data(contentsOf: URL(filePath: run + "/log.jsonl")) == log)
    let rest = try await startTraining(in: run, ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  @Test(arguments: [FaultyFileSystem.creation, FaultyFileSystem.writing])
  func withoutAnEventFileTheLogIsWhole(fault: String) async throws {
    let result = try await train([fault: "tfevents"])
    try #require(result.status == 0, "\(result)")
    #expect(warnings(result).count == 1, "\(result)")
    #expect(warnings(result)[0].hasPrefix("warning: \(run)/events.out.tfevents."), "\(result)")
    #expect(!result.output.contains("lines are missing") && !result.output.contains("again"), "\(result)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
    let names = try FileManager.default.contentsOfDirectory(atPath: run)
    #expect(!names.contains { $0.contains("tfevents") }, "no empty files are left: \(names)")
  }

  @Test func withoutALogTheEventFileIsWhole() async throws {
    let first = try await startTraining(in: run, ["--steps", "2"])
    try #require(first.status == 0, "\(first)")
    let whole = try eventBytes()
    let again = folder.file("again")
    let result = try await startTraining(
      in: again, ["--steps", "2"], environment: faulty.environment([FaultyFileSystem.writing: "again/log.jsonl"]))
    try #require(result.status == 0, "\(result)")
    #expect(warnings(result).count == 1 && warnings(result)[0].contains("step 1 cannot be written"), "\(result)")
    #expect(try eventBytes("again") == whole)
  }

  /// Bytes of a run's only event file.
  private func eventBytes(_ run: String = "run") throws -> Int {
    let files = try contents(of: folder.file(run)).filter { $0.key.contains("tfevents") }
    try #require(files.count == 1)
    return files.values.reduce(0) { $0 + $1.count }
  }

  @Test func closedDescriptorsAreNotGivenToFiles() async throws {
    let result = try await runCommand(
      [
        "-c", "exec \"$0\" \"$@\" 0<&- 1>&- 2>&-", apusExecutable.path, "train", testRecipe, "--run-directory", run,
        "--set", "checkpoint.every=5",
      ], of: URL(filePath: "/bin/bash"), environment: ["APUS_THREADS": "1"], timeout: 300)
    try #require(result.status == 0, "\(result)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }
}
