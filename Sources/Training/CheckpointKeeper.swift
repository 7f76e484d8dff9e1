// Saving a run while it trains: who writes what, when a checkpoint counts, and what happens when one cannot be written.

import Collectives
import Storage
import Support

/// Saves checkpoints in the background. Every function is called by all ranks, which agree on every outcome.
final class CheckpointKeeper {
  private let communicator: any Communicator
  private let store: any CheckpointStore
  private let settings: Recipe.Checkpoint
  private let saver: BackgroundSaver
  private let say: (String) -> Void
  /// Step of the checkpoint that is being written; nil if none is.
  private var underway: Int?
  /// Completed steps of the newest checkpoint that is known to be on disk: where a restart would begin.
  private(set) var newestSaved: Int

  /// A keeper of a run that begins, or goes on, after `completedSteps`.
  /// - Parameter say: prints a line on rank 0.
  init(
    _ store: any CheckpointStore, _ settings: Recipe.Checkpoint, on communicator: any Communicator,
    completedSteps: Int, say: @escaping (String) -> Void
  ) {
    self.communicator = communicator
    self.store = store
    self.settings = settings
    self.say = say
    newestSaved = completedSteps
    saver = BackgroundSaver(store, retention: settings.retention)
  }

  /// Saves the state after `step` completed steps; training waits for a copy of it only.
  ///
  /// - Parameters:
  ///   - isLast: wait until it is on disk; a failure ends the run then, whatever the recipe says.
  ///   - first: what must be on disk before, such as the pseudo-labels; called on all ranks.
  ///   - snapshot: the state; called on the ranks that write.
  /// - Throws: the same failure on all ranks, if the recipe says so.
  func save(step: Int, isLast: Bool, first: () throws -> Void, snapshot: () throws -> Snapshot) throws {
    try settle()
    try attempt(step, mayGoOn: !isLast) {
      try first()
      try communicator.barrier()
      try communicator.together {
        if communicator.rank == 0 { try saver.start(store.prepare(snapshot()), isLast: isLast) }
      }
      underway = step
    }
    if isLast { try settle(mayGoOn: false) }
  }

  /// Notices that the checkpoint under way is on disk, or could not be written; called after every step.
  func stepEnded() throws {
    guard underway != nil, try communicator.allMaximum(saver.isBusy ? 1 : 0) == 0 else { return }
    try settle()
  }

  /// Waits for the checkpoint under way.
  private func settle(mayGoOn: Bool = true) throws {
    guard let step = underway else { return }
    underway = nil
    try attempt(step, mayGoOn: mayGoOn) {
      _ = try communicator.together { try saver.finish() }
      newestSaved = step
    }
  }

  /// Runs a part of saving that fails on all ranks or on none.
  private func attempt(_ step: Int, mayGoOn: Bool, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let failure as Failure where failure == communicator.agreedFailure {
      guard mayGoOn, settings.onFailure == .warn else { throw failure }
      communicator.agreedFailure = nil
      say("warning: the checkpoint of step \(step) was not saved: \(failure); going on")
    }
  }
}

extension Recipe.Checkpoint {
  /// Which checkpoints stay.
  var retention: Retention { Retention(newest: keep, every: keepEvery > 0 ? keepEvery : nil) }
}
