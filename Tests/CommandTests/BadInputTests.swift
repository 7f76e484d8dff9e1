// What a user gets wrong: one clear line, the right exit status, nothing written; alone and under two ranks.

import Foundation
import TestSupport
import Testing

/// A wrong call of `apus train` and the line it deserves.
struct Mistake: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let status: Int32
  /// Parts of the line; FOLDER stands for the test's own folder.
  let words: [String]
  /// Overrides; FOLDER as above.
  let overrides: [String]

  init(_ name: String, _ status: Int32, _ words: [String], _ overrides: [String]) {
    testDescription = name
    self.status = status
    self.words = words
    self.overrides = overrides
  }

  /// Source data in files, good but for what the other overrides change.
  static let files = [
    "crop.size=64x64", "network.detailCrop=32x32", "data.source.kind=folder", "data.source.images=FOLDER/good/images",
    "data.source.labels=FOLDER/good/labels",
  ]

  static let all = [
    Mistake(
      "a misspelt key", 65, ["--set batch.gloabl: unknown key batch.gloabl; did you mean batch.global?"],
      ["batch.gloabl=4"]),
    Mistake(
      "a word for a number", 65, ["--set schedule.steps: schedule.steps is many; expected a whole number"],
      ["schedule.steps=many"]),
    Mistake(
      "a misspelt choice", 65, ["encoder.name is tinny", "did you mean tiny?"], ["encoder.name=tinny"]),
    Mistake(
      "a missing folder", 66, ["FOLDER/none: no such folder"], files + ["data.source.images=FOLDER/none"]),
    Mistake(
      "a folder without images", 66, ["FOLDER/empty: no images in this folder"],
      files + ["data.source.images=FOLDER/empty"]),
    Mistake(
      "labels of another size", 65,
      ["FOLDER/resized/labels/source-000001.png: label is 64x80", "source-000001.png is 96x80"],
      files + ["data.source.labels=FOLDER/resized/labels"]),
    Mistake(
      "a label id outside the map", 65,
      ["FOLDER/good/labels/source-00000", "label id", "row", "column", "is not in map"],
      files + ["data.source.map={0: 0, 1: 1}"]),
    Mistake(
      "a truncated label", 65, ["FOLDER/cut/labels/source-000002.png"], files + ["data.source.labels=FOLDER/cut/labels"]
    ),
    Mistake(
      "a truncated image", 65, ["FOLDER/cut/images/source-00000"], files + ["data.source.images=FOLDER/cut/images"]),
    Mistake(
      "a crop larger than the images", 65, ["source-000000.png: image is 96x80, smaller than the crop of 128x64"],
      files + ["crop.size=128x64"]),
    Mistake(
      "target images of two sizes", 65, ["FOLDER/mixed/images/source-000001.png: image is 64x80", "teacher.cache"],
      files + ["data.target.kind=folder", "data.target.images=FOLDER/mixed/images"]),
  ]
}

