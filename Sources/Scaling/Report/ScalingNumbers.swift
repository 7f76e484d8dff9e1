// points.csv and efficiencies.csv: the numbers of the page's tables, in full.

import Support

/// Tables of what follows from launches, as comma-separated values.
enum ScalingNumbers {
  /// A line for each point of each line that has launches.
  static func points(_ lines: [ScalingLine]) -> String {
    let heading = [
      "line", "cell", "kind", "nature", "ranks", "median", "efficiency", "efficiencyLow", "efficiencyHigh", "speedUp",
      "speedUpLow", "speedUpHigh", "bound", "serialShare",
    ]
    let rows = lines.flatMap { line in
      line.points.filter { !$0.result.launches.isEmpty }.map { point -> [String] in
        let cell = point.result.cell
        let numbers = [point.result.interval?.median] + parts(point.efficiency) + parts(point.speedUp)
        let others = [point.bound, point.serialShare(baseRanks: line.base?.cell.ranks ?? 1)]
        return [
          StudyTable.quoted(line.name), cell.name, cell.kind.rawValue, point.result.nature.rawValue, "\(cell.ranks)",
        ] + (numbers + others).map(text)
      }
    }
    return text(heading, rows)
  }

  /// A line for each measured cell.
  static func efficiencies(_ results: StudyResults) -> String {
    let heading = [
      "cell", "parallel", "loadBalance", "serialisation", "transfer", "waiting", "exposed", "hidden", "gflopPerSample",
      "gflopPerSecond", "tracedByStep", "tracedFarthest",
    ]
    let rows = results.cells.filter { $0.nature == .measured && $0.cell.kind.trains }.compactMap {
      result -> [String]? in
      guard let own = Efficiencies(result.launches) else { return nil }
      let units = TracedUnits(result.launches)
      let numbers: [Double?] = [
        own.parallel, own.loadBalance, own.serialisation, own.transfer, own.waiting, own.exposed, own.hidden,
        own.gflopPerSample, own.rate, units?.sumByStep, units?.farthest,
      ]
      return [result.cell.name] + numbers.map(text)
    }
    return text(heading, rows)
  }

  /// A line for each part of a step of each measured cell.
  static func units(_ results: StudyResults) -> String {
    let rows = results.cells.filter { $0.nature == .measured && $0.cell.kind.trains }.flatMap { result -> [[String]] in
      guard let units = TracedUnits(result.launches) else { return [] }
      return units.parts.map { part in
        [
          result.cell.name, StudyTable.quoted(part.name), StudyTable.exact(part.computing),
          StudyTable.exact(part.messages),
        ]
      }
    }
    return text(["cell", "unit", "computing", "messages"], rows)
  }

  /// A line for each size of each measured control of links.
  static func links(_ results: StudyResults) -> String {
    let rows = LinkFigures.all(results).flatMap { links in
      links.rows.map { row in
        [links.cell.name, "\(row.bytes)", "\(row.sum.count)"]
          + [row.sum, row.native, row.exchange].flatMap { [$0.median, $0.low, $0.high] }.map(StudyTable.exact)
      }
    }
    let times = ["sum", "native", "exchange"].flatMap { [$0, "\($0)Low", "\($0)High"] }
    return text(["cell", "bytes", "launches"] + times, rows)
  }

  /// A line for each launch of the control of storage.
  static func storage(_ results: StudyResults) -> String {
    let names = ["bytes", "copy", "stall", "write", "plainWrite", "load", "plainRead"]
    let rows = results.cells.filter { $0.cell.kind == .storage }.flatMap { result in
      result.launches.map { launch in [launch.name] + names.map { text(launch.storage[$0]) } }
    }
    return text(["launch"] + names, rows)
  }

  private static func parts(_ estimate: Estimate?) -> [Double?] { [estimate?.value, estimate?.low, estimate?.high] }

  private static func text(_ number: Double?) -> String { number.map(StudyTable.exact) ?? "" }

  private static func text(_ heading: [String], _ rows: [[String]]) -> String {
    ([heading] + rows).map { $0.joined(separator: ",") }.joined(separator: "\n") + "\n"
  }
}
