// The figures of a study. Measured points are discs on solid lines; functional ones grey crosses without a line; ideals
// and bounds dashed and grey.

import Foundation
import Support
import Training

/// A drawing with the name of its file.
struct NamedDrawing {
  let name: String
  let drawing: any Drawing
}

/// Makes drawings of results.
struct ScalingFigures {
  let results: StudyResults
  let strong: [ScalingLine]
  let weak: [ScalingLine]

  init(_ results: StudyResults) {
    self.results = results
    strong = ScalingLine.lines(.strong, of: results)
    weak = ScalingLine.lines(.weak, of: results)
  }

  /// All drawings that show anything, in the order of the page.
  var all: [NamedDrawing] {
    [
      strongTime, strongSpeedUp, weakEfficiency, phases, factors, links, stragglers, launches,
    ].compactMap { $0 }.filter { !$0.drawing.isEmpty }
  }

  private static func point(_ result: CellResult) -> Curve.Point? {
    result.interval.map { Curve.Point(Double(result.cell.ranks), $0.median, low: $0.low, high: $0.high) }
  }

  private static func ideal(_ line: ScalingLine, _ value: (Double) -> Double) -> Curve? {
    guard let base = line.base else { return nil }
    let most = line.points.map(\.result.cell.ranks).max() ?? base.cell.ranks
    let ranks = stride(from: 0.0, through: log2(Double(most) / Double(base.cell.ranks)) + 1e-9, by: 1).map {
      Double(base.cell.ranks) * exp2($0)
    }
    return Curve(
      "ideal", ranks.map { Curve.Point($0, value($0 / Double(base.cell.ranks))) }, .none, .dashed, isLevel: true)
  }

  /// Seconds a step over ranks.
  var strongTime: NamedDrawing? {
    guard !strong.isEmpty else { return nil }
    var curves = strong.map {
      Curve($0.name, $0.measured.compactMap { ScalingFigures.point($0.result) }, .disc, .solid)
    }
    if let line = strong.first(where: { $0.base?.interval != nil }), let base = line.base?.interval {
      curves += [ScalingFigures.ideal(line) { base.median / $0 }].compactMap { $0 }
      let bound = line.points.compactMap { point in
        point.bound.map { Curve.Point(Double(point.result.cell.ranks), base.median / $0) }
      }
      if bound.count > 1 { curves.append(Curve("bound of the algorithm", bound, .hollow, .dashed, isLevel: true)) }
    }
    curves.append(functional(strong))
    return NamedDrawing(
      name: "strong-time",
      drawing: Chart(
        "Strong scaling: seconds a step", curves, x: AxisForm("ranks", .doubling), y: AxisForm("seconds", .decades)))
  }

  /// How much sooner the same batch is done.
  var strongSpeedUp: NamedDrawing? {
    let lines = strong.filter { $0.base != nil }
    guard let first = lines.first else { return nil }
    var curves = lines.map { line in
      Curve(line.name, line.measured.compactMap { estimated($0, $0.speedUp) }, .disc, .solid)
    }
    curves += [ScalingFigures.ideal(first) { $0 }].compactMap { $0 }
    let bound = first.points.compactMap { point in
      point.bound.map { Curve.Point(Double(point.result.cell.ranks), $0) }
    }
    if bound.count > 1 { curves.append(Curve("bound of the algorithm", bound, .hollow, .dashed, isLevel: true)) }
    return NamedDrawing(
      name: "strong-speed-up",
      drawing: Chart(
        "Strong scaling: speed-up", curves, x: AxisForm("ranks", .doubling), y: AxisForm("times the base", .doubling)))
  }

  /// Samples a core and second by those of the base.
  var weakEfficiency: NamedDrawing? {
    let lines = weak.filter { $0.base != nil && $0.measured.count > 1 }
    guard !lines.isEmpty else { return nil }
    var curves = lines.map { line in
      Curve(
        line.name,
        line.measured.compactMap { point in estimated(point, point.efficiency?.scaled(by: 100)) }, .disc, .solid)
    }
    curves += copies
    curves += [ScalingFigures.ideal(lines[0]) { _ in 100 }].compactMap { $0 }
    return NamedDrawing(
      name: "weak-efficiency",
      drawing: Chart(
        "Weak scaling: efficiency", curves, x: AxisForm("ranks", .doubling),
        y: AxisForm("percent", .percent, reaches: 100)))
  }

  /// What a full host leaves of one rank's speed without any message.
  private var copies: [Curve] {
    let points = results.cells.filter { $0.cell.kind == .copies && !$0.launches.isEmpty }.compactMap { result in
      let base = weak.lazy.compactMap(\.base).first {
        $0.cell.benchmark == result.cell.benchmark && $0.cell.threads == result.cell.threads
      }
      return base.flatMap { ScalingLine.ratio($0, by: result) }.map { ratio in
        Curve.Point(Double(result.cell.ranks), 100 * ratio.value, low: 100 * ratio.low, high: 100 * ratio.high)
      }
    }
    return points.isEmpty ? [] : [Curve("copies without messages", points, .hollow, .dashed)]
  }