@Suite(.serialized) struct BadInputTests {
  let folder: TemporaryFolder
  let run: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
  }

  /// Makes the data sets that mistakes refer to.
  private func makeData() throws {
    func generate(_ name: String, size: String) throws {
      let made = try apus(
        "data", "generate", "--output", folder.file(name), "--domain", "source", "--count", "4", "--size", size,
        "--seed", "1")
      try #require(made.status == 0, "\(made)")
    }
    try generate("good", size: "96x80")
    try generate("small", size: "64x80")
    let files = FileManager.default
    for copy in ["resized", "cut", "mixed"] {
      try files.copyItem(atPath: folder.file("good"), toPath: folder.file(copy))
    }
    try folder.write(try folder.bytes("small/labels/source-000001.png"), to: "resized/labels/source-000001.png")
    try folder.write(try folder.bytes("small/images/source-000001.png"), to: "mixed/images/source-000001.png")
    let label = try folder.bytes("cut/labels/source-000002.png")
    try folder.write(Array(label.prefix(label.count / 2)), to: "cut/labels/source-000002.png")
    for index in 0..<4 {
      let image = try folder.bytes("cut/images/source-00000\(index).png")
      try folder.write(Array(image.prefix(image.count / 2)), to: "cut/images/source-00000\(index).png")
    }
    try files.createDirectory(atPath: folder.file("empty"), withIntermediateDirectories: true)
  }

  private func check(_ result: CommandResult, _ mistake: Mistake) {
    let line = result.ownErrors.first ?? ""
    #expect(result.refuses(mistake.status), "\(result)")
    for words in mistake.words {
      let words = words.replacing("FOLDER", with: folder.path)
      #expect(line.contains(words), "\(line)")
    }
  }

  @Test(arguments: Mistake.all) func aMistakeIsOneLine(_ mistake: Mistake) async throws {
    try makeData()
    let options = mistake.overrides.flatMap { ["--set", $0.replacing("FOLDER", with: folder.path)] }
    let alone = try await startTraining(in: run, options)
    check(alone, mistake)
    #expect(alone.errors.split(separator: "\n").count == 1, "\(alone.errors)")
    #expect(!FileManager.default.fileExists(atPath: run + "/summary.json"))
    check(try await startTraining(in: run + "2", ranks: 2, options), mistake)
    #expect(!FileManager.default.fileExists(atPath: run + "2/summary.json"))
  }

  @Test func aFileIsNamedWithItsLine() async throws {
    let recipe = folder.file("recipe.yaml")
    let text = try String(contentsOfFile: testRecipe, encoding: .utf8)
    let line = text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.hasPrefix("batch:") }
    let number = try #require(line) + 1
    for (wrong, complaint) in [
      ("batch: {gloabl: 4}", "unknown key batch.gloabl; did you mean batch.global?"),
      ("batch: {global: four}", "batch.global is four; expected a whole number of at least 1"),
      ("batch: {global: 4", "not valid YAML"),
    ] {
      try Data(text.replacing("batch: {global: 4}", with: wrong).utf8).write(to: URL(filePath: recipe))
      let result = try await startTraining(in: run, recipe: recipe)
      #expect(result.refuses(65, "apus: \(recipe):", complaint), "\(result)")
      if !complaint.hasPrefix("not") { #expect(result.ownErrors[0].hasPrefix("apus: \(recipe):\(number): ")) }
    }
    #expect(!FileManager.default.fileExists(atPath: run))
  }

  @Test(arguments: [nil, 2] as [Int?]) func theCallIsChecked(ranks: Int?) async throws {
    let missing = try await startTraining(in: run, ranks: ranks, recipe: folder.file("none.yaml"))
    #expect(missing.refuses(66, "\(folder.file("none.yaml")): there is no such recipe"), "\(missing)")
    let steps = try await startTraining(in: run, ranks: ranks, ["--steps", "0"])
    #expect(steps.refuses(64, "--steps must be at least 1, not 0; see apus train --help"), "\(steps)")
    let level = try await startTraining(in: run, ranks: ranks, environment: ["APUS_CPU_LEVEL": "axv2"])
    #expect(level.refuses(64, "APUS_CPU_LEVEL: no CPU level \"axv2\"; did you mean avx2?"), "\(level)")
    let threads = try await startTraining(in: run, ranks: ranks, environment: ["APUS_THREADS": "two"])
    #expect(threads.refuses(65, "APUS_THREADS: threads is two; expected a whole number"), "\(threads)")
    #expect(!FileManager.default.fileExists(atPath: run))
  }

  @Test func aBatchThatRanksCannotShareIsRefused() async throws {
    let result = try await startTraining(in: run, ranks: 2, ["--set", "batch.global=3"])
    #expect(result.refuses(65, "a global batch of 3 samples cannot be cut into 2 equal parts", "batch.global: 2 or 4"))
    #expect(!FileManager.default.fileExists(atPath: run))
  }

  @Test(arguments: [nil, 2] as [Int?]) func aRunIsNotOverwritten(ranks: Int?) async throws {
    let first = try await startTraining(in: run, ["--steps", "1"])
    try #require(first.status == 0, "\(first)")
    let before = try contents(of: run)
    let held = try await startTraining(in: run, ranks: ranks)
    #expect(held.refuses(73, "\(run): it holds a run", "--resume"), "\(held)")
    #expect(try contents(of: run) == before)
  }

  @Test(arguments: [nil, 2] as [Int?]) func aRunInUseIsLeftAlone(ranks: Int?) async throws {
    let first = try await startTraining(in: run, ["--steps", "1"])
    try #require(first.status == 0, "\(first)")
    let lock = try FileHandle(forUpdating: URL(filePath: run + "/lock"))
    defer { try? lock.close() }
    try #require(flock(lock.fileDescriptor, LOCK_EX | LOCK_NB) == 0)
    try lock.write(contentsOf: Data("process 1 on host elsewhere\n".utf8))
    let before = try contents(of: run)
    let refused = try await startTraining(in: run, ranks: ranks, ["--resume"])
    #expect(refused.refuses(73, "\(run)/lock: the run is held by process 1 on host elsewhere"), "\(refused)")
    #expect(try contents(of: run) == before)
  }

  @Test func aFileInThePlaceOfTheFolderIsLeftAlone() async throws {
    try folder.write([1, 2, 3], to: "file")
    let result = try await startTraining(in: folder.file("file"))
    #expect(result.refuses(73, folder.file("file")), "\(result)")
    #expect(try folder.bytes("file") == [1, 2, 3])
    let inside = try await startTraining(in: folder.file("file/run"), ranks: 2)
    #expect(inside.refuses(73, folder.file("file/run")), "\(inside)")
  }

  @Test(.enabled(if: getuid() != 0, "root may write everywhere")) func aReadOnlyPlaceIsNamed() async throws {
    let place = folder.file("sealed")
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: place)
    defer { try? FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: place) }
    let result = try await startTraining(in: place + "/run")
    #expect(result.refuses(73, place), "\(result)")
  }
}
