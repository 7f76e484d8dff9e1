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
      "gflopPerSecond",
    ]
    let rows = results.cells.filter { $0.nature == .measured }.compactMap { result -> [String]? in
      guard let own = Efficiencies(result.launches) else { return nil }
      let numbers: [Double?] = [
        own.parallel, own.loadBalance, own.serialisation, own.transfer, own.waiting, own.exposed, own.hidden,
        own.gflopPerSample, own.rate,
      ]
      return [result.cell.name] + numbers.map(text)
    }
    return text(heading, rows)
  }

  private static func parts(_ estimate: Estimate?) -> [Double?] { [estimate?.value, estimate?.low, estimate?.high] }

  private static func text(_ number: Double?) -> String { number.map(StudyTable.exact) ?? "" }

  private static func text(_ heading: [String], _ rows: [[String]]) -> String {
    ([heading] + rows).map { $0.joined(separator: ",") }.joined(separator: "\n") + "\n"
  }
}