  private func estimated(_ point: ScalingPoint, _ estimate: Estimate?) -> Curve.Point? {
    estimate.map { Curve.Point(Double(point.result.cell.ranks), $0.value, low: $0.low, high: $0.high) }
  }

  /// Points that are no measurements, without anything that could be taken for a comparison.
  private func functional(_ lines: [ScalingLine]) -> Curve {
    let points = lines.flatMap(\.functional).compactMap { point in
      point.result.interval.map { Curve.Point(Double(point.result.cell.ranks), $0.median) }
    }
    return Curve("functional: more threads than cores, or one machine as several hosts", points, .cross, .none)
  }

  /// Phases of a step, mean over ranks.
  var phases: NamedDrawing? {
    let bars = results.cells.compactMap { result -> StackedBars.Bar? in
      guard !result.launches.isEmpty, result.nature == .measured, result.cell.kind.trains else { return nil }
      let values = StudyPhase.allCases.map { phase in
        median(result.launches.map { ScalingFigures.seconds($0, phase) })
      }
      return StackedBars.Bar(result.cell.name, values)
    }
    guard !bars.isEmpty else { return nil }
    return NamedDrawing(
      name: "phases",
      drawing: StackedBars(
        "Phases of a step, messages in them included", parts: StudyPhase.allCases.map(\.rawValue), bars,
        unit: "seconds a step, mean over ranks"))
  }

  /// Seconds a step of a phase, mean over ranks: the median step that counts.
  static func seconds(_ record: LaunchRecord, _ phase: StudyPhase) -> Double {
    guard let table = record.phases[phase] else { return 0 }
    return median(record.kept.map { table[$0].reduce(0, +) / Double(record.rankCount) })
  }

  /// Computing, waiting and sums as shares of the ranks' time.
  var factors: NamedDrawing? {
    let bars = results.cells.compactMap { result -> StackedBars.Bar? in
      guard result.nature == .measured, result.cell.ranks > 1, result.cell.kind.trains,
        let found = Efficiencies(result.launches)
      else {
        return nil
      }
      let useful = max(0, 1 - found.waiting - found.exposed)
      return StackedBars.Bar(result.cell.name, [100 * useful, 100 * found.waiting, 100 * found.exposed])
    }
    guard !bars.isEmpty else { return nil }
    return NamedDrawing(
      name: "shares",
      drawing: StackedBars(
        "Where the ranks' time goes", parts: ["computing", "small messages, waiting included", "sums of gradients"],
        bars,
        unit: "percent of the slowest rank's step"))
  }

  /// Seconds that each rank computes in each step, in the launch of most ranks.
  var stragglers: NamedDrawing? {
    let candidates = results.cells.filter { $0.nature == .measured && $0.cell.ranks > 1 && $0.cell.kind.scales }
    guard let launch = candidates.max(by: { $0.cell.ranks < $1.cell.ranks })?.launches.last else { return nil }
    let useful = launch.kept.map { Efficiencies.useful(launch, step: $0) }
    let ranks = launch.ranks.indices.map { rank in useful.map { $0[rank] } }
    guard !ranks.isEmpty, ranks[0].count > 0 else { return nil }
    return NamedDrawing(
      name: "stragglers",
      drawing: HeatMap(
        "Stragglers: what ranks compute in \(launch.name)", rows: launch.ranks.indices.map { "rank \($0)" },
        rowName: "", columnName: "step after the warm-up", ranks, unit: "s"))
  }

  /// Every launch that counts, by the cell's median.
  var launches: NamedDrawing? {
    var curves = results.cells.filter { $0.nature == .measured }.compactMap { result -> Curve? in
      guard let interval = result.interval, result.launches.count > 1 else { return nil }
      return Curve(
        result.cell.name,
        result.launches.map { Curve.Point(Double($0.identity.block + 1), 100 * $0.median / interval.median) }, .disc,
        .none)
    }
    let dropped = results.dropped.compactMap { dropped -> Curve.Point? in
      guard let interval = results[dropped.launch.identity.cell]?.interval else { return nil }
      return Curve.Point(Double(dropped.launch.identity.block + 1), 100 * dropped.launch.median / interval.median)
    }
    curves.append(Curve("dropped, for a cause", dropped, .cross, .none))
    guard curves.contains(where: { $0.points.count > 1 }) else { return nil }
    return NamedDrawing(
      name: "launches",
      drawing: Chart(
        "All launches, in percent of their cell's median", curves, x: AxisForm("block"),
        y: AxisForm("percent", .percent)))
  }
}
