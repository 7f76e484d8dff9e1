// Where efficiency goes, by the factors of the POP Centre of Excellence.

import Foundation

/// Factors of a cell's efficiency: medians over launches that count, of the launch's steps.
public struct Efficiencies: Sendable, Equatable {
  /// Mean over greatest useful time of a rank: unequal work.
  public let loadBalance: Double
  /// Greatest useful time over the step without the cost of messages: waiting that only comes from the order of work.
  public let serialisation: Double
  /// The step without the cost of messages over the step: what messages cost.
  public let transfer: Double
  /// Useful share of all ranks' time: the product of the three.
  public var parallel: Double { loadBalance * serialisation * transfer }
  /// Share of the slowest step that ranks have in small messages, waiting included: mean over ranks.
  public let waiting: Double
  /// Share that they spend on sums of gradients.
  public let exposed: Double
  /// Part of the time in which sums were under way that cost nothing.
  public let hidden: Double?
  /// Operations of all ranks for a sample, in units of 10⁹.
  public let gflopPerSample: Double
  /// Operations a second of useful time of a rank, in units of 10⁹.
  public let rate: Double

  /// Of launches that were traced; nil if none was.
  public init?(_ launches: [LaunchRecord]) {
    let steps = launches.flatMap(Efficiencies.steps)
    guard !steps.isEmpty, let first = launches.first else { return nil }
    loadBalance = median(steps.map(\.loadBalance))
    serialisation = median(steps.map(\.serialisation))
    transfer = median(steps.map(\.transfer))
    waiting = median(launches.map { Efficiencies.share($0, $0.waiting) })
    exposed = median(launches.map { Efficiencies.share($0, $0.exposed) })
    let hidden = launches.compactMap(Efficiencies.hiddenShare)
    self.hidden = hidden.isEmpty ? nil : median(hidden)
    gflopPerSample = median(
      launches.map { record in
        let copies = record.identity.kind == .copies ? record.rankCount : 1
        return record.ranks.reduce(0) { $0 + $1.gflop } / Double(record.identity.globalBatch * copies)
      })
    let useful = median(launches.map(Efficiencies.usefulSeconds))
    let gflop = first.ranks.reduce(0) { $0 + $1.gflop } / Double(first.rankCount)
    rate = useful > 0 ? gflop / useful : 0
  }

  /// Useful seconds of a rank in a step: what is left without messages and sums.
  static func useful(_ record: LaunchRecord, step: Int) -> [Double] {
    zip(record.seconds[step], zip(record.waiting[step], record.exposed[step])).map { max(0, $0 - $1.0 - $1.1) }
  }

  private struct Step {
    let loadBalance: Double
    let serialisation: Double
    let transfer: Double
  }

  /// The traced steps of a launch.
  private static func steps(_ record: LaunchRecord) -> [Step] {
    if record.rankCount == 1 || record.identity.kind == .copies {
      return [Step(loadBalance: 1, serialisation: 1, transfer: 1)]
    }
    return record.traces.compactMap { trace in
      guard trace.step < record.seconds.steps, let free = FreeMessages.seconds(trace), free > 0 else { return nil }
      let useful = useful(record, step: trace.step)
      let (most, whole) = (useful.max() ?? 0, record.slowest[trace.step])
      guard most > 0, whole > 0 else { return nil }
      let mean = useful.reduce(0, +) / Double(useful.count)
      // What is measured on two clocks may differ in the last digits.
      return Step(loadBalance: mean / most, serialisation: min(1, most / free), transfer: min(1, free / whole))
    }
  }

  private static func usefulSeconds(_ record: LaunchRecord) -> Double {
    median(
      record.kept.map { step in
        let useful = useful(record, step: step)
        return useful.reduce(0, +) / Double(useful.count)
      })
  }

  private static func share(_ record: LaunchRecord, _ table: StepTable<Double>) -> Double {
    median(
      record.kept.map { step in
        table[step].reduce(0, +) / Double(record.rankCount) / max(record.slowest[step], 1e-12)
      })
  }

  private static func hiddenShare(_ record: LaunchRecord) -> Double? {
    let steps = record.kept.filter { (record.underWay[$0].max() ?? 0) > 0 }
    guard !steps.isEmpty else { return nil }
    return median(
      steps.map { step in
        let underWay = record.underWay[step].reduce(0, +)
        return max(0, 1 - record.exposed[step].reduce(0, +) / underWay)
      })
  }
}
