// Cells as lines over rank counts, each point divided by its base.

import Foundation
import Support

/// A point of a line: a cell and how it compares with the base.
public struct ScalingPoint: Sendable {
  /// The cell with its launches.
  public let result: CellResult
  /// Samples a core and second by those of the base; nil for the base's own absence, and for what is no measurement.
  public let efficiency: Estimate?
  /// Seconds of the base by its own: how much sooner the same batch is done. Strong scaling only.
  public let speedUp: Estimate?
  /// The most that the algorithm allows: operations of the base's busiest rank by those of its own. Strong scaling only.
  public let bound: Double?

  /// Serial share by Karp and Flatt, CACM 1990: (1/S - 1/n)/(1 - 1/n), n the ranks by those of the base.
  public func serialShare(baseRanks: Int) -> Double? {
    let ratio = Double(result.cell.ranks) / Double(baseRanks)
    guard let speedUp, ratio > 1 else { return nil }
    return (1 / speedUp.value - 1 / ratio) / (1 - 1 / ratio)
  }
}

/// Cells that differ in ranks, and perhaps in shared crops, only.
public struct ScalingLine: Sendable {
  /// What grows.
  public let kind: CellKind
  /// What its cells have in common.
  public let name: String
  /// What its points are divided by; nil where it was not measured.
  public let base: CellResult?
  /// Points by ranks.
  public let points: [ScalingPoint]

  /// Points that are measurements, by ranks.
  public var measured: [ScalingPoint] { points.filter { $0.result.nature == .measured && !$0.result.launches.isEmpty } }
  /// Points that only show that bits agree.
  public var functional: [ScalingPoint] {
    points.filter { $0.result.nature == .functional && !$0.result.launches.isEmpty }
  }

  /// The lines of a kind.
  public static func lines(_ kind: CellKind, of results: StudyResults) -> [ScalingLine] {
    let cells = results.cells.filter { $0.cell.kind == kind }
    var names: [String] = []
    for result in cells where !names.contains(name(of: result.cell)) { names.append(name(of: result.cell)) }
    return names.map { name in
      let own = cells.filter { ScalingLine.name(of: $0.cell) == name }.sorted {
        ($0.cell.ranks, $0.cell.cropShards) < ($1.cell.ranks, $1.cell.cropShards)
      }
      let base = own.first {
        $0.cell.ranks == results.study.reference.ranks && $0.nature == .measured && !$0.launches.isEmpty
      }
      let points = own.map { point($0, base: base) }
      return ScalingLine(kind: kind, name: name, base: base, points: points)
    }
  }

  private static func name(of cell: StudyCell) -> String {
    var parts = ["\(cell.benchmark)"]
    if cell.recipe != nil { parts.append(cell.data == .loader ? "data by the loader" : "data in memory") }
    if let rule = cell.batchRule { parts.append("batch rule \(rule.rawValue)") }
    if cell.kind == .strong {
      parts.append("global batch \(cell.globalBatch)")
    } else {
      let samples = Double(cell.globalBatch * cell.cropShards) / Double(max(cell.ranks, cell.cropShards))
      parts.append("\(number(samples)) sample\(samples == 1 ? "" : "s") \(cell.cropShards > 1 ? "a team" : "a rank")")
      if cell.cropShards > 1 { parts.append("teams of \(cell.cropShards)") }
    }
    parts.append("\(cell.threads) thread\(cell.threads == 1 ? "" : "s")")
    if cell.accumulate > 1 { parts.append("\(cell.accumulate) micro-batches") }
    if cell.shardMoments { parts.append("moments dealt out") }
    if cell.overlap != .auto { parts.append("overlap \(cell.overlap.rawValue)") }
    return parts.joined(separator: ", ")
  }

  private static func point(_ result: CellResult, base: CellResult?) -> ScalingPoint {
    guard let base, result.nature == .measured, !result.launches.isEmpty else {
      return ScalingPoint(result: result, efficiency: nil, speedUp: nil, bound: base.flatMap { bound(result, $0) })
    }
    // The base itself has no interval: it is one by definition.
    let ratio = result.cell.name == base.cell.name ? Estimate(value: 1, low: 1, high: 1) : self.ratio(base, by: result)
    func cores(_ cell: StudyCell) -> Double { Double(cell.ranks * cell.threads) }
    let work = Double(result.cell.globalBatch) / Double(base.cell.globalBatch)
    return ScalingPoint(
      result: result, efficiency: ratio?.scaled(by: work * cores(base.cell) / cores(result.cell)),
      speedUp: result.cell.kind == .strong ? ratio : nil, bound: bound(result, base))
  }

  /// Seconds of the first cell by those of the second, over blocks that have both.
  public static func ratio(_ first: CellResult, by second: CellResult) -> Estimate? {
    RatioBootstrap().ratio(
      first.launches.compactMap { launch in
        second.launches.first { $0.identity.block == launch.identity.block }
          .map { PairedLaunches(launch.keptSeconds, $0.keptSeconds) }
      })
  }

  private static func bound(_ result: CellResult, _ base: CellResult) -> Double? {
    guard result.cell.kind == .strong, let own = result.launches.first, let first = base.launches.first else {
      return nil
    }
    let most = (own.ranks.map(\.gflop).max() ?? 0, first.ranks.map(\.gflop).max() ?? 0)
    return most.0 > 0 ? most.1 / most.0 : nil
  }
}
