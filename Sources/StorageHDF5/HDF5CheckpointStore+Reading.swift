// Reading checkpoints back, after they were proved, in one file or in parts.

import Foundation
import Storage
import Support
import Tensors

extension HDF5CheckpointStore {
  /// Reads a checkpoint after proving length and SHA-256 of the whole file, and of every part.
  public func load(file path: String, groups: [String]? = nil) throws -> Snapshot {
    let whole = try prove(path, [.checkpoint, .checkpointManifest], Seal.verified)
    var records: [Snapshot.Record] = []
    for file in whole.files {
      let paths = try file.datasets().filter { dataset in
        guard Snapshot.isPath(dataset) else { return false }
        return groups.map { $0.contains { dataset.hasPrefix($0 + "/") } } ?? true
      }
      records += try paths.map { Snapshot.Record($0, try file.tensor($0)) }
    }
    guard Set(records.map(\.path)).count == records.count else {
      throw Failure(.badData, "two of its parts hold the same tensor", at: path)
    }
    return Snapshot(run: whole.run, records: records)
  }

  /// Proves length and SHA-256 of the whole file, and of every part, and the digest of every tensor.
  public func verify(file path: String) throws {
    let whole = try prove(path, [.checkpoint, .checkpointManifest], proveNamingTensors)
    for file in whole.files {
      let damaged = damagedTensors(file)
      guard damaged.isEmpty else { throw Failure(.badData, "is damaged in \(damaged[0])", at: file.path) }
    }
  }

  /// What a checkpoint holds, from its metadata alone: nothing is proved.
  public func outline(file path: String) throws -> CheckpointOutline {
    let whole = try prove(path, [.checkpoint, .checkpointManifest], Seal.claimed)
    let tensors = try whole.files.flatMap { file in
      try file.datasets().filter(Snapshot.isPath).map {
        CheckpointOutline.Tensor(path: $0, shape: try file.shape(of: $0))
      }
    }
    return CheckpointOutline(
      run: whole.run, tensors: tensors.sorted { precedesInBytes($0.path, $1.path) }, files: whole.files.map(\.path))
  }

  /// Files that together are a checkpoint.
  private struct Whole {
    let run: RunDescription
    let files: [HDF5File]
  }

  /// Opens a checkpoint and its parts, each proved by `seal`.
  private func prove(
    _ path: String, _ kinds: [Seal.Kind], _ seal: (String, [Seal.Kind]) throws -> Seal
  ) throws -> Whole {
    let kind = try seal(path, kinds).kind
    let file = try HDF5File(reading: path)
    try checkFormat(file)
    let run = try file.runDescription("run")
    guard kind == .checkpointManifest else { return Whole(run: run, files: [file]) }
    let folder = parentFolder(of: path)
    let files = try HDF5CheckpointStore.parts(file).map { part in
      let place = folder.isEmpty ? part.name : "\(folder)/\(part.name)"
      guard FileManager.default.fileExists(atPath: place) else {
        throw Failure(.badData, "lacks its part \(part.name)", at: path, remedy: "put the file back beside it")
      }
      let found = try seal(place, [.checkpointPart])
      guard found.byteCount == part.byteCount && found.digest == part.digest else {
        throw Failure(.badData, "is not the part that \((path as NSString).lastPathComponent) names", at: place)
      }
      let file = try HDF5File(reading: place)
      try checkFormat(file)
      return file
    }
    return Whole(run: run, files: files)
  }

  /// As `Seal.verified`, but tells which tensors are damaged where the rest can be read.
  private func proveNamingTensors(_ path: String, _ kinds: [Seal.Kind]) throws -> Seal {
    do {
      return try Seal.verified(path, kinds)
    } catch let failure as Failure where failure.what.hasPrefix("is damaged: ") {
      // Metadata of the format carry checksums of their own, so that looking into a damaged file is safe.
      let damaged = (try? HDF5File(reading: path)).map(damagedTensors) ?? []
      guard !damaged.isEmpty else { throw failure }
      let others = damaged.count > 3 ? " and \(damaged.count - 3) more" : ""
      throw Failure(
        .badData, "is damaged in \(damaged.prefix(3).joined(separator: ", "))\(others)", at: path,
        remedy: failure.remedy)
    }
  }

  private func checkFormat(_ file: HDF5File) throws {
    guard try file.attribute("format", of: "") == .text(HDF5CheckpointStore.format),
      let version = try file.attribute("format-version", of: "")?.integer
    else { throw Failure(.badData, "is no checkpoint of this program", at: file.path) }
    guard version <= HDF5CheckpointStore.formatVersion else {
      throw Failure(
        .badData, "has format version \(version), expected \(HDF5CheckpointStore.formatVersion) or less",
        at: file.path, remedy: "read it with a newer version of this program")
    }
  }

  /// Paths of tensors that cannot be read or whose digest does not hold.
  private func damagedTensors(_ file: HDF5File) -> [String] {
    ((try? file.datasets()) ?? []).filter(Snapshot.isPath).filter { path in
      guard let tensor = try? file.tensor(path),
        let digest = try? file.attribute(CheckpointImage.digestName, of: path)?.text
      else { return true }
      return withExtendedLifetime(tensor) {
        let hash = SHA256()
        hash.update(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * 4).bytes)
        return hash.hexadecimal() != digest
      }
    }
  }
}
