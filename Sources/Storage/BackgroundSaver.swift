// Checkpoints written while training goes on.

import Dispatch
import Support
import Synchronization

/// Writes checkpoints on a thread of its own, at most one at a time.
///
/// The caller waits for the copy of the snapshot only, and for the checkpoint before this one if it is still being
/// written. A failure surfaces at the next call. The thread calls no collective.
public final class BackgroundSaver: Sendable {
  private let store: any CheckpointStore
  private let retention: Retention?
  private let queue = DispatchQueue(label: "apus.checkpoints")
  private let outcome = Mutex<Result<String, Failure>?>(nil)

  /// A saver for a store; after each checkpoint it deletes what `retention` gives up.
  public init(_ store: any CheckpointStore, retention: Retention? = nil) {
    self.store = store
    self.retention = retention
  }

  /// Copies the snapshot and starts writing it.
  /// - Throws: the failure of the checkpoint before this one, or of the copy.
  public func save(_ snapshot: Snapshot) throws {
    try finish()
    let prepared = try store.prepare(snapshot)
    queue.async { [self] in
      let result: Result<String, Failure>
      do {
        let path = try prepared.publish()
        if let retention { try store.prune(retention, trusted: prepared.step) }
        result = .success(path)
      } catch let failure as Failure {
        result = .failure(failure)
      } catch {
        result = .failure(Failure(.internal, "cannot save a checkpoint: \(error)"))
      }
      outcome.withLock { $0 = result }
    }
  }

  /// Waits until the checkpoint under way is on disk; returns its path, or nil if none was under way.
  /// - Throws: its failure.
  @discardableResult
  public func finish() throws -> String? {
    queue.sync {}
    return try outcome.withLock { state in
      defer { state = nil }
      return try state?.get()
    }
  }
}
