// Batch statistics on their way into running ones.

import Collectives

/// What one batch norm saw in one pass.
private struct BatchStatistics {
  let state: BatchNormState
  let mean: [Double]
  let variance: [Double]
  let count: Int
}

/// Batch statistics that wait to be folded into running ones, because their order is that of the published code
/// (context before detail), not that of the computation.
public final class RunningStatisticsQueue {
  private var waiting: [Int: [BatchStatistics]] = [:]

  /// Nothing waiting.
  public init() {}

  /// Adds an update; smaller `rank` is applied first, equal ranks in order of arrival.
  func add(rank: Int, _ state: BatchNormState, mean: [Double], variance: [Double], count: Int) {
    waiting[rank, default: []].append(BatchStatistics(state: state, mean: mean, variance: variance, count: count))
  }

  /// Applies all updates.
  public func apply() {
    for rank in waiting.keys.sorted() {
      for update in waiting[rank] ?? [] {
        update.state.update(mean: update.mean, variance: update.variance, count: update.count)
      }
    }
    waiting.removeAll()
  }

  /// Gives every rank of a team the updates of all. Called by all of them.
  ///
  /// Statistics are of the global batch, so ranks that computed parts of one unit have the same: the first one's count.
  /// - Parameters:
  ///   - team: the ranks that share samples.
  ///   - states: all batch norms of the network, in one order on all ranks.
  public func share(among team: any Communicator, _ states: [BatchNormState]) throws {
    let places = Dictionary(uniqueKeysWithValues: states.enumerated().map { (ObjectIdentifier($1), $0) })
    var numbers: [Double] = []
    for (rank, updates) in waiting {
      for update in updates {
        guard let place = places[ObjectIdentifier(update.state)] else {
          preconditionFailure("\(update.state.scale.name) is no batch norm of the network")
        }
        numbers += [Double(rank), Double(place), Double(update.count)] + update.mean + update.variance
      }
    }
    for received in try team.gathered(numbers) {
      let known = Set(waiting.keys)
      var next = received[...]
      while next.count > 2 {
        let head = next.prefix(3).map { Int($0) }
        let channels = states[head[1]].scale.count
        next = next.dropFirst(3)
        if !known.contains(head[0]) {
          add(
            rank: head[0], states[head[1]], mean: Array(next.prefix(channels)),
            variance: Array(next.dropFirst(channels).prefix(channels)), count: head[2])
        }
        next = next.dropFirst(2 * channels)
      }
    }
  }
}
