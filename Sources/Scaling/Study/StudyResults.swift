// What a study has found: launches by cell, which of them count and why others do not, and whether all computed the same.

import Foundation
import Storage
import Support

/// A launch that does not count.
public struct DroppedLaunch: Sendable, Equatable {
  /// The launch.
  public let launch: LaunchRecord
  /// Why: a cause, never its value.
  public let cause: String
}

/// The launches of a cell.
public struct CellResult: Sendable {
  /// The cell.
  public let cell: StudyCell
  /// Launches that count, by block.
  public let launches: [LaunchRecord]
  /// Launches that do not.
  public let dropped: [DroppedLaunch]

  /// Medians of the launches that count.
  public var medians: [Double] { launches.map(\.median) }
  /// Their median with its interval; nil without launches.
  public var interval: MedianInterval? { launches.isEmpty ? nil : MedianInterval(medians) }
  /// Whether launches were measurements; what was planned, where there are none.
  public var nature: CellNature { (launches + dropped.map(\.launch)).first?.identity.nature ?? cell.nature }

  /// Whether it has as many launches as it needs.
  public func isSettled(_ limits: StudyRepeat) -> Bool {
    guard let interval, interval.count >= limits.least else { return false }
    return interval.halfWidth <= limits.halfWidth
  }
}

/// All launches of a study.
public struct StudyResults: Sendable {
  /// The study.
  public let study: Study
  /// Cells that have launches or wait for them, in the order of the plan.
  public let cells: [CellResult]

  /// Sorts launches by cells.
  /// - Parameters:
  ///   - plan: the cells.
  ///   - records: the launches.
  /// - Throws: `Failure` 65 for a launch of no cell, or of another program than the rest; 1 where launches that must
  ///   compute the same have ended with different weights.
  public init(_ plan: StudyPlan, _ records: [LaunchRecord]) throws {
    study = plan.study
    if let record = records.first(where: { plan.cell(named: $0.identity.cell) == nil }) {
      throw Failure(.badData, "the study has no cell \(record.identity.cell)", at: record.name)
    }
    if let first = records.first, let other = records.first(where: { $0.identity.program != first.identity.program }) {
      throw Failure(
        .badData, "was made by apus \(other.identity.program), \(first.name) by \(first.identity.program)",
        at: other.name, remedy: "launches of one study are by one program; remove those of the other")
    }
    try StudyResults.compareBits(plan, records)
    let governor = records.first { $0.identity.nature == .measured }?.environment.texts["governor"]
    cells = plan.cells.map { [study] cell in
      let own = records.filter { $0.identity.cell == cell.name }.sorted { $0.identity.block < $1.identity.block }
      let causes = own.map { StudyResults.cause(of: $0, study.drop, governor: governor) }
      return CellResult(
        cell: cell, launches: zip(own, causes).filter { $1 == nil }.map(\.0),
        dropped: zip(own, causes).compactMap { record, cause in
          cause.map { DroppedLaunch(launch: record, cause: $0) }
        })
    }
  }

  /// Why a launch does not count; nil if it does. Functional launches are no measurements: nothing spoils them.
  private static func cause(of record: LaunchRecord, _ limits: StudyLimits, governor: String?) -> String? {
    guard record.identity.nature == .measured else { return nil }
    let environment = record.environment
    if environment.steal > limits.steal {
      return "steal \(percent(100 * environment.steal)) % > \(percent(100 * limits.steal)) %"
    }
    if environment.foreign > limits.foreign {
      return "foreign load \(percent(100 * environment.foreign)) % > \(percent(100 * limits.foreign)) %"
    }
    if environment.texts["governor"] != governor { return "governor \(environment.texts["governor"] ?? "unknown")" }
    return nil
  }

  /// Launches that must agree, by what they compute.
  public static func comparable(_ plan: StudyPlan, _ records: [LaunchRecord]) -> [String: [LaunchRecord]] {
    let pairs = records.compactMap { record in
      plan.cell(named: record.identity.cell)?.sameBits.map { ($0, record) }
    }
    return Dictionary(grouping: pairs, by: \.0).mapValues { $0.map(\.1) }
  }

  private static func compareBits(_ plan: StudyPlan, _ records: [LaunchRecord]) throws {
    for (work, same) in comparable(plan, records).sorted(by: { $0.key < $1.key }) {
      guard let first = same.first,
        let other = same.first(where: { $0.identity.studentDigest != first.identity.studentDigest })
      else { continue }
      throw Failure(
        .checkFailed,
        "\(first.name) and \(other.name) must end with the same weights (\(work)), but have the digests "
          + "\(first.identity.studentDigest.prefix(12)) and \(other.identity.studentDigest.prefix(12))",
        remedy: "what computed something else is no measurement; see numerics.md")
    }
  }

  /// A cell's result by its name.
  public subscript(name: String) -> CellResult? { cells.first { $0.cell.name == name } }

  /// Launches that do not count, in order.
  public var dropped: [DroppedLaunch] { cells.flatMap(\.dropped) }

  /// Seconds of all launches together.
  public var seconds: Double {
    cells.reduce(0) { $0 + ($1.launches + $1.dropped.map(\.launch)).reduce(0) { $0 + $1.identity.seconds } }
  }
}
