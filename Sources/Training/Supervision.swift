// What a trainer does to be watched over, and the seconds it has trained for in all its sessions.

import Collectives
import Support

extension Trainer {
  /// Starts the watchdog that the recipe asks for; nil where there is none. Called by all ranks.
  func startWatch() throws -> Watchdog? {
    let watch = experiment.recipe.watch
    guard watch.stallFactor > 0 else { return nil }
    let channel = try communicator.heartbeatChannel()
    guard channel != nil || communicator.worldSize == 1 else { return nil }
    // The one function of a communicator that may be called from any thread.
    nonisolated(unsafe) let job = communicator
    return Watchdog(
      rank: communicator.rank, hosts: try communicator.gatherStrings(communicator.hostName),
      limits: StallLimits(factor: watch.stallFactor, minimumSeconds: watch.stallMinimumSeconds), channel: channel
    ) { failure in job.abort("apus: \(failure)", status: failure.status.rawValue) }
  }
}

/// Steps and seconds of training, those of earlier sessions included.
struct TrainingTime {
  /// Steps that the seconds are of.
  private(set) var steps = 0
  /// Wall-clock seconds, evaluation left out.
  private(set) var seconds = 0.0

  /// Goes on from the last line of the log.
  init(after last: LogEntry?) {
    guard let last, let trained = last.trainingSeconds else { return }
    steps = last.step
    seconds = trained
  }

  /// Adds a step.
  mutating func add(_ stepSeconds: Double) {
    steps += 1
    seconds += stepSeconds
  }
}
