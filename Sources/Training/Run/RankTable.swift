// Who takes part in a job: a table of the ranks at the start, and warnings about layouts that cost time.

import Collectives
import Foundation
import Kernels
import Support
import Tensors

/// What a rank runs on.
public struct RankFacts: Codable, Sendable, Equatable {
  /// Name of the host.
  public var host: String
  /// Compute threads.
  public var threads: Int
  /// Numbers of the cores that it may use, ascending.
  public var cores: [Int]
  /// The highest CPU level it may use: what the CPU has, or less by `APUS_CPU_LEVEL`.
  public var level: String
  /// Memory of the host in bytes.
  public var memoryBytes: Int
  /// What was free of it.
  public var freeBytes: Int

  /// Given facts.
  public init(host: String, threads: Int, cores: [Int], level: String, memoryBytes: Int, freeBytes: Int) {
    self.host = host
    self.threads = threads
    self.cores = cores
    self.level = level
    self.memoryBytes = memoryBytes
    self.freeBytes = freeBytes
  }

  /// The facts about this process.
  public init(host: String, level: CPULevel) {
    let memory = RankFacts.fields("/proc/meminfo")
    func bytes(_ name: String) -> Int {
      (memory[name]?.split(separator: " ").first.flatMap { Int($0) } ?? 0) * 1024
    }
    let list = RankFacts.fields("/proc/self/status")["Cpus_allowed_list"] ?? ""
    let cores = RankFacts.numbers(list)
    self.init(
      host: host, threads: WorkerPool.shared.threads,
      cores: cores.isEmpty ? Array(0..<ProcessInfo.processInfo.activeProcessorCount) : cores, level: "\(level)",
      memoryBytes: bytes("MemTotal"), freeBytes: bytes("MemAvailable"))
  }

  /// The numbers of a list such as `0-3,8`.
  public static func numbers(_ list: String) -> [Int] {
    list.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last else { return [] }
      return Array(first...last)
    }
  }

  /// `name: value` lines of a file of the system.
  private static func fields(_ path: String) -> [String: String] {
    guard let bytes = try? FileHandle(forReadingFrom: URL(fileURLWithPath: path)).readToEnd() else { return [:] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").reduce(into: [:]) { fields, line in
      let words = line.split(separator: ":", maxSplits: 1)
      if words.count == 2 { fields[String(words[0])] = words[1].trimmingCharacters(in: .whitespaces) }
    }
  }
}

/// The ranks of a job.
public struct RankTable: Sendable {
  private let ranks: [RankFacts]

  /// A table of all ranks, in their order.
  public init(_ ranks: [RankFacts]) { self.ranks = ranks }

  /// Gathers all ranks' facts. Called by all ranks.
  public init(_ facts: RankFacts, on communicator: any Communicator) throws {
    let own = try communicator.together { try jsonLine(facts) }
    let texts = try communicator.gatherStrings(own)
    ranks = try communicator.together {
      try texts.map { try JSONDecoder().decode(RankFacts.self, from: Foundation.Data($0.utf8)) }
    }
  }

  /// A heading and a line for each rank.
  public var lines: [String] {
    let rows = ranks.enumerated().map { rank, facts in
      [
        "\(rank)", facts.host, "\(facts.threads)", RankTable.ranges(facts.cores), facts.level,
        "\(gibibytes(facts.freeBytes)) of \(gibibytes(facts.memoryBytes)) GiB",
      ]
    }
    let table = [["rank", "host", "threads", "cores", "CPU level", "free memory"]] + rows
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    return table.map { row in
      let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
      return cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
    }
  }

  /// What makes ranks slower than they need be, a line for each finding.
  public var warnings: [String] {
    var lines: [String] = []
    for host in Set(ranks.map(\.host)).sorted() {
      let mine = ranks.filter { $0.host == host }
      let cores = Set(mine.flatMap(\.cores)).count
      let threads = mine.reduce(0) { $0 + $1.threads }
      guard threads > cores else { continue }
      lines.append(
        "warning: host \(host) runs \(threads) compute threads on \(cores) core\(cores == 1 ? "" : "s"); "
          + "use fewer ranks or threads, or bind ranks to different cores")
    }
    for (rank, facts) in ranks.enumerated() where lines.isEmpty && facts.threads > facts.cores.count {
      lines.append(
        "warning: rank \(rank) on \(facts.host) runs \(facts.threads) compute threads bound to cores "
          + "\(RankTable.ranges(facts.cores)); launch with --bind-to none or fewer threads")
    }
    let levels = ranks.compactMap { CPULevel(named: $0.level) }
    if let lowest = levels.min(by: { $0.rawValue < $1.rawValue }), Set(levels).count > 1 {
      let slow = ranks.indices.filter { ranks[$0].level == "\(lowest)" }.map { "\($0) on \(ranks[$0].host)" }
      lines.append(
        "warning: CPU levels differ: all ranks use \(lowest), the highest that rank \(slow.joined(separator: ", ")) has"
      )
    }
    return lines
  }

  /// Such as `0-3,8`.
  private static func ranges(_ numbers: [Int]) -> String {
    var parts: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = parts.last, last.upperBound == number - 1 {
        parts[parts.count - 1] = last.lowerBound...number
      } else {
        parts.append(number...number)
      }
    }
    return parts.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
  }

  private func gibibytes(_ bytes: Int) -> String { rounded(Double(bytes) / Double(1 << 30), 1) }
}
