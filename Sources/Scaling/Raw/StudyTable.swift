// study.csv and dropped.csv: everything that was measured, for anybody's own plots.

import Foundation
import Support

/// Tables of a study as comma-separated values, headings first.
public enum StudyTable {
  /// A line for each launch and step, warm-up included and marked.
  public static func steps(_ results: StudyResults) -> String {
    var lines = [
      "cell,kind,nature,block,place,ranks,threads,globalBatch,cropShards,step,warmUp,dropped,seconds,waiting,exposed,"
        + "underWay,bytes,messages," + StudyPhase.allCases.map(\.rawValue).joined(separator: ",")
    ]
    for result in results.cells where result.cell.kind.trains {
      let all = result.launches.map { ($0, false) } + result.dropped.map { ($0.launch, true) }
      for (record, isDropped) in all.sorted(by: { $0.0.identity.block < $1.0.identity.block }) {
        lines += rows(record, isDropped: isDropped)
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Of the slowest rank: seconds; of all ranks: the mean of what they spent, the sum of bytes and messages.
  private static func rows(_ record: LaunchRecord, isDropped: Bool) -> [String] {
    let identity = record.identity
    let head = [
      identity.cell, identity.kind.rawValue, identity.nature.rawValue, "\(identity.block)", "\(identity.place)",
      "\(record.rankCount)", "\(identity.threads)", "\(identity.globalBatch)", "\(identity.cropShards)",
    ]
    return (0..<record.seconds.steps).map { step in
      func mean(_ table: StepTable<Double>?) -> String {
        let values = table?[step] ?? []
        return exact(values.reduce(0, +) / Double(max(1, values.count)))
      }
      let isKept = record.kept.contains(step)
      let fields =
        head + ["\(step)", isKept ? "0" : "1", isDropped ? "1" : "0", exact(record.slowest[step])]
        + [mean(record.waiting), mean(record.exposed), mean(record.underWay)]
        + ["\(record.bytes[step].reduce(0, +))", "\(record.messages[step].reduce(0, +))"]
        + StudyPhase.allCases.map { mean(record.phases[$0]) }
      return fields.joined(separator: ",")
    }
  }

  /// A line for each launch that does not count, and for each that failed.
  public static func dropped(_ results: StudyResults, failed: [(name: String, cause: String)] = []) -> String {
    let lines =
      results.dropped.map { "\($0.launch.name),\(quoted($0.cause)),\(exact($0.launch.median))" }
      + failed.map { "\($0.name),\(quoted($0.cause))," }
    return (["launch,cause,median"] + lines).joined(separator: "\n") + "\n"
  }

  /// A line for each cell.
  public static func cells(_ results: StudyResults) -> String {
    let heading =
      "cell,kind,nature,ranks,threads,globalBatch,launches,dropped,heldOut,median,low,high,coverage,halfWidth"
    let lines = results.cells.map { result -> String in
      let cell = result.cell
      let head = [
        cell.name, cell.kind.rawValue, result.nature.rawValue, "\(cell.ranks)", "\(cell.threads)",
        "\(cell.globalBatch)", "\(result.launches.count)", "\(result.dropped.count)", cell.isHeldOut ? "1" : "0",
      ]
      let interval = result.interval.map { [$0.median, $0.low, $0.high, $0.coverage, $0.halfWidth].map(exact) }
      return (head + (interval ?? [String](repeating: "", count: 5))).joined(separator: ",")
    }
    return ([heading] + lines).joined(separator: "\n") + "\n"
  }

  /// The shortest decimal number that reads back as this one.
  static func exact(_ value: Double) -> String { "\(value)" }

  /// A text as one field.
  static func quoted(_ text: String) -> String {
    text.contains(where: { ",\"\n".contains($0) }) ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
  }
}
