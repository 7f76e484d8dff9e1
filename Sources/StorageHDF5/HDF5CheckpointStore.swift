// Checkpoints as sealed HDF5 files; docs/checkpoint-format.md describes the format.

import Foundation
import Storage
import Support
import Synchronization
import Tensors

/// A folder of HDF5 checkpoints, `step-00000100.h5` and so on.
public final class HDF5CheckpointStore: CheckpointStore {
  /// Version of the format this program writes, and the newest it reads.
  public static let formatVersion = 1
  static let format = "apus-checkpoint"

  /// The folder; made when the first checkpoint is published.
  public let folder: String
  let disk: DurableFile
  private let spare = SpareImage()

  /// A store over a folder, which need not exist yet.
  /// - Parameter operations: how files are written.
  public init(folder: String, operations: any FileOperations = SystemFileOperations()) {
    self.folder = folder.isEmpty ? "." : folder
    disk = DurableFile(operations)
  }

  /// Copies the values into a file in memory, whose places are ready if a file of this form was prepared before.
  /// Order, digests, seal and disk come in `publish`.
  public func prepare(_ snapshot: Snapshot, to path: String) throws -> any PreparedCheckpoint {
    try prepare(snapshot, .checkpoint, to: path) { _ in path }
  }

  /// - Parameter result: what `publish` returns, from the seal of the file.
  func prepare(
    _ snapshot: Snapshot, _ kind: Seal.Kind, to path: String, result: @escaping @Sendable (Seal) -> String
  ) throws -> any PreparedCheckpoint {
    let form = CheckpointForm(snapshot, kind)
    let image = try spare.take(form) ?? CheckpointImage(form, reusing: nil)
    try image.fill(snapshot)
    return PreparedFile(step: snapshot.step, path: path, image: image, disk: disk, spare: spare, result: result)
  }

  /// Makes a file in memory ready for the next checkpoint of the form of the last one.
  public func makeReady() throws { try spare.makeReady() }

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
    try disk.remove(file(step: step))
    try disk.flushFolder(folder)
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

/// A checkpoint whose values stand in memory, without digests and seal.
private final class PreparedFile: PreparedCheckpoint {
  let step: Int
  private let path: String
  private let image: CheckpointImage
  private let disk: DurableFile
  private let spare: SpareImage
  private let result: @Sendable (Seal) -> String

  init(
    step: Int, path: String, image: CheckpointImage, disk: DurableFile, spare: SpareImage,
    result: @escaping @Sendable (Seal) -> String
  ) {
    self.step = step
    self.path = path
    self.image = image
    self.disk = disk
    self.spare = spare
    self.result = result
  }

  func publish() throws -> String {
    defer { spare.give(image) }
    let (bytes, seal) = try image.finish(step: step)
    try disk.write(bytes, header: seal.block, to: path)
    return result(seal)
  }
}

/// Memory of the last checkpoint, kept for the next one.
final class SpareImage: Sendable {
  private enum State {
    case none
    case memory(FileImage, CheckpointForm)
    case ready(CheckpointImage)
  }
  private let state = Mutex(State.none)

  /// An image of a form, if there is memory to be used again.
  func take(_ form: CheckpointForm) throws -> CheckpointImage? {
    try state.withLock { state in
      defer { state = .none }
      switch state {
      case .none: return nil
      case .memory(let memory, _): return try CheckpointImage(form, reusing: memory)
      case .ready(let image):
        return try image.form == form ? image : CheckpointImage(form, reusing: image.giveUp())
      }
    }
  }

  /// Takes back an image that was written.
  func give(_ image: CheckpointImage) {
    guard let memory = try? image.giveUp() else { return }
    state.withLock { $0 = .memory(memory, image.form) }
  }

  /// Lays out a blank file of the last form.
  func makeReady() throws {
    try state.withLock { state in
      guard case .memory(let memory, let form) = state else { return }
      state = .none
      state = .ready(try CheckpointImage(form, reusing: memory))
    }
  }
}
