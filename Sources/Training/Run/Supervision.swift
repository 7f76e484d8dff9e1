// A run under a watchdog, and the seconds it has trained for in all its sessions.

import Collectives
import Recipes
import Support

extension Recipe.Watch {
  /// Runs `body` under a watchdog, or without one where the recipe or the ranks have none: a rank that stalls meanwhile
  /// ends the job on all ranks. Called by all ranks.
  public func watching<Result>(
    on communicator: any Communicator, _ body: (Watchdog?) throws -> Result
  ) throws -> Result {
    let watchdog = try start(on: communicator)
    do {
      let result = try body(watchdog)
      watchdog?.stop()
      return result
    } catch {
      // After a failure of one rank alone the others would not come to an end of the watch.
      let failure = error as? Failure
      if communicator.worldSize == 1 || failure != nil && failure == communicator.agreedFailure { watchdog?.stop() }
      throw error
    }
  }

  private func start(on communicator: any Communicator) throws -> Watchdog? {
    guard stallFactor > 0 else { return nil }
    let channel = try communicator.heartbeatChannel()
    guard channel != nil || communicator.worldSize == 1 else { return nil }
    // The one function of a communicator that may be called from any thread.
    nonisolated(unsafe) let job = communicator
    let limits = StallLimits(
      factor: stallFactor, minimumSeconds: stallMinimumSeconds, startUpSeconds: startUpSeconds)
    let hosts = try communicator.gatherStrings(communicator.hostName)
    var watchdog: Watchdog?
    do {
      return try communicator.together {
        watchdog = try Watchdog(rank: communicator.rank, hosts: hosts, limits: limits, channel: channel) { failure in
          job.abort("apus: \(failure)", status: failure.status.rawValue)
        }
        return watchdog
      }
    } catch {
      // Another rank has no thread for its own.
      watchdog?.stop()
      throw error
    }
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
