// Reading checkpoints back, after they were proved, in one file or in parts.

import Foundation
import Storage
import Support
import Tensors

extension HDF5CheckpointStore {
  /// Reads a checkpoint after proving length and SHA-256 of the whole file, and of every part, and the digest of every
  /// tensor it reads.
  public func load(file path: String, groups: [String]? = nil) throws -> Snapshot {
    let whole = try prove(path) { try StoredFile($0, $1) }
    var records: [Snapshot.Record] = []
    for file in whole.files {
      let paths = file.paths.filter { dataset in
        groups.map { $0.contains { dataset.hasPrefix($0 + "/") } } ?? true
      }
      records += try paths.map { Snapshot.Record($0, try file.tensor($0)) }
    }
    return Snapshot(run: whole.run, records: records)
  }

  /// Proves length and SHA-256 of the whole file, and of every part, and the digest of every tensor.
  public func verify(file path: String) throws {
    let whole = try prove(path, openNamingTensors)
    guard whole.files.contains(where: { !$0.paths.isEmpty }) else {
      throw Failure(.badData, "holds no tensors", at: path)
    }
    for file in whole.files {
      if let damaged = damagedTensors(file).first {
        throw Failure(.badData, "is damaged in \(damaged)", at: file.path)
      }
    }
  }

  /// What a checkpoint holds, from its metadata alone: nothing is proved.
  public func outline(file path: String) throws -> CheckpointOutline {
    let whole = try prove(path) { try StoredFile($0, $1, .claim) }
    let tensors = try whole.files.flatMap { file in
      try file.paths.map { CheckpointOutline.Tensor(path: $0, shape: try file.dataset($0).shape) }
    }
    return CheckpointOutline(
      run: whole.run, tensors: tensors.sorted { precedesInBytes($0.path, $1.path) }, files: whole.files.map(\.path))
  }

  /// Files that together are a checkpoint.
  private struct Whole {
    let run: RunDescription
    let files: [StoredFile]
  }

  /// Opens a checkpoint and its parts, each proved by `open`.
  private func prove(_ path: String, _ open: (String, [Seal.Kind]) throws -> StoredFile) throws -> Whole {
    let file = try open(path, [.checkpoint, .checkpointManifest])
    try check(file)
    let run = try RunDescription(file.attributes(of: "run"), at: file.place("run"))
    guard file.seal.kind == .checkpointManifest else { return Whole(run: run, files: [file]) }
    let folder = parentFolder(of: path)
    let parts = try HDF5CheckpointStore.parts(file)
    let files = try parts.map { part in
      let place = folder.isEmpty ? part.name : "\(folder)/\(part.name)"
      guard FileManager.default.fileExists(atPath: place) else {
        throw Failure(.badData, "lacks its part \(part.name)", at: path, remedy: "put the file back beside it")
      }
      let found = try open(place, [.checkpointPart])
      guard found.seal.byteCount == part.byteCount && found.seal.digest == part.digest else {
        throw Failure(.badData, "is not the part that \((path as NSString).lastPathComponent) names", at: place)
      }
      try check(found)
      return found
    }
    let paths = files.flatMap(\.paths)
    guard Set(paths).count == paths.count else {
      throw Failure(.badData, "two of its parts hold the same tensor", at: path)
    }
    return Whole(run: run, files: files)
  }

  /// As `StoredFile`, but tells which tensors are damaged where the rest can be read.
  private func openNamingTensors(_ path: String, _ kinds: [Seal.Kind]) throws -> StoredFile {
    do {
      return try StoredFile(path, kinds)
    } catch let failure as Failure where failure.what.hasPrefix("is damaged: ") {
      let damaged = (try? StoredFile(path, kinds, .claim)).map(damagedTensors) ?? []
      guard !damaged.isEmpty else { throw failure }
      let others = damaged.count > 3 ? " and \(damaged.count - 3) more" : ""
      throw Failure(
        .badData, "is damaged in \(damaged.prefix(3).joined(separator: ", "))\(others)", at: path,
        remedy: failure.remedy)
    }
  }

  /// Checks that a file holds what a checkpoint, a part or a manifest may.
  private func check(_ file: StoredFile) throws {
    let attributes = try file.attributes(of: "")
    guard attributes["format"] == .text(HDF5CheckpointStore.format),
      let version = attributes["format-version"]?.integer
    else { throw Failure(.badData, "is no checkpoint of this program", at: file.path) }
    guard version <= HDF5CheckpointStore.formatVersion else {
      throw Failure(
        .badData, "has format version \(version), expected \(HDF5CheckpointStore.formatVersion) or less",
        at: file.path, remedy: "read it with a newer version of this program")
    }
    if let strange = file.paths.first(where: { !Snapshot.isPath($0) }) {
      throw notOfTheFormat("a checkpoint has no such dataset", at: file.place(strange))
    }
  }

  /// Paths of tensors that cannot be read or whose digest does not hold.
  private func damagedTensors(_ file: StoredFile) -> [String] {
    file.paths.filter { (try? file.tensor($0)) == nil }
  }
}
