// A run's folder: who may write into it, and what the log and the summary hold.

import Domains
import Foundation
import Recipes
import Support
import TestSupport
import Testing
import Training

@Suite struct RunDirectoryTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func refusal(_ path: String, resume: Bool) -> Failure? {
    do {
      try RunDirectory(path, resume: resume).release()
      return nil
    } catch {
      return error as? Failure
    }
  }

  @Test func layoutIsTheDocumentedOne() {
    let layout = RunLayout("/runs/a/../b")
    #expect(layout.checkpoint(100) == "/runs/b/checkpoints/step-00000100.h5")
    #expect(layout.pseudoLabels(rank: 3) == "/runs/b/pseudo-labels/rank-00003.h5")
    #expect(layout.recipe == "/runs/b/recipe.yaml" && layout.summary == "/runs/b/summary.json")
  }

  @Test func aSecondWriterIsRefusedUntilTheFirstReleases() throws {
    let first = try RunDirectory(folder.path + "/run", resume: false)
    let refused = refusal(folder.path + "/run", resume: true)
    #expect(refused?.status == .cannotCreate)
    #expect(refused?.what.contains("process \(ProcessInfo.processInfo.processIdentifier) on host") == true)
    first.release()
    #expect(refusal(folder.path + "/run", resume: false) == nil)
  }

  @Test func aFolderMadeForARunThatDidNotBeginGoes() throws {
    let path = folder.path + "/run"
    try RunDirectory(path, resume: false).release()
    #expect(!FileManager.default.fileExists(atPath: path))
    let written = try RunDirectory(path, resume: false)
    try written.write("{}", to: path + "/summary.json")
    written.release()
    #expect(FileManager.default.fileExists(atPath: path + "/summary.json"))
    try RunDirectory(path, resume: false).release()
    #expect(FileManager.default.fileExists(atPath: path + "/lock"), "it was there before")
  }

  @Test func theLockOfADeadProcessHereIsTakenOverButNotOneOfAnotherHost() throws {
    let path = folder.path + "/run"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let host = ProcessInfo.processInfo.hostName
    try "process 999999 on host \(host)\n".write(toFile: path + "/lock", atomically: true, encoding: .utf8)
    #expect(refusal(path, resume: false) == nil)
    try "process 12 on host not-\(host)-but-else\n".write(toFile: path + "/lock", atomically: true, encoding: .utf8)
    #expect(
      refusal(path, resume: false)?.remedy
        == "if that process has ended, start with Launch/supervise --release-lock, or remove this file")
  }

  @Test func aContainerThatWasStartedAgainTakesItsRunOver() throws {
    let path = folder.path + "/run"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // The kernel grants the lock, so that the holder, on the same kernel under another host name, has ended.
    let own = "\(ProcessIdentity.current)".split(separator: "-")
    let text = "process 7 on host 0f3a (\(own[0])-\(own[1])-4194304-1)\n"
    try text.write(toFile: path + "/lock", atomically: true, encoding: .utf8)
    #expect(refusal(path, resume: false) == nil)
    try text.replacing("(", with: "(0").write(toFile: path + "/lock", atomically: true, encoding: .utf8)
    #expect(
      refusal(path, resume: false)?.what == "the run is held by process 7 on host 0f3a, which this host cannot ask")
  }

  @Test func aRunThatWasTakenOverIsNoticed() throws {
    let path = folder.path + "/run"
    let run = try RunDirectory(path, resume: false)
    #expect(try !run.reclaim())
    try Data("process 7 on host elsewhere\n".utf8).write(to: URL(filePath: path + "/lock"))
    #expect(throws: Failure.self) { try run.reclaim() }
    run.release()
  }

  @Test func aFolderWithARunNeedsResume() throws {
    let path = folder.path + "/run"
    let run = try RunDirectory(path, resume: false)
    let recipe = try recipe(minimal)
    #expect(try run.storedRecipe(catalogue) == nil)
    try run.write(recipe.resolvedYAML, to: run.layout.recipe)
    #expect(try run.storedRecipe(catalogue)?.seed == 7)
    run.release()
    #expect(refusal(path, resume: false)?.what == "it holds a run")
    let again = try RunDirectory(path, resume: true)
    #expect(again.heldRun)
    again.release()
  }

  @Test func whatAFormerRecipeMadeIsPutAside() throws {
    let run = try RunDirectory(folder.path + "/run", resume: false)
    let labels = run.layout.pseudoLabels
    #expect(run.layout.former(labels, until: 20) == labels + "-until-step-00000020")
    for number in 1...3 {
      try FileManager.default.createDirectory(atPath: labels, withIntermediateDirectories: true)
      try run.write("labels \(number)", to: run.layout.pseudoLabels(rank: 0))
      let data = DataIdentities(source: DatasetIdentity(drawing: "scenes \(number)"))
      try run.goOn(with: try recipe(minimal, "seed=\(number)"), data, after: 20)
      #expect(try run.storedRecipe(catalogue)?.seed == UInt64(number) && run.storedData == data)
    }
    #expect(!FileManager.default.fileExists(atPath: labels))
    for (number, end) in [(1, ""), (2, "-2"), (3, "-3")] {
      #expect(
        try folder.bytes("run/pseudo-labels-until-step-00000020\(end)/rank-00000.h5")
          == "labels \(number)".utf8.map { $0 })
    }
    // There was no recipe before the first.
    let former = try Recipe.read(run.layout.former(run.layout.recipe, until: 20), catalogue: catalogue)
    #expect(former.seed == 1)
    run.release()
  }

  @Test func foldersThatCannotBeMadeAreReported() throws {
    try "text".write(toFile: folder.path + "/file", atomically: true, encoding: .utf8)
    #expect(refusal(folder.path + "/file/run", resume: false)?.status == .cannotCreate)
  }

  private func entry(_ step: Int, loss: Double = 1.5) -> LogEntry {
    LogEntry(
      step: step, losses: ["source/fused": loss], learningRate: 6e-5, imagesPerSecond: 1.25,
      seconds: ["teacher": 0.5], bytesReduced: 4096, peakMemoryBytes: 1 << 30)
  }

  @Test func theLogKeepsLinesAndDropsThoseToBeRunAgain() throws {
    let path = folder.path + "/log.jsonl"
    let log = try RunLog(path, keepingUpTo: 0)
    for step in 1...4 { try log.append(entry(step)) }
    try log.append(entry(5, loss: .nan))
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 5)
    #expect(lines[0].contains("\"learningRate\":6e-05") && lines[0].contains("\"source/fused\":1.5"))
    #expect(try RunLog.read(path)[4].losses["source/fused"]?.isNaN == true)
    let resumed = try RunLog(path, keepingUpTo: 2)
    try resumed.append(entry(3))
    #expect(try RunLog.read(path).map(\.step) == [1, 2, 3])
    // What is left out is kept beside it.
    #expect(try RunLog.read(folder.path + "/log-dropped.jsonl").map(\.step) == [3, 4, 5])
    _ = try RunLog(path, keepingUpTo: 0)
    #expect(try RunLog.read(folder.path + "/log-dropped.jsonl").map(\.step) == [3, 4, 5, 1, 2, 3])
  }

  /// Whatever cannot be read is refused, and stays as it is.
  @Test func aLogThatCannotBeReadIsNotReplaced() throws {
    let path = folder.path + "/log.jsonl"
    let line = try jsonLine(entry(1)) + "\n"
    for (bytes, status) in [
      (Data([0xff, 0xfe]) + Data(line.utf8), ExitStatus.badData), (Data("[]\n\(line)".utf8), .badData),
    ] {
      try bytes.write(to: URL(filePath: path))
      let failure = #expect(throws: Failure.self) { try RunLog(path, keepingUpTo: 5) }
      #expect(failure?.status == status && failure?.place?.hasPrefix(path) == true && failure?.remedy != nil)
      #expect(try Data(contentsOf: URL(filePath: path)) == bytes)
    }
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path + "/inside", withIntermediateDirectories: true)
    let failure = #expect(throws: Failure.self) { try RunLog(path, keepingUpTo: 5) }
    #expect(failure?.status == .inputOutput && failure?.what == "the log cannot be read")
    #expect(FileManager.default.fileExists(atPath: path + "/inside"))
  }

  /// Lines of other versions may have keys that this one does not know.
  @Test func linesAreKeptAsTheyAre() throws {
    let path = folder.path + "/log.jsonl"
    let line = try jsonLine(entry(1)).replacing("{\"bytes", with: "{\"another\": 1, \"bytes")
    for end in ["\n", "\r\n"] {
      try (line + end + line + end).write(toFile: path, atomically: true, encoding: .utf8)
      _ = try RunLog(path, keepingUpTo: 5)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == line + end + line + end)
    }
  }

  /// A limit on the length of files stands for a full disk: a write goes through in part, then fails.
  @Test func aLineThatDoesNotFitLeavesTheLogWhole() throws {
    let path = folder.path + "/log.jsonl"
    let log = try RunLog(path, keepingUpTo: 0)
    try log.append(entry(1))
    let length = try Data(contentsOf: URL(filePath: path)).count
    signal(SIGXFSZ, SIG_IGN)
    var before = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before)
    var limit = before
    limit.rlim_cur = rlim_t(length + 20)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    let failure = Result { try log.append(entry(2)) }
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before)
    signal(SIGXFSZ, SIG_DFL)
    #expect(throws: Failure.self) { try failure.get() }
    #expect(try RunLog.read(path).map(\.step) == [1])
    try log.append(entry(3))
    #expect(try RunLog.read(path).map(\.step) == [1, 3])
  }

  @Test func anUnfinishedLastLineIsDroppedAndAnyOtherIsNot() throws {
    let path = folder.path + "/log.jsonl"
    let line = try jsonLine(entry(1))
    try (line + "\n{\"step\":2").write(toFile: path, atomically: true, encoding: .utf8)
    #expect(try RunLog.read(path).map(\.step) == [1])
    try ("{\"step\":2\n" + line + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    #expect(throws: Failure(.badData, "it is not a line of a log", at: path + ":1", remedy: "remove the line")) {
      try RunLog.read(path)
    }
  }

  @Test func theSummaryHasExactlyThePromisedFields() throws {
    let scores = Scores(mIoU: 50, iou: ["road": 100, "sky": nil])
    var summary = Summary(
      step: 2, worldSize: 1, threads: 2, globalBatch: 4, seconds: 8, imagesPerSecond: 1, peakMemoryBytes: 5,
      student: scores, teacher: Scores(mIoU: nil, iou: [:]), studentDigest: "a", teacherDigest: "b",
      optimizerDigest: "c", reproducibleAcrossRanks: true)
    let text = try jsonText(summary)
    let object = try #require(try JSONSerialization.jsonObject(with: Foundation.Data(text.utf8)) as? [String: Any])
    #expect(
      object.keys.sorted() == [
        "globalBatch", "imagesPerSecond", "optimizerDigest", "peakMemoryBytes", "reproducibleAcrossRanks", "seconds",
        "step", "student", "studentDigest", "teacher", "teacherDigest", "threads", "worldSize",
      ])
    let student = try #require(object["student"] as? [String: Any])
    #expect((student["iou"] as? [String: Any])?["sky"] is NSNull && student["mIoU"] as? Double == 50)
    #expect((object["teacher"] as? [String: Any])?["mIoU"] is NSNull)
    summary.sourceOnly = scores
    let path = folder.path + "/summary.json"
    try jsonText(summary).write(toFile: path, atomically: true, encoding: .utf8)
    #expect(try Summary(contentsOf: path) == summary)
    #expect(throws: Failure.self) { try Summary(contentsOf: path + "x") }
  }
}
