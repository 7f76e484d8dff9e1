// `apus checkpoint`: looking into checkpoints, proving them, comparing them, deleting old ones. Import and export are in
// CheckpointExchangeCommands.swift.

import ArgumentParser
import Collectives
import Foundation
import Recipes
import Storage
import StorageHDF5
import Support
import Training

/// Parent of the commands about checkpoints.
struct CheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint", abstract: "Inspect, verify, compare and prune checkpoints; weights in and out.",
    subcommands: [
      CheckpointInspectCommand.self, CheckpointVerifyCommand.self, CheckpointCompareCommand.self,
      CheckpointImportCommand.self, CheckpointExportCommand.self, CheckpointPruneCommand.self,
    ])
}

/// `apus checkpoint inspect`: what a checkpoint holds.
struct CheckpointInspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Tell what a checkpoint holds.",
    discussion: "It reads the metadata only and proves nothing; `apus checkpoint verify` does.")

  @Argument(help: "The checkpoint.")
  var file: String
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    struct Tensor: Encodable {
      let name: String
      let shape: [Int]
    }
    let file: String
    let step: Int
    let classes: [String]
    let worldSize: Int
    let programVersion: String
    let libraryVersions: [String: String]
    let cpuLevel: String
    let schedule: [String: Double]
    let recipe: String
    let bytes: Int
    let files: [String]
    let tensors: [Tensor]
  }

  func run() throws {
    try runAlone {
      let outline = try HDF5CheckpointStore(folder: "").outline(file: file)
      let run = outline.run
      let bytes = outline.tensors.reduce(0) { $0 + $1.count * 4 }
      let versions = run.libraryVersions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      say("step            \(run.step)", json: json)
      say("classes         \(run.classNames.joined(separator: ", "))", json: json)
      say("world size      \(run.worldSize)", json: json)
      say("written by      apus \(run.programVersion), CPU level \(run.cpuLevel)", json: json)
      say("libraries       \(versions.joined(separator: ", "))", json: json)
      say("tensors         \(outline.tensors.count) of \(bytes) bytes in \(outline.files.count) file(s)", json: json)
      for group in Dictionary(grouping: outline.tensors, by: { groupName($0.path) }).sorted(by: { $0.key < $1.key }) {
        let values = group.value.reduce(0) { $0 + $1.count }
        say("/\(group.key): \(group.value.count) tensors, \(values) values", json: json)
      }
      guard json else { return .done }
      print(
        try jsonLine(
          Report(
            file: file, step: run.step, classes: run.classNames, worldSize: run.worldSize,
            programVersion: run.programVersion, libraryVersions: run.libraryVersions, cpuLevel: run.cpuLevel,
            schedule: run.schedule, recipe: run.recipe, bytes: bytes, files: outline.files,
            tensors: outline.tensors.map { Report.Tensor(name: $0.path, shape: $0.shape) })))
      return .done
    }
  }

  private func groupName(_ path: String) -> String { path.split(separator: "/").dropLast().joined(separator: "/") }
}

/// `apus checkpoint verify`: proves files complete and undamaged.
struct CheckpointVerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Prove that checkpoints are complete and undamaged; exit status 1 if one is not.")

  @Argument(help: "Checkpoints, or folders of them.")
  var paths: [String]
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func run() throws {
    try runAlone {
      let files = try paths.flatMap { path -> [String] in
        guard isFolder(path) else { return [path] }
        let store = HDF5CheckpointStore(folder: path)
        return try store.steps().map(store.file(step:))
      }
      return try verify(files, json: json) { try HDF5CheckpointStore(folder: "").verify(file: $0) }
    }
  }
}

