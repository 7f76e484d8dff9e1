// Saving and finding snapshots. How they are stored is beside this module (StorageHDF5).

import Support
import Tensors

/// A snapshot copied and ready to be written.
public protocol PreparedCheckpoint: Sendable {
  /// Steps completed.
  var step: Int { get }
  /// Puts in values that the snapshot awaited, in the order in which they would have lain in its memory.
  /// - Parameters:
  ///   - values: some of a tensor's.
  ///   - first: which of the tensor's elements is the first of these.
  ///   - path: the tensor's.
  /// - Precondition: the tensor is in this file, and it has not been published.
  func put(_ values: Tensor, at first: Int, of path: String)
  /// Writes the checkpoint under its final name; returns the path. May be called once, from any thread.
  /// - Throws: `Failure` 73 if the file cannot be created, 74 if it cannot be written; nothing is left behind then.
  func publish() throws -> String
}

/// A checkpoint that was passed over, and why.
public struct SkippedCheckpoint: Sendable, Equatable {
  /// Steps in its name.
  public let step: Int
  /// What was wrong with it.
  public let failure: Failure

  /// From its parts.
  public init(step: Int, failure: Failure) {
    self.step = step
    self.failure = failure
  }
}

/// The newest checkpoint that could be trusted.
public struct FoundCheckpoint: Sendable {
  /// Its path.
  public let file: String
  /// Its content.
  public let snapshot: Snapshot
  /// Newer ones that were passed over, newest first.
  public let skipped: [SkippedCheckpoint]
}

/// What a checkpoint holds besides values.
public struct CheckpointOutline: Sendable, Equatable {
  /// One tensor.
  public struct Tensor: Sendable, Equatable {
    /// Such as `student/backbone.patch_embed1.proj.weight`.
    public let path: String
    /// The official shape.
    public let shape: [Int]

    /// From its parts.
    public init(path: String, shape: [Int]) {
      self.path = path
      self.shape = shape
    }

    /// Number of values.
    public var count: Int { shape.reduce(1, *) }
  }

  /// What is known about the run.
  public let run: RunDescription
  /// The tensors, in byte order of their paths.
  public let tensors: [Tensor]
  /// Files that hold the tensors: the checkpoint itself, or its parts.
  public let files: [String]

  /// From its parts.
  public init(run: RunDescription, tensors: [Tensor], files: [String]) {
    self.run = run
    self.tensors = tensors
    self.files = files
  }
}

/// A folder of checkpoints. Called on rank 0 only; other ranks may call the `load` functions.
public protocol CheckpointStore: Sendable {
  /// The folder.
  var folder: String { get }
  /// Copies a snapshot into the form in which it will be written: the only part a training step waits for.
  /// - Parameters:
  ///   - snapshot: the state.
  ///   - path: where the file will be.
  func prepare(_ snapshot: Snapshot, to path: String) throws -> any PreparedCheckpoint
  /// Copies one of `count` parts of a snapshot, to be written as a file of its own by one rank. What `publish` returns
  /// is for the manifest.
  func preparePart(_ snapshot: Snapshot, _ number: Int, of count: Int) throws -> any PreparedCheckpoint
  /// The file that makes parts one checkpoint, under the name of the step; published when all parts are on disk.
  /// - Parameters:
  ///   - snapshot: the state whose parts they are.
  ///   - parts: what the parts' `publish` returned, in order.
  func prepareManifest(_ snapshot: Snapshot, parts: [String]) throws -> any PreparedCheckpoint
  /// Gets ready for the first snapshot of a form, or for the first part. May be called from any thread.
  func makeReady(for snapshot: Snapshot, isPart: Bool) throws
  /// Gets ready for another snapshot like the last, so that copying it takes no longer than it must. May be called
  /// from any thread after a checkpoint was published.
  func makeReady() throws
  /// Reads a checkpoint after proving that it is complete and undamaged.
  /// - Parameters:
  ///   - file: path of the checkpoint.
  ///   - groups: read only these, such as `[Snapshot.student]`; nil reads all.
  /// - Throws: `Failure` 66 if there is none, 65 if it is damaged or no checkpoint, 74 if it cannot be read.
  func load(file: String, groups: [String]?) throws -> Snapshot
  /// Proves that a checkpoint is complete and undamaged, tensor by tensor.
  /// - Throws: as `load`, naming the damaged tensors where that is possible.
  func verify(file: String) throws
  /// What a checkpoint holds, from its metadata alone: nothing is proved.
  /// - Throws: as `load`, where the metadata tell.
  func outline(file: String) throws -> CheckpointOutline
  /// Steps of the checkpoints that carry a final name, ascending; empty if there is no folder.
  func steps() throws -> [Int]
  /// Deletes the checkpoint of a step.
  func remove(step: Int) throws
  /// Deletes parts of steps up to this one that belong to no checkpoint.
  func removeLooseParts(upTo step: Int) throws
}

