// Saving a run while it trains: who writes what, when a checkpoint counts, and what happens when one cannot be written.

import Collectives
import Recipes
import Storage
import Support
import Tensors

/// Saves checkpoints in the background, by rank 0 as one file or by all ranks in parts. Every function is called by all
/// ranks, which agree on every outcome.
final class CheckpointKeeper {
  private let communicator: any Communicator
  private let store: any CheckpointStore
  private let settings: Recipe.Checkpoint
  private let saver: BackgroundSaver
  private let say: (String) -> Void
  /// What is being written in the background.
  private enum Work {
    /// The file that makes a checkpoint complete: rank 0 writes it.
    case whole(step: Int)
    /// Its parts: every rank writes one, and rank 0 then the manifest.
    case parts(Snapshot)
  }
  private var underway: Work?
  /// Completed steps of the newest checkpoint that is known to be on disk: where a restart would begin.
  private(set) var newestSaved: Int
  /// Manifests name their parts in attributes, which hold some hundreds.
  private static let mostParts = 256

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

  /// Gets ready for the first checkpoint, so that training waits for it no longer than for the others.
  func expect(_ snapshot: Snapshot) {
    let rank = communicator.rank
    if settings.sharded && rank < partCount {
      saver.expect(snapshot.part(rank, of: partCount), isPart: true)
    } else if !settings.sharded && rank == 0 {
      saver.expect(snapshot)
    }
  }

  /// Ranks that write a part each.
  private var partCount: Int { min(communicator.worldSize, CheckpointKeeper.mostParts) }

  /// Saves a state; training waits for a copy of it only.
  ///
  /// - Parameters:
  ///   - snapshot: the state, equal on all ranks.
  ///   - deliver: brings the values that the snapshot awaits to the ranks that write them; called on all ranks.
  ///   - isLast: wait until it is on disk; a failure ends the run then, whatever the recipe says.
  ///   - first: what must be on disk before, such as the pseudo-labels; called on all ranks.
  /// - Throws: the same failure on all ranks, if the recipe says so.
  func save(
    _ snapshot: Snapshot, isLast: Bool, deliver: (AwaitedValues) throws -> Void, first: () throws -> Void
  ) throws {
    while underway != nil { try finishWork() }
    try attempt(snapshot.step, mayGoOn: !isLast) {
      try first()
      try communicator.barrier()
      let prepared = try communicator.together { try prepare(snapshot) }
      if snapshot.records.contains(where: \.isAwaited) {
        try deliver(AwaitedValues(writers: writers(of: snapshot)) { prepared?.put($0, at: $1, of: $2) })
      }
      try communicator.together {
        if let prepared { try saver.start(prepared, isPart: settings.sharded, isLast: isLast) }
      }
      underway = settings.sharded ? .parts(snapshot) : .whole(step: snapshot.step)
    }
    if isLast { try finish() }
  }

  /// This rank's file, with what there is already; nil on ranks that write none.
  private func prepare(_ snapshot: Snapshot) throws -> (any PreparedCheckpoint)? {
    let rank = communicator.rank
    guard settings.sharded else { return rank == 0 ? try store.prepare(snapshot) : nil }
    return rank < partCount ? try store.preparePart(snapshot, rank, of: partCount) : nil
  }

  /// Which rank writes each of the awaited records, by path.
  private func writers(of snapshot: Snapshot) -> [String: Int] {
    let parts = settings.sharded ? (0..<partCount).map { snapshot.part($0, of: partCount) } : [snapshot]
    var writers: [String: Int] = [:]
    for (rank, part) in parts.enumerated() {
      for record in part.records where record.isAwaited { writers[record.path] = rank }
    }
    return writers
  }

  /// Notices that what is under way is on disk, or could not be written; called after every step.
  func stepEnded() throws {
    guard underway != nil, try communicator.allMaximum(saver.isBusy ? 1 : 0) == 0 else { return }
    try finishWork()
  }

  /// Waits until all that is under way is on disk.
  /// - Throws: the same failure on all ranks, whatever the recipe says of failures.
  func finish() throws {
    while underway != nil { try finishWork(mayGoOn: false) }
  }

  /// Waits for what is under way although the run has failed on all ranks: it is a good checkpoint. Says what it cannot
  /// save, and leaves the failure of the run the agreed one.
  func finishAfterFailure() {
    let failure = communicator.agreedFailure
    do { try finish() } catch { say("warning: the last checkpoint was not saved: \(error)") }
    communicator.agreedFailure = failure
  }

  /// Waits for what is under way; after the parts of a checkpoint its manifest is begun.
  private func finishWork(mayGoOn: Bool = true) throws {
    guard let work = underway else { return }
    underway = nil
    switch work {
    case .whole(let step):
      try attempt(step, mayGoOn: mayGoOn) {
        _ = try communicator.together { try saver.finish() }
        newestSaved = step
      }
    case .parts(let snapshot):
      try attempt(snapshot.step, mayGoOn: mayGoOn) {
        let line = try communicator.together { try saver.finish() ?? "" }
        let lines = try communicator.gatherStrings(line).prefix(partCount)
        try communicator.together {
          guard communicator.rank == 0 else { return }
          try saver.start(store.prepareManifest(snapshot, parts: Array(lines)), isLast: true)
        }
        underway = .whole(step: snapshot.step)
      }
    }
  }

  /// Runs a part of saving that fails on all ranks or on none.
  private func attempt(_ step: Int, mayGoOn: Bool, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let failure as Failure where failure == communicator.agreedFailure {
      // Every rank has finished writing: parts without a manifest would only take room.
      if communicator.rank == 0 && settings.sharded { try? store.removeLooseParts(upTo: step) }
      guard mayGoOn, settings.onFailure == .warn else { throw failure }
      communicator.agreedFailure = nil
      say("warning: the checkpoint of step \(step) was not saved: \(failure); training goes on")
    }
  }
}

/// Values that a checkpoint waits for.
struct AwaitedValues {
  /// The rank that writes each, by path.
  let writers: [String: Int]
  /// Takes over a stretch of values, its first element and its path, on the rank that writes them.
  let put: (_ values: Tensor, _ first: Int, _ path: String) -> Void
}

extension Recipe.Checkpoint {
  /// Which checkpoints stay.
  var retention: Retention { Retention(newest: keep, every: keepEvery > 0 ? keepEvery : nil) }
}
