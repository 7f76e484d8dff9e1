// The tables of a study's page.

import Foundation
import Support
import Training

/// A table of a page.
struct PageTable {
  let heading: [String]
  var rows: [[String]] = []

  init(_ heading: [String]) { self.heading = heading }

  /// Rows as columns, for tables of few rows and many columns.
  var turned: PageTable {
    let all = [heading] + rows
    var table = PageTable(all.map { $0[0] })
    table.rows = heading.indices.dropFirst().map { column in all.map { $0[column] } }
    return table
  }

  /// As HTML; a first cell is the name of its row.
  var html: String {
    let head = heading.map { "<th>\(escaped($0))</th>" }.joined()
    let body = rows.map { row in
      "<tr><th>\(escaped(row[0]))</th>" + row.dropFirst().map { "<td>\(escaped($0))</td>" }.joined() + "</tr>"
    }
    return
      "<div class=scroll><table><thead><tr>\(head)</tr></thead><tbody>\(body.joined(separator: "\n"))</tbody></table></div>"
  }
}

/// Makes tables of results.
struct ScalingTables {
  let results: StudyResults

  static let none = "–"

  static func share(_ value: Double?) -> String { value.map { percent(100 * $0) + " %" } ?? none }

  static func interval(_ estimate: Estimate?, _ shown: (Double) -> String) -> String {
    guard let estimate else { return none }
    guard estimate.high > estimate.low else { return shown(estimate.value) }
    return "\(shown(estimate.value)) (\(shown(estimate.low)) to \(shown(estimate.high)))"
  }

  /// Points of a line that are measurements, with what others than time is known of functional ones.
  func points(_ line: ScalingLine) -> PageTable {
    let isStrong = line.kind == .strong
    var table = PageTable(
      ["cell", "ranks", "seconds a step", "95 % interval", "launches"]
        + (isStrong ? ["speed-up", "bound", "efficiency", "serial share"] : ["efficiency"]))
    for point in line.points where !point.result.launches.isEmpty {
      let cell = point.result.cell
      var row = [cell.name, "\(cell.ranks)"]
      guard point.result.nature == .measured, let interval = point.result.interval else {
        row += ["functional", ScalingTables.none, "\(point.result.launches.count)"]
        row += [String](repeating: ScalingTables.none, count: isStrong ? 4 : 1)
        table.rows.append(row)
        continue
      }
      row += [number(interval.median), range(interval), "\(interval.count)"]
      if isStrong {
        row.append(ScalingTables.interval(point.speedUp) { number($0) })
        row.append(point.bound.map { number($0) } ?? ScalingTables.none)
      }
      row.append(ScalingTables.interval(point.efficiency) { percent(100 * $0) + " %" })
      if isStrong {
        row.append(ScalingTables.share(point.serialShare(baseRanks: line.base?.cell.ranks ?? 1)))
      }
      table.rows.append(row)
    }
    return table
  }

  /// An interval that fewer than six launches cannot give is said to be a range.
  private func range(_ interval: MedianInterval) -> String {
    let ends = "\(number(interval.low)) to \(number(interval.high))"
    return interval.isSound ? ends : "\(ends), range only"
  }

  /// POP's factors of every measured cell of several ranks.
  var efficiencies: PageTable {
    var table = PageTable([
      "cell", "parallel efficiency", "load balance", "serialisation", "transfer", "computation scaling",
      "of it operations", "of it rate",
    ])
    for result in measured where result.cell.kind.scales {
      guard let own = Efficiencies(result.launches) else { continue }
      let base = base(of: result).flatMap { Efficiencies($0.launches) }
      let operations = base.map { $0.gflopPerSample / own.gflopPerSample }
      let rate = base.map { own.rate / $0.rate }
      let scaling = operations.flatMap { operations in rate.map { operations * $0 } }
      table.rows.append(
        [result.cell.name]
          + [own.parallel, own.loadBalance, own.serialisation, own.transfer, scaling, operations, rate]
          .map(ScalingTables.share))
    }
    return table
  }

  /// The cell of the reference ranks with the same work and threads.
  private func base(of result: CellResult) -> CellResult? {
    measured.first {
      $0.cell.ranks == results.study.reference.ranks && $0.cell.kind == result.cell.kind
        && $0.cell.threads == result.cell.threads && $0.cell.work == result.cell.work
    }
  }