extension CheckpointStore {
  /// Path of the checkpoint of a step.
  public func file(step: Int) -> String { "\(folder)/\(CheckpointName.of(step: step))" }

  /// Copies a snapshot into the form in which it will be written, under the name of its step.
  public func prepare(_ snapshot: Snapshot) throws -> any PreparedCheckpoint {
    try prepare(snapshot, to: file(step: snapshot.step))
  }

  /// Writes a snapshot to a path of any name; the caller waits until it is on disk.
  @discardableResult
  public func save(_ snapshot: Snapshot, to path: String) throws -> String { try prepare(snapshot, to: path).publish() }

  /// Writes a snapshot and returns its path; the caller waits until it is on disk.
  @discardableResult
  public func save(_ snapshot: Snapshot) throws -> String { try prepare(snapshot).publish() }

  /// Reads the checkpoint of a step.
  public func load(step: Int) throws -> Snapshot { try load(file: file(step: step), groups: nil) }

  /// The newest complete and verified checkpoint, with the reasons why newer ones were passed over; nil if the folder
  /// holds none at all.
  /// - Throws: `Failure` 65 if there are checkpoints and none can be trusted.
  public func latest() throws -> FoundCheckpoint? {
    var skipped: [SkippedCheckpoint] = []
    for step in try steps().reversed() {
      do {
        let snapshot = try load(step: step)
        guard snapshot.step == step else {
          throw Failure(.badData, "holds step \(snapshot.step), not the step in its name", at: file(step: step))
        }
        return FoundCheckpoint(file: file(step: step), snapshot: snapshot, skipped: skipped)
      } catch let failure as Failure {
        skipped.append(SkippedCheckpoint(step: step, failure: failure))
      }
    }
    guard let newest = skipped.first else { return nil }
    throw Failure(
      .badData, "none of \(skipped.count) checkpoints can be trusted; the newest: \(newest.failure)", at: folder,
      remedy: "move them away to start afresh")
  }

  /// Deletes what a retention rule gives up and returns those steps. The newest checkpoint that verifies is never
  /// deleted; if none verifies, nothing is.
  /// - Parameters:
  ///   - retention: what is kept.
  ///   - trusted: a step known to be good, such as the one just saved; nil looks for one.
  ///   - dryRun: only tell.
  @discardableResult
  public func prune(_ retention: Retention, trusted: Int? = nil, dryRun: Bool = false) throws -> [Int] {
    let steps = try steps()
    let verified =
      trusted
      ?? steps.last { step in
        do {
          try verify(file: file(step: step))
          return true
        } catch { return false }
      }
    guard let verified else { return [] }
    let surplus = retention.surplus(of: steps, verified: verified)
    guard !dryRun else { return surplus }
    for step in surplus { try remove(step: step) }
    try removeLooseParts(upTo: verified)
    return surplus
  }
}

/// File names of checkpoints: `step-00000100.h5` is the state after 100 completed steps.
public enum CheckpointName {
  /// The name for a step.
  public static func of(step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".h5"
  }

  /// The step in a name, or nil if it is not a checkpoint's final name.
  public static func step(in name: String) -> Int? {
    guard name.hasPrefix("step-"), name.hasSuffix(".h5"), let step = Int(name.dropFirst(5).dropLast(3)), step >= 0,
      name == of(step: step)
    else { return nil }
    return step
  }
}
