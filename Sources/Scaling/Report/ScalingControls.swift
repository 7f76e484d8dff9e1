// What controls and traces show: sums against size beside the library's, saving and loading, parts of a step.

import Collectives
import Support
import Training

/// Times of a control of links by size, over its launches.
struct LinkFigures {
  /// Times at one size, each with its interval over launches.
  struct Row {
    let bytes: Int
    let sum: MedianInterval
    let native: MedianInterval
    /// With the next rank.
    let exchange: MedianInterval
  }

  let cell: StudyCell
  let rows: [Row]

  /// Of every control of links that is a measurement.
  static func all(_ results: StudyResults) -> [LinkFigures] {
    results.cells.filter { $0.cell.kind == .links && $0.nature == .measured && !$0.launches.isEmpty }
      .map { LinkFigures(cell: $0.cell, rows: rows($0.launches.compactMap(\.links))) }
  }

  private static func rows(_ launches: [LinkTimes]) -> [Row] {
    (launches.first?.bytes ?? []).enumerated().map { place, bytes in
      func interval(_ times: (LinkTimes) -> [Double]) -> MedianInterval {
        MedianInterval(
          launches.map { links in
            // The first repetition finds memory and connections new.
            median(
              times(links)[place * links.repeats..<(place + 1) * links.repeats].dropFirst(links.repeats > 1 ? 1 : 0))
          })
      }
      return Row(
        bytes: bytes, sum: interval(\.sum), native: interval(\.native), exchange: interval(\.exchange))
    }
  }
}

extension ScalingFigures {
  /// Seconds of sums over their bytes.
  var links: NamedDrawing? {
    let curves = LinkFigures.all(results).flatMap { links -> [Curve] in
      func curve(_ name: String, _ line: Curve.Line, _ value: (LinkFigures.Row) -> MedianInterval) -> Curve {
        let points = links.rows.map { row in
          let interval = value(row)
          return Curve.Point(
            Double(row.bytes) / 1024, interval.median * 1e3, low: interval.low * 1e3, high: interval.high * 1e3)
        }
        return Curve("\(name), \(links.cell.ranks) ranks", points, .disc, line)
      }
      return [
        curve("our sum", .solid, \.sum), curve("MPI_Allreduce", .solid, \.native),
        curve("exchange", .solid, \.exchange),
      ]
    }
    guard !curves.isEmpty else { return nil }
    return NamedDrawing(
      name: "sums",
      drawing: Chart(
        "Sums against size", curves, x: AxisForm("KiB of a vector", .decades), y: AxisForm("milliseconds", .decades)))
  }
}

extension ScalingTables {
  /// Sums by size beside the library's.
  var links: PageTable {
    var table = PageTable([
      "ranks", "bytes", "our sum, ms", "MPI_Allreduce, ms", "ours by the library's", "exchange, ms", "exchange, GB/s",
    ])
    for links in LinkFigures.all(results) {
      for row in links.rows {
        table.rows.append([
          "\(links.cell.ranks)", "\(row.bytes)", number(row.sum.median * 1e3), number(row.native.median * 1e3),
          rounded(row.sum.median / row.native.median, 2), number(row.exchange.median * 1e3),
          number(Double(row.bytes) / row.exchange.median / 1e9),
        ])
      }
    }
    return table
  }

  /// What saving and loading take where the study lies.
  var storage: PageTable {
    var table = PageTable([
      "state, MB", "training waits, s", "then until on disk, s", "plain file, s", "loaded and proved, s", "launches",
    ])
    for result in results.cells where result.cell.kind == .storage && !result.launches.isEmpty {
      func middle(_ name: String) -> Double { median(result.launches.map { $0.storage[name] ?? 0 }) }
      table.rows.append(
        [number(middle("bytes") / 1e6)] + ["stall", "write", "plainWrite", "load"].map { number(middle($0)) }
          + ["\(result.launches.count)"])
    }
    return table
  }

  /// Parts of traced steps.
  var units: PageTable {
    let found = measured.filter(\.cell.kind.scales).compactMap { result in
      TracedUnits(result.launches).map { (result.cell.name, $0) }
    }
    let names = found.flatMap { $0.1.parts.map(\.name) }.reduce(into: [String]()) { names, name in
      if !names.contains(name) { names.append(name) }
    }
    var table = PageTable(["cell", "sum by step", "farthest"] + names)
    for (cell, units) in found {
      let shown = names.map { name -> String in
        guard let part = units.parts.first(where: { $0.name == name }) else { return ScalingTables.none }
        return number(part.computing) + (part.messages > 0 ? " + \(number(part.messages))" : "")
      }
      table.rows.append(
        [cell, ScalingTables.share(units.sumByStep), ScalingTables.share(units.farthest)] + shown)
    }
    return table
  }
}