  var measured: [CellResult] { results.cells.filter { $0.nature == .measured && !$0.launches.isEmpty } }

  /// What sums of gradients took, and how much of it was hidden.
  var sums: PageTable {
    var table = PageTable([
      "cell", "bytes sent by a rank", "sums under way, s", "exposed, s", "hidden share", "small messages a step",
      "seconds in them",
    ])
    for result in measured where result.cell.ranks > 1 && result.cell.kind.scales {
      func mean(_ value: (LaunchRecord, Int) -> Double) -> Double {
        median(
          result.launches.map { record in median(record.kept.map { value(record, $0) / Double(record.rankCount) }) })
      }
      table.rows.append([
        result.cell.name, number(mean { Double($0.bytes[$1].reduce(0, +)) }),
        number(mean { $0.underWay[$1].reduce(0, +) }),
        number(mean { $0.exposed[$1].reduce(0, +) }), ScalingTables.share(Efficiencies(result.launches)?.hidden),
        number(mean { Double($0.messages[$1].reduce(0, +)) }), number(mean { $0.waiting[$1].reduce(0, +) }),
      ])
    }
    return table
  }

  /// Most memory of a rank, with and without moments dealt out. Functional cells count: memory is no time.
  var memory: PageTable {
    var table = PageTable(["cell", "ranks", "moments", "peak of a rank, MiB", "parameters"])
    for result in results.cells where result.cell.kind.scales && !result.launches.isEmpty {
      let peak = result.launches.flatMap { $0.ranks.map(\.peakMemoryBytes) }.max() ?? 0
      table.rows.append([
        result.cell.name, "\(result.cell.ranks)", result.cell.shardMoments ? "dealt out" : "on every rank",
        number(Double(peak) / Double(1 << 20)), number(Double(result.launches[0].identity.parameters)),
      ])
    }
    return table
  }

  /// What a sample costs. Means: what is paid is the sum.
  var cost: PageTable {
    var table = PageTable([
      "cell", "cores", "samples a second", "core-seconds a sample", "core-hours for 1000 steps", "mean by median",
    ])
    for result in measured where result.cell.kind.scales {
      let all = result.launches.flatMap(\.keptSeconds)
      let mean = all.reduce(0, +) / Double(all.count)
      let cores = Double(result.cell.ranks * result.cell.threads)
      let ratio = mean / median(all)
      table.rows.append([
        result.cell.name, number(cores), number(Double(result.cell.globalBatch) / mean),
        number(mean * cores / Double(result.cell.globalBatch)), number(mean * cores / 3.6),
        rounded(ratio, 3) + (ratio > 1.05 ? ", skewed" : ""),
      ])
    }
    return table
  }

  /// Every cell: how often, how wide, how steady.
  var cells: PageTable {
    var table = PageTable([
      "cell", "kind", "launches", "dropped", "half-width", "coverage", "warm-up steps", "steps kept", "drift", "steal",
      "foreign load",
    ])
    for result in results.cells {
      let launches = result.launches
      func most(_ value: (LaunchRecord) -> Double) -> String {
        launches.map(value).max().map { ScalingTables.share($0) } ?? ScalingTables.none
      }
      let isMeasured = result.nature == .measured
      let drifts = launches.compactMap { Drift.shift($0.keptSeconds) }
      let drift = drifts.isEmpty ? nil : median(drifts)
      let drifting = drift.map { abs($0) > Drift.limit ? ", drifts" : "" } ?? ""
      table.rows.append([
        result.cell.name, result.nature.rawValue, "\(launches.count)", "\(result.dropped.count)",
        ScalingTables.share(isMeasured ? result.interval?.halfWidth : nil),
        ScalingTables.share(isMeasured ? result.interval?.coverage : nil),
        launches.map(\.warmUp).max().map(String.init) ?? ScalingTables.none,
        launches.map(\.kept.count).min().map(String.init) ?? ScalingTables.none,
        (isMeasured ? ScalingTables.share(drift) : ScalingTables.none) + (isMeasured ? drifting : ""),
        most(\.environment.steal), most(\.environment.foreign),
      ])
    }
    return table
  }

  /// Launches that do not count, and why.
  var dropped: PageTable {
    var table = PageTable(["launch", "cause", "its median step, s"])
    for dropped in results.dropped {
      table.rows.append([dropped.launch.name, dropped.cause, number(dropped.launch.median)])
    }
    return table
  }
}
