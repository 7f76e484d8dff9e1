// Checkpoints as sealed HDF5 files; docs/checkpoint-format.md describes the format.

import Foundation
import Storage
import Support
import Tensors

/// A folder of HDF5 checkpoints, `step-00000100.h5` and so on.
public final class HDF5CheckpointStore: CheckpointStore {
  /// Version of the format this program writes, and the newest it reads.
  public static let formatVersion = 1
  static let format = "apus-checkpoint"
  static let digestName = "sha256"

  /// The folder; made when the first checkpoint is published.
  public let folder: String

  /// A store over a folder, which need not exist yet.
  public init(folder: String) { self.folder = folder.isEmpty ? "." : folder }

  /// Builds the file in memory: costs a copy of all values and nothing else. Digests, hash and disk come in `publish`.
  public func prepare(_ snapshot: Snapshot, to path: String) throws -> any PreparedCheckpoint {
    // An object header with its digest and link takes about 500 bytes.
    let capacity = snapshot.byteCount + 700 * snapshot.records.count + (1 << 20)
    let file = try HDF5File(building: path, userBlock: Seal.length, capacity: capacity)
    try file.setAttribute("format", of: "", to: .text(HDF5CheckpointStore.format))
    try file.setAttribute("format-version", of: "", to: .integer(HDF5CheckpointStore.formatVersion))
    for group in [Snapshot.student, Snapshot.teacher, Snapshot.firstMoment, Snapshot.secondMoment, Snapshot.objective] {
      try file.createGroup(group)
    }
    try file.write(snapshot.run, to: "run")
    for record in snapshot.records { try file.write(record.values, to: record.path) }
    return PreparedFile(step: snapshot.step, path: path, file: file, records: snapshot.records.map(\.path))
  }

  /// Reads a checkpoint after proving length and SHA-256 of the whole file.
  public func load(file path: String, groups: [String]? = nil) throws -> Snapshot {
    _ = try Seal.verified(path, .checkpoint)
    let file = try HDF5File(reading: path)
    try checkFormat(file)
    let run = try file.runDescription("run")
    let paths = try file.datasets().filter { dataset in
      guard Snapshot.isPath(dataset) else { return false }
      return groups.map { $0.contains { dataset.hasPrefix($0 + "/") } } ?? true
    }
    return Snapshot(run: run, records: try paths.map { Snapshot.Record($0, try file.tensor($0)) })
  }

  /// Proves length and SHA-256 of the whole file and the digest of every tensor.
  public func verify(file path: String) throws {
    do {
      _ = try Seal.verified(path, .checkpoint)
    } catch let failure as Failure where failure.what.hasPrefix("is damaged: ") {
      // Metadata of the format carry checksums of their own, so that looking into a damaged file is safe.
      let damaged = (try? HDF5File(reading: path)).map(damagedTensors) ?? []
      guard !damaged.isEmpty else { throw failure }
      let others = damaged.count > 3 ? " and \(damaged.count - 3) more" : ""
      throw Failure(
        .badData, "is damaged in \(damaged.prefix(3).joined(separator: ", "))\(others)", at: path,
        remedy: failure.remedy)
    }
    let file = try HDF5File(reading: path)
    try checkFormat(file)
    _ = try file.runDescription("run")
    let damaged = damagedTensors(file)
    guard damaged.isEmpty else { throw Failure(.badData, "is damaged in \(damaged[0])", at: path) }
  }

  /// Steps of the files that carry a final name, ascending.
  public func steps() throws -> [Int] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).compactMap(CheckpointName.step).sorted()
    } catch {
      throw Failure(.inputOutput, "cannot list the folder (\(error.localizedDescription))", at: folder)
    }
  }

  /// Deletes the checkpoint of a step.
  public func remove(step: Int) throws {
    guard unlink(file(step: step)) == 0 else {
      throw Failure(.inputOutput, "cannot delete (\(String(cString: strerror(errno))))", at: file(step: step))
    }
    try DurableFile.flushFolder(folder)
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
        let digest = try? file.attribute(HDF5CheckpointStore.digestName, of: path)?.text
      else { return true }
      return withExtendedLifetime(tensor) {
        let hash = SHA256()
        hash.update(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * 4).bytes)
        return hash.hexadecimal() != digest
      }
    }
  }
}

/// A checkpoint whose file stands in memory, without digests and seal.
private final class PreparedFile: PreparedCheckpoint {
  let step: Int
  private let path: String
  private let file: HDF5File
  private let records: [String]

  init(step: Int, path: String, file: HDF5File, records: [String]) {
    self.step = step
    self.path = path
    self.file = file
    self.records = records
  }

  func publish() throws -> String {
    guard let image = file.image else { throw Failure(.internal, "a prepared checkpoint has no memory", at: path) }
    // Small values wait in a buffer of the library until it is flushed.
    try file.flush()
    for record in records {
      let hash = SHA256()
      if let offset = try file.offset(of: record) {
        let count = try file.shape(of: record).reduce(4, *)
        hash.update(UnsafeRawBufferPointer(rebasing: image.bytes[offset..<offset + count]).bytes)
      }
      try file.setAttribute(HDF5CheckpointStore.digestName, of: record, to: .text(hash.hexadecimal()))
    }
    try file.close()
    try DurableFile.write(image.bytes, header: Seal(.checkpoint, sealing: image.bytes).block, to: path)
    return path
  }
}
