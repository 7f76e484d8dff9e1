// Saving while training: in parts, on a disk that is full or a name that is taken, in a folder that goes away.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct SavingTests {
  let folder: TemporaryFolder
  let run: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
  }

  private var checkpoints: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints")) ?? []).sorted()
  }

  @Test(arguments: [(4, 1), (2, 4)]) func anotherNumberOfRanksGoesOnFromParts(first: Int, second: Int) async throws {
    let sharded = ["--set", "checkpoint.sharded=true", "--set", "checkpoint.every=3"]
    let begun = try await startTraining(in: run, ranks: first, ["--steps", "10"] + sharded)
    try #require(begun.status == 0, "\(begun)")
    // Two checkpoints are kept, each a manifest and a part of every rank.
    #expect(checkpoints.count == 2 * (first + 1), "\(checkpoints)")
    #expect(checkpoints.contains("step-00000010.h5") && checkpoints.contains("step-00000009.h5"))
    #expect(checkpoints.contains("step-00000010.part-00001-of-0000\(first).h5"))
    let verified = try apus("checkpoint", "verify", run + "/checkpoints", "--json").object()
    #expect((verified["files"] as? [[String: Any]])?.count == 2 && verified["ok"] as? Bool == true)

    let whole = folder.file("whole")
    let plain = try await startTraining(in: whole, ["--steps", "10"])
    try #require(plain.status == 0, "\(plain)")
    let compared = try apus(
      "checkpoint", "compare", run + "/checkpoints/step-00000010.h5", whole + "/checkpoints/step-00000010.h5")
    #expect(compared.status == 0, "\(compared)")

    let rest = try await startTraining(
      in: run, ranks: second > 1 ? second : nil, ["--resume"] + (second > 1 ? sharded : []))
    try #require(rest.status == 0, "\(rest)")
    #expect(rest.output.contains("resuming after step 10 from \(run)/checkpoints/step-00000010.h5\n"))
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  /// Runs of seconds, one after the other: other processes, other times, pseudo-labels too.
  @Test(arguments: [false, true]) func theSameRunWritesTheSameFiles(sharded: Bool) async throws {
    let settings = ["--steps", "4", "--set", "checkpoint.sharded=\(sharded)", "--set", "teacher.cache=true"]
    var files: [[String: Data]] = []
    for name in ["run", "again"] {
      let result = try await startTraining(in: folder.file(name), ranks: 2, settings)
      try #require(result.status == 0, "\(result)")
      files.append(try contents(of: folder.file(name)).filter { $0.key.hasSuffix(".h5") })
    }
    // The checkpoint, in parts with its manifest, and the pseudo-labels of each rank.
    #expect(files[0].count >= (sharded ? 3 : 1) + 2, "\(files[0].keys)")
    #expect(files[0].keys.sorted() == files[1].keys.sorted())
    for (name, bytes) in files[0] { #expect(bytes == files[1][name], "\(name)") }
  }

  /// Parts are on disk and their manifest is not begun when all ranks learn that the evaluation cannot go on.
  @Test func aFailureOfAllRanksLosesNoCheckpoint() async throws {
    let scenes = folder.file("scenes")
    let made = try apus(
      "data", "generate", "--output", scenes, "--domain", "target", "--count", "2", "--size", "256x136")
    try #require(made.status == 0, "\(made)")
    // The first one is looked at whole before step 1, of the others the headers.
    let last = try #require(try FileManager.default.contentsOfDirectory(atPath: scenes + "/images").max())
    var bytes = try Data(contentsOf: URL(filePath: "\(scenes)/images/\(last)"))
    bytes[bytes.count / 2] ^= 0xff
    try bytes.write(to: URL(filePath: "\(scenes)/images/\(last)"))
    let validation = "data.validation={kind: folder, images: \(scenes)/images, labels: \(scenes)/labels}"
    let result = try await startTraining(
      in: run, ranks: 2,
      ["checkpoint.sharded=true", "checkpoint.every=3", "evaluation.every=3", validation].flatMap { ["--set", $0] })
    #expect(result.status == 65 && result.errors.contains(scenes), "\(result)")
    #expect(checkpoints.filter { !$0.contains("part") } == ["step-00000003.h5"], "\(checkpoints)")
    let rest = try await startTraining(in: run, ["--resume"])
    #expect(rest.status == 0 && rest.output.contains("resuming after step 3 from "), "\(rest)")
    #expect(try TrainedState(run).digests == (try await referenceRun.value.digests))
  }

  @Test func aMissingPartIsPassedOver() async throws {
    let settings = ["--set", "checkpoint.sharded=true", "--set", "checkpoint.every=5"]
    let begun = try await startTraining(in: run, ranks: 2, ["--steps", "10"] + settings)
    try #require(begun.status == 0, "\(begun)")
    try FileManager.default.removeItem(atPath: run + "/checkpoints/step-00000010.part-00001-of-00002.h5")
    let rest = try await startTraining(in: run, ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(
      rest.output.contains("passed over checkpoint of step 10: ")
        && rest.output.contains("lacks its part step-00000010.part-00001-of-00002.h5"), "\(rest)")
    #expect(rest.output.contains("resuming after step 5 from "))
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  /// Trains five steps and puts something under the name of the checkpoint of step 10 that no file can replace.
  private func blockStepTen(_ settings: [String]) async throws {
    let begun = try await startTraining(in: run, ["--steps", "5"] + settings)
    try #require(begun.status == 0, "\(begun)")
    try FileManager.default.createDirectory(
      atPath: run + "/checkpoints/step-00000010.h5/taken", withIntermediateDirectories: true)
  }

  @Test(arguments: [nil, 2], [false, true]) func aCheckpointThatCannotBeWritten(ranks: Int?, sharded: Bool) async throws
  {
    let settings = [
      "--set", "checkpoint.every=5", "--set", "checkpoint.keep=9", "--set", "checkpoint.sharded=\(sharded)",
    ]
    try await blockStepTen(settings)
    let stopped = try await startTraining(
      in: run, ranks: ranks, ["--resume", "--set", "checkpoint.onFailure=stop"] + settings)
    #expect(stopped.refuses(73, "step-00000010.h5", "cannot rename"), "\(stopped)")
    #expect(!stopped.output.contains("step 20 "), "\(stopped)")
    #expect(!checkpoints.contains { $0.hasSuffix(".tmp") || $0.contains("10.part") }, "\(checkpoints)")

    let warned = try await startTraining(in: run, ranks: ranks, ["--resume"] + settings)
    try #require(warned.status == 0, "\(warned)")
    #expect(warned.output.contains("resuming after step 5 from "))
    let lines = warned.output.split(separator: "\n").filter { $0.hasPrefix("warning: the checkpoint ") }
    #expect(lines.count == 1, "\(warned)")
    #expect(lines.first?.hasPrefix("warning: the checkpoint of step 10 was not saved: ") == true, "\(warned)")
    #expect(!checkpoints.contains { $0.hasSuffix(".tmp") || $0.contains("10.part") }, "\(checkpoints)")
    #expect(checkpoints.contains("step-00000015.h5") && checkpoints.contains("step-00000020.h5"))
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  @Test func steppingStonesAreKept() async throws {
    let result = try await startTraining(
      in: run, ["--set", "checkpoint.every=2", "--set", "checkpoint.keep=1", "--set", "checkpoint.keepEvery=8"])
    try #require(result.status == 0, "\(result)")
    #expect(checkpoints == ["step-00000008.h5", "step-00000016.h5", "step-00000020.h5"])
  }

  @Test func aFolderThatGoesAwayIsMadeAnew() async throws {
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments = ["train", testRecipe, "--run-directory", run, "--set", "checkpoint.every=2"]
    process.environment = ProcessInfo.processInfo.environment.merging(["APUS_THREADS": "1"]) { $1 }
    try folder.write([], to: "output")
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: folder.file("output")))
    process.standardError = FileHandle.nullDevice
    try process.run()
    let deadline = ContinuousClock.now + .seconds(300)
    while process.isRunning, ContinuousClock.now < deadline, !checkpoints.contains("step-00000002.h5") {
      try await Task.sleep(for: .milliseconds(5))
    }
    try FileManager.default.moveItem(atPath: run, toPath: folder.file("gone"))
    while process.isRunning, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    let output = String(decoding: try folder.bytes("output"), as: UTF8.self)
    #expect(process.terminationStatus == 0, "\(output)")
    #expect(output.components(separatedBy: "warning: \(run) was deleted").count == 2, "\(output)")
    #expect(checkpoints.last == "step-00000020.h5", "\(checkpoints)")
    let again = try await startTraining(in: run, ["--resume"])
    #expect(again.status == 0 && again.output.contains("resuming after step 20 from "), "\(again)")
    #expect(try TrainedState(run).digests == (try await referenceRun.value.digests))
  }

  @Test func twoRunsNeverShareAFolder() async throws {
    async let one = startTraining(in: run)
    async let other = startTraining(in: run)
    let results = try await [one, other].sorted { $0.status < $1.status }
    #expect(results[0].status == 0, "\(results)")
    #expect(results[1].refuses(73, run), "\(results)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }
}

/// Runs a program to its end.
private func isDone(_ program: String, _ arguments: String...) -> Bool {
  let process = Process()
  process.executableURL = URL(filePath: program)
  process.arguments = arguments
  process.standardError = FileHandle.nullDevice
  guard (try? process.run()) != nil else { return false }
  process.waitUntilExit()
  return process.terminationStatus == 0
}

private let canMount: Bool = {
  guard let folder = try? TemporaryFolder() else { return false }
  return isDone("/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path)
    && isDone("/bin/umount", folder.path)
}()

@Suite(.serialized, .enabled(if: canMount, "needs to mount a tmpfs")) struct SmallDiskTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Bytes of a run of the test recipe with two checkpoints, and of one of these.
  private func sizes(_ settings: [String]) async throws -> (run: Int, checkpoint: Int) {
    let run = folder.file("sample")
    let result = try await startTraining(in: run, ["--steps", "8"] + settings)
    try #require(result.status == 0, "\(result)")
    let files = try contents(of: run)
    let checkpoint = try #require(files["checkpoints/step-00000008.h5"])
    return (files.values.reduce(0) { $0 + $1.count }, checkpoint.count)
  }

  @Test(arguments: [nil, 2]) func aFullDiskLeavesWhatWasThere(ranks: Int?) async throws {
    // Two checkpoints and the rest fit; a third, which comes before the first is deleted, does not.
    let settings = ["--set", "checkpoint.every=4", "--set", "teacher.cache=false"]
    let sizes = try await sizes(settings)
    let disk = folder.file("disk")
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    try #require(
      isDone("/bin/mount", "-t", "tmpfs", "-o", "size=\(sizes.run + sizes.checkpoint * 3 / 4)", "tmpfs", disk))
    defer { _ = isDone("/bin/umount", disk) }
    let run = disk + "/run"
    let result = try await startTraining(in: run, ranks: ranks, settings)
    #expect(result.refuses(74, "step-00000020.h5", "bytes free"), "\(result)")
    let warnings = result.output.split(separator: "\n").filter { $0.hasPrefix("warning: the checkpoint ") }
    #expect(warnings.count == 2, "\(result)")
    for (step, line) in zip([12, 16], warnings) {
      #expect(line.hasPrefix("warning: the checkpoint of step \(step) was not saved: ") && line.contains("bytes free"))
    }
    #expect(result.output.contains("step 20  "), "training went on to its end: \(result)")
    let names = try FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints").sorted()
    #expect(names == ["step-00000004.h5", "step-00000008.h5"])
    let verified = try apus("checkpoint", "verify", run + "/checkpoints")
    #expect(verified.status == 0, "\(verified)")

    let stopping = try await startTraining(
      in: run, ranks: ranks, ["--resume", "--set", "checkpoint.onFailure=stop"] + settings)
    #expect(stopping.refuses(74, "step-00000012.h5", "bytes free"), "\(stopping)")
    #expect(!stopping.output.contains("step 20  "), "\(stopping)")
    // With room again it goes on as if nothing had happened.
    try #require(isDone("/bin/mount", "-o", "remount,size=64m", disk))
    let rest = try await startTraining(in: run, ranks: ranks, ["--resume"] + settings)
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(run).matches(try await referenceRun.value))
  }

  @Test func aReadOnlyFolderIsRefused() async throws {
    let disk = folder.file("disk")
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
    try #require(isDone("/bin/mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", disk))
    defer { _ = isDone("/bin/umount", disk) }
    let result = try await startTraining(in: disk + "/run")
    #expect(result.refuses(73, disk + "/run"), "\(result)")
    let there = try await startTraining(in: disk)
    #expect(there.refuses(73, disk), "\(there)")
  }
}
