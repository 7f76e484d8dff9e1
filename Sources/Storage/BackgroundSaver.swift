// Files written while training goes on.

import Dispatch
import Support
import Synchronization

/// Writes prepared files on a thread of its own, at most one at a time; where the system has no thread to give, whoever
/// saves writes them.
///
/// The caller waits for the copy of the snapshot only, and for the file before this one if it is still being written.
/// The thread calls no collective.
public final class BackgroundSaver: Sendable {
  private let store: any CheckpointStore
  private let retention: Retention?
  private let queue = BackgroundQueue("apus-saver")
  private let outcome = Mutex<Result<String, Failure>?>(nil)
  private let underway = DispatchGroup()
  private let busy = Atomic<Bool>(false)

  /// A saver for a store; after each checkpoint it deletes what `retention` gives up.
  public init(_ store: any CheckpointStore, retention: Retention? = nil) {
    self.store = store
    self.retention = retention
  }

  /// Copies the snapshot and starts writing it.
  /// - Throws: the failure of the file before this one, or of the copy.
  public func save(_ snapshot: Snapshot) throws {
    try finish()
    try start(try store.prepare(snapshot))
  }

  /// Gets ready in the background for a first snapshot of the same form.
  public func expect(_ snapshot: Snapshot, isPart: Bool = false) {
    queue.run { [store] in
      // What fails here fails again, and is told, when the checkpoint is prepared.
      try? store.makeReady(for: snapshot, isPart: isPart)
    }
  }

  /// Starts writing what is prepared already.
  /// - Parameters:
  ///   - prepared: a copy in the form in which it is written.
  ///   - isPart: of a checkpoint that another file completes, so that nothing is deleted yet.
  ///   - isLast: no other like it is going to follow.
  /// - Throws: the failure of the file before this one.
  public func start(_ prepared: any PreparedCheckpoint, isPart: Bool = false, isLast: Bool = false) throws {
    try finish()
    busy.store(true, ordering: .releasing)
    underway.enter()
    queue.run { [self] in
      let result: Result<String, Failure>
      do {
        let written = try prepared.publish()
        if let retention, !isPart { try store.prune(retention, trusted: prepared.step) }
        result = .success(written)
      } catch let failure as Failure {
        result = .failure(failure)
      } catch {
        result = .failure(Failure(.internal, "cannot save a checkpoint: \(error)"))
      }
      outcome.withLock { $0 = result }
      busy.store(false, ordering: .releasing)
      underway.leave()
      // What fails here fails again, and is told, when the next checkpoint is prepared.
      if !isLast { try? store.makeReady() }
    }
  }

  /// Whether a file is still being written.
  public var isBusy: Bool { busy.load(ordering: .acquiring) }

  /// Waits until the file under way is on disk; returns what its `publish` returned, or nil if none was under way.
  /// - Throws: its failure.
  @discardableResult
  public func finish() throws -> String? {
    underway.wait()
    return try outcome.withLock { state in
      defer { state = nil }
      return try state?.get()
    }
  }
}
