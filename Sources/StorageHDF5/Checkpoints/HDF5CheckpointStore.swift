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
  /// - Parameters:
  ///   - folder: its path.
  ///   - operations: how files are written.
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
    let image = try spare.take(form)
    try image.fill(snapshot)
    return PreparedFile(step: snapshot.step, path: path, image: image, disk: disk, spare: spare, result: result)
  }

  /// Lays out a file in memory for a snapshot that is to come.
  public func makeReady(for snapshot: Snapshot, isPart: Bool) throws {
    try spare.makeReady(CheckpointForm(snapshot, isPart ? .checkpointPart : .checkpoint))
  }

  /// Makes a file in memory ready for the next checkpoint of the form of the last one.
  public func makeReady() throws { try spare.makeReady() }

  /// Steps of the files that carry a final name, ascending.
  public func steps() throws -> [Int] { try fileNames(in: folder).compactMap(CheckpointName.step).sorted() }
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

  func put(_ values: Tensor, at first: Int, of path: String) { image.put(values, at: first, of: path) }

  func publish() throws -> String {
    defer { spare.give(image) }
    return result(try disk.write(try image.finish(step: step), as: image.form.kind, to: path))
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

  /// An image of a form, in memory that is used again where there is some.
  func take(_ form: CheckpointForm) throws -> CheckpointImage {
    try state.withLock { try SpareImage.take(form, from: &$0) }
  }

  private static func take(_ form: CheckpointForm, from state: inout State) throws -> CheckpointImage {
    let old = state
    state = .none
    switch old {
    case .none: return try CheckpointImage(form, reusing: nil)
    case .memory(let memory, _): return try CheckpointImage(form, reusing: memory)
    case .ready(let image):
      return try image.form == form ? image : CheckpointImage(form, reusing: image.giveUp())
    }
  }

  /// Lays out a blank file of a form.
  func makeReady(_ form: CheckpointForm) throws {
    try state.withLock { state in state = .ready(try SpareImage.take(form, from: &state)) }
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
