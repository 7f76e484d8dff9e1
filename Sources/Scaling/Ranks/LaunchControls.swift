// Launches of controls that are no training steps: messages and sums by size, and saving and loading.

import Benchmarks
import Collectives
import Foundation
import Support
import Tensors

extension LaunchRun {
  /// Runs a control. Called by all ranks.
  /// - Returns: the record, on rank 0.
  func control(command: String) throws -> LaunchRecord? {
    let start = Date.now.formatted(.iso8601)
    let watch = Stopwatch()
    let before = HostCounters.now()
    let links = launch.cell.kind == .links ? try links() : nil
    let storage = launch.cell.kind == .storage ? try storage() : [:]
    let places = try gathered(place(HostCounters.now() - before))
    guard communicator.rank == 0 else { return nil }
    let place = LaunchPlace(places)
    var identity = identity(command: command)
    (identity.start, identity.nature, identity.seconds) = (start, place.nature, watch.seconds)
    var environment = environment
    (environment.steal, environment.foreign) = (place.steal, place.foreign)
    var record = LaunchRecord(
      identity: identity, environment: environment, ranks: places.map(\.facts),
      seconds: seconds(links, storage, ranks: places.count))
    (record.links, record.storage) = (links, storage)
    return record
  }

  private func links() throws -> LinkTimes {
    try LinkBenchmark(on: communicator).run(repeats: launch.cell.steps)
  }

  private func storage() throws -> [String: Double] {
    let report = try communicator.together { () throws -> StorageBenchmarkReport in
      guard let timesStorage else { throw Failure(.internal, "storage cannot be timed here", at: launch.name) }
      let encoder =
        try launch.cell.resolvedRecipe()?.encoder.name
        ?? StepBenchmarkCase(named: launch.cell.benchmark)?.encoder ?? launch.cell.benchmark
      return try timesStorage(encoder)
    }
    return [
      "bytes": Double(report.bytes), "copy": report.parallelCopySeconds, "stall": report.stallSeconds,
      "write": report.writeSeconds, "plainWrite": report.plainWriteSeconds, "load": report.loadSeconds,
      "plainRead": report.plainReadSeconds,
    ]
  }

  /// Seconds by repetition, the same on all ranks: of the longest sum, or of a save until it is on disk.
  private func seconds(_ links: LinkTimes?, _ storage: [String: Double], ranks: Int) -> StepTable<Double> {
    let own = links.map { Array($0.sum.suffix($0.repeats)) } ?? [(storage["stall"] ?? 0) + (storage["write"] ?? 0)]
    return StepTable(byRank: [[Double]](repeating: own, count: ranks))
  }
}
