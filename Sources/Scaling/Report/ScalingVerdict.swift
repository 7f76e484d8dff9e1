// What comes first on the page: a few sentences.

import Support

extension ScalingReport {
  /// What the study has found, a sentence each.
  public var verdict: [String] {
    [bits] + [figures.weak, figures.strong].flatMap { $0.compactMap(ScalingReport.farthest) }
      + [loss, traced, droppedCount]
      .compactMap { $0 }
  }

  private var bits: String {
    let groups = StudyResults.comparable(plan, launches).values.filter { $0.count > 1 }
    let layouts = groups.map { Set($0.map(\.identity.cell)).count }.reduce(0, +)
    guard !groups.isEmpty else { return "No two launches can be compared bit by bit." }
    return "All \(groups.map(\.count).reduce(0, +)) launches of \(layouts) cells that must compute the same ended with "
      + "equal weights, bit by bit."
  }

  /// The efficiency at the most ranks that were measured.
  private static func farthest(_ line: ScalingLine) -> String? {
    let name = line.kind == .strong ? "Strong" : "Weak"
    guard let base = line.base, let time = base.interval?.median else {
      return line.functional.isEmpty
        ? nil : "\(name) scaling (\(line.name)) was run as a functional test only: nothing follows about time."
    }
    guard let point = line.measured.last, point.result.cell.name != base.cell.name, let efficiency = point.efficiency
    else { return nil }
    let percents = ScalingTables.interval(efficiency) { percent(100 * $0) + " %" }
    let speedUp = point.speedUp.map { ", speed-up \(ScalingTables.interval($0) { number($0) })" } ?? ""
    return
      "\(name) scaling (\(line.name)): efficiency \(percents)\(speedUp) at \(point.result.cell.ranks) ranks, against "
      + "\(base.cell.ranks) rank\(base.cell.ranks == 1 ? "" : "s") with \(number(time)) s a step."
  }

  /// The factor that costs most at the most ranks.
  private var loss: String? {
    let candidates = results.cells.filter {
      $0.nature == .measured && $0.cell.ranks > 1 && $0.cell.kind.scales && !$0.launches.isEmpty
    }
    guard let result = candidates.max(by: { $0.cell.ranks < $1.cell.ranks }), let own = Efficiencies(result.launches)
    else { return nil }
    let factors = [
      ("unequal work of the ranks (load balance)", own.loadBalance),
      ("waiting for each other in turn (serialisation)", own.serialisation),
      ("the cost of messages (transfer)", own.transfer),
    ]
    guard let least = factors.min(by: { $0.1 < $1.1 }) else { return nil }
    return "The largest loss between ranks in \(result.cell.name) is \(least.0): \(percent(100 * (1 - least.1))) %."
  }

  /// How well the traced parts of steps account for them.
  private var traced: String? {
    let worst = results.cells.filter { $0.cell.kind.scales && $0.nature == .measured }
      .compactMap { TracedUnits($0.launches) }.map { max(abs($0.sumByStep - 1), abs($0.farthest - 1)) }.max()
    return worst.map { "The traced parts of steps add up to the steps within \(percent(100 * $0)) %." }
  }

  private var droppedCount: String? {
    let count = results.dropped.count
    guard count > 0 else { return "No launch was dropped." }
    return
      "\(count) of \(launches.count) launches \(count == 1 ? "was" : "were") dropped, each for a cause; none for its "
      + "value."
  }
}
