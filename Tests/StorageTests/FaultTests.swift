// What the world does to a writer: full and read-only disks, limits, other writers, SIGKILL.

import Foundation
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing

/// A snapshot of about `megabytes`.
private func largeSnapshot(step: Int, megabytes: Int) -> Snapshot {
  let values = Tensor(repeating: Float(step), [megabytes * 250_000])
  return Snapshot(run: exampleSnapshot(step: step).run, records: [Snapshot.Record("student/values", values)])
}

/// Runs a program to its end and returns its exit status; a signal counts as 256 plus its number.
@discardableResult
private func run(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Int32 {
  let process = try start(program, arguments, environment: environment)
  process.waitUntilExit()
  return process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 256 : 0)
}

private func start(_ program: String, _ arguments: [String], environment: [String: String]) throws -> Process {
  let process = Process()
  process.executableURL = URL(filePath: program)
  process.arguments = arguments
  process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
  process.standardOutput = FileHandle.nullDevice
  process.standardError = FileHandle.nullDevice
  try process.run()
  return process
}

/// A small file system of its own, gone with the last reference.
private final class SmallDisk {
  let folder: TemporaryFolder

  init(_ options: String) throws {
    folder = try TemporaryFolder()
    try #require(try run("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder.path]) == 0)
  }

  func remount(_ options: String) throws {
    try #require(try run("/bin/mount", ["-o", "remount,\(options)", folder.path]) == 0)
  }

  deinit { _ = try? run("/bin/umount", [folder.path]) }