/// `apus checkpoint compare`: how far two checkpoints are apart.
struct CheckpointCompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare the tensors of two checkpoints; exit status 1 unless they are equal bit for bit.",
    discussion: """
      Recipe, world size and versions are not compared: equal states may come from other layouts. Tensors that differ
      are listed with the largest distance in representable numbers (ulp) first; --json has all tensors, by name.
      """)

  @Argument(help: "The first checkpoint.")
  var first: String
  @Argument(help: "The second checkpoint.")
  var second: String
  @Option(
    help: ArgumentHelp("Compare this group only, such as student or optimizer/first-moment; may repeat."))
  var group: [String] = []
  @Option(help: "How many of the tensors that differ are listed.")
  var limit = 20
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func run() throws {
    try runAlone {
      let store = HDF5CheckpointStore(folder: "")
      let groups = group.isEmpty ? nil : group
      let comparison = SnapshotComparison(
        try store.load(file: first, groups: groups), try store.load(file: second, groups: groups))
      guard !comparison.tensors.isEmpty else {
        throw Failure(.badData, "neither file has tensors in \(group.joined(separator: ", "))", at: first)
      }
      let different = comparison.tensors.filter { !$0.isIdentical }
        .sorted { ($1.ulp ?? .max, $0.name) < ($0.ulp ?? .max, $1.name) }
      for tensor in different.prefix(max(0, limit)) { say(line(tensor), json: json) }
      if different.count > max(0, limit) { say("and \(different.count - max(0, limit)) more", json: json) }
      say(
        different.isEmpty
          ? "identical: \(comparison.tensors.count) tensors"
          : "\(different.count) of \(comparison.tensors.count) tensors differ", json: json)
      if json { print(try jsonLine(comparison)) }
      return comparison.identical ? .done : .checkFailed
    }
  }

  private func line(_ tensor: TensorDifference) -> String {
    guard let maxAbs = tensor.maxAbs, let maxRel = tensor.maxRel, let ulp = tensor.ulp else {
      return "\(tensor.name): \(tensor.note ?? "")"
    }
    return String(format: "%@: absolute %.3g, relative %.3g, %ld ulp", tensor.name, maxAbs, maxRel, ulp)
  }
}

/// `apus checkpoint prune`: deletes old checkpoints.
struct CheckpointPruneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Delete old checkpoints; the newest that verifies always stays.")

  @Argument(help: "The folder of the checkpoints, such as Checkpoints/NAME/checkpoints.")
  var folder: String
  @Option(help: "How many of the newest to keep.")
  var keepNewest = 3
  @Option(help: "Keep steps divisible by this for good.")
  var keepEvery: Int?
  @Flag(help: "Only tell what would be deleted.")
  var dryRun = false
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    let deleted: [Int]
    let kept: [Int]
    let dryRun: Bool
  }

  func validate() throws {
    guard keepNewest > 0, keepEvery ?? 1 > 0 else { throw ValidationError("counts to keep must be positive") }
  }

  func run() throws {
    try runAlone {
      guard isFolder(folder) else { throw Failure(.missingInput, "there is no such folder", at: folder) }
      let store = HDF5CheckpointStore(folder: folder)
      let before = try store.steps()
      let deleted = try store.prune(Retention(newest: keepNewest, every: keepEvery), dryRun: dryRun)
      for step in deleted { say("\(dryRun ? "would delete" : "deleted") \(store.file(step: step))", json: json) }
      say("\(before.count - deleted.count) of \(before.count) kept", json: json)
      if json {
        print(try jsonLine(Report(deleted: deleted, kept: before.filter { !deleted.contains($0) }, dryRun: dryRun)))
      }
      return .done
    }
  }
}

/// Whether there is a folder at a path.
func isFolder(_ path: String) -> Bool {
  var folder: ObjCBool = false
  return FileManager.default.fileExists(atPath: path, isDirectory: &folder) && folder.boolValue
}

/// Checks files one after the other and tells the outcome of each: damage is exit status 1, a missing file 66.
func verify(_ files: [String], json: Bool, _ check: (String) throws -> Void) throws -> ExitStatus {
  struct Report: Encodable {
    struct File: Encodable {
      let file: String
      let ok: Bool
      let what: String?
    }
    let ok: Bool
    let files: [File]
  }
  guard !files.isEmpty else { throw Failure(.missingInput, "there is nothing to verify") }
  var outcomes: [Report.File] = []
  for file in files {
    do {
      try check(file)
      say("\(file): ok", json: json)
      outcomes.append(Report.File(file: file, ok: true, what: nil))
    } catch let failure as Failure where failure.status == .badData {
      writeErrorLine("apus: \(failure)")
      outcomes.append(Report.File(file: file, ok: false, what: failure.what))
    }
  }
  let isSound = outcomes.allSatisfy(\.ok)
  if json { print(try jsonLine(Report(ok: isSound, files: outcomes))) }
  return isSound ? .done : .checkFailed
}