  static let canMount: Bool = {
    guard let folder = try? TemporaryFolder(),
      (try? run("/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path])) == 0
    else { return false }
    return (try? run("/bin/umount", [folder.path])) == 0
  }()
}

@Suite(.enabled(if: SmallDisk.canMount, "needs to mount a tmpfs")) struct DiskTests {
  @Test func aFullDiskIsAFailureThatLeavesNothing() throws {
    let disk = try SmallDisk("size=6m")
    let store = HDF5CheckpointStore(folder: disk.folder.path)
    try store.save(largeSnapshot(step: 1, megabytes: 2))
    let failure = #expect(throws: Failure.self) { try store.save(largeSnapshot(step: 2, megabytes: 9)) }
    #expect(failure?.status == .inputOutput)
    #expect(failure?.what.contains("bytes free") == true)
    #expect(disk.folder.names == ["step-00000001.h5"])
    #expect(try store.latest()?.snapshot.step == 1)
  }

  @Test func aDiskThatFillsWhileWritingIsAFailureToo() throws {
    let disk = try SmallDisk("size=64m")
    let store = HDF5CheckpointStore(folder: disk.folder.path)
    try store.save(largeSnapshot(step: 1, megabytes: 1))
    let failures = try (2...4).map { try store.prepare(largeSnapshot(step: $0, megabytes: 40)) }
    let results = Results()
    DispatchQueue.concurrentPerform(iterations: failures.count) { index in
      results.add(Result { try failures[index].publish() })
    }
    #expect(results.failures.count == 2)
    #expect(results.failures.allSatisfy { ($0 as? Failure)?.status == .inputOutput })
    #expect(disk.folder.names.count == 2)
    #expect(try #require(try store.latest()).skipped.isEmpty)
  }

  @Test func aReadOnlyDiskCannotBeWritten() throws {
    let disk = try SmallDisk("size=6m")
    let store = HDF5CheckpointStore(folder: disk.folder.path)
    try store.save(exampleSnapshot(step: 1))
    try disk.remount("ro")
    let failure = #expect(throws: Failure.self) { try store.save(exampleSnapshot(step: 2)) }
    #expect(failure?.status == .cannotCreate)
    #expect(failure?.place == disk.folder.file("step-00000002.h5"))
    #expect(try store.latest()?.snapshot.step == 1)
  }
}

private final class Results: @unchecked Sendable {
  private let lock = NSLock()
  private(set) var failures: [any Error] = []

  func add(_ result: Result<String, any Error>) {
    if case .failure(let error) = result { lock.withLock { failures.append(error) } }
  }
}

/// Other processes are this test program again, told by its environment to run one of the tests in `ChildTests`.
func startChild(
  _ test: String, in folder: String, limit: String? = nil, environment: [String: String] = [:]
) throws -> Process {
  let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  let arguments = ["--testing-library", "swift-testing", "--filter", "ChildTests/\(test)"]
  let environment = environment.merging(["APUS_TEST_CHILD": folder]) { $1 }
  guard let limit else { return try start(program, arguments, environment: environment) }
  return try start(
    "/bin/bash", ["-c", "\(limit); exec \"$0\" \"$@\"", program] + arguments, environment: environment)
}

let childFolder = ProcessInfo.processInfo.environment["APUS_TEST_CHILD"]

@Suite(.enabled(if: childFolder != nil, "runs inside other tests only")) struct ChildTests {
  @Test func savesOnAndOn() throws {
    let store = HDF5CheckpointStore(folder: try #require(childFolder))
    for step in 1...10_000 { try store.save(largeSnapshot(step: step, megabytes: 8)) }
  }

  @Test func savesTheSameStepManyTimes() throws {
    let store = HDF5CheckpointStore(folder: try #require(childFolder))
    for _ in 0..<40 { try store.save(exampleSnapshot(step: 5)) }
  }

  @Test func savesWithAFault() throws {
    let words = try #require(ProcessInfo.processInfo.environment["APUS_TEST_FAULT"]).split(separator: " ")
    let saving = try #require(Saving(rawValue: String(words[0])))
    let place = try #require(Int(words[1]))
    let fault = try #require(Fault(rawValue: String(words[2])))
    try saving.run(try #require(childFolder), FaultyOperations((place, fault)))
  }

  @Test func failsAtALimit() throws {
    let store = HDF5CheckpointStore(folder: try #require(childFolder))
    let failure = #expect(throws: Failure.self) { try store.save(largeSnapshot(step: 1, megabytes: 8)) }
    #expect(failure?.status == .inputOutput)
    #expect(failure?.what.hasPrefix("cannot write") == true)
  }
}

@Suite(.enabled(if: childFolder == nil, "runs outside other tests only")) struct ProcessTests {
  @Test func aKilledWriterLeavesSoundCheckpoints() throws {
    let folder = try TemporaryFolder()
    let store = HDF5CheckpointStore(folder: folder.path)
    var sawTemporary = false
    for _ in 0..<12 where !sawTemporary {
      let child = try startChild("savesOnAndOn", in: folder.path)
      let deadline = Date(timeIntervalSinceNow: 20)
      while try store.steps().count < 3 && child.isRunning && Date() < deadline { usleep(1000) }
      while !folder.names.contains(where: { $0.hasSuffix(".tmp") }) && child.isRunning && Date() < deadline {}
      kill(child.processIdentifier, SIGKILL)
      child.waitUntilExit()
      sawTemporary = folder.names.contains { $0.hasSuffix(".tmp") }
      let found = try #require(try store.latest())
      #expect(found.skipped.isEmpty)
      for step in try store.steps() { try store.verify(file: store.file(step: step)) }
    }
    #expect(sawTemporary, "no attempt hit the middle of a write")
    try store.save(exampleSnapshot(step: 100_000))
    #expect(!folder.names.contains { $0.hasSuffix(".tmp") })
  }

  @Test func twoProcessesMaySaveTheSameStep() throws {
    let folder = try TemporaryFolder()
    let children = try (0..<2).map { _ in try startChild("savesTheSameStepManyTimes", in: folder.path) }
    for child in children { child.waitUntilExit() }
    #expect(children.map(\.terminationStatus) == [0, 0])
    #expect(folder.names == ["step-00000005.h5"])
    #expect(areEqual(try HDF5CheckpointStore(folder: folder.path).load(step: 5), exampleSnapshot(step: 5)))
  }

  @Test func aFailedWriteDoesNotCrashTheProcessAtItsEnd() throws {
    let folder = try TemporaryFolder()
    let child = try startChild("failsAtALimit", in: folder.path, limit: "trap '' XFSZ; ulimit -f 1000")
    child.waitUntilExit()
    #expect(child.terminationReason == .exit && child.terminationStatus == 0)
    #expect(folder.names == [])
  }

  @Test func withoutThreadsCheckpointsAreWrittenByWhoSaves() async {
    await #expect(processExitsWith: .success) {
      allowNoFurtherThread()
      let folder = try TemporaryFolder()
      let store = HDF5CheckpointStore(folder: folder.path)
      let saver = BackgroundSaver(store, retention: Retention(newest: 2))
      for step in 1...3 { try saver.save(exampleSnapshot(step: step)) }
      try saver.finish()
      let found = try store.load(step: 3)
      guard try store.steps() == [2, 3], areEqual(found, exampleSnapshot(step: 3)) else { exit(3) }
    }
  }

  @Test func aFolderThatCannotBeMade() throws {
    let folder = try TemporaryFolder()
    try folder.write([], to: "file")
    let store = HDF5CheckpointStore(folder: folder.file("file/checkpoints"))
    let failure = #expect(throws: Failure.self) { try store.save(exampleSnapshot()) }
    #expect(failure?.status == .cannotCreate)
    #expect(failure?.description.contains("Not a directory") == true)
  }
}
