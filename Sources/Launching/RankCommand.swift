// The command under supervision, and the hosts that it is told to use.

import Foundation
import Support

/// A launcher with its options, then `train` and what `apus train` takes.
public struct RankCommand: Sendable, Equatable {
  /// All words, as they were given or as blamed hosts have changed them.
  public private(set) var words: [String]
  private let train: Int

  /// From the words; nil if none of them is `train`.
  public init?(_ words: [String]) {
    guard let train = words.firstIndex(of: "train"), train > 0 else { return nil }
    self.words = words
    self.train = train
  }

  /// What `apus train` is called with.
  public var trainArguments: [String] { Array(words[(train + 1)...]) }

  /// The words as a line of a shell would have them.
  public var line: String {
    words.map { $0.contains { " \t'\"\\".contains($0) } || $0.isEmpty ? "'\($0)'" : $0 }.joined(separator: " ")
  }

  /// Position of the value behind the first of these options of the launcher.
  private func valueIndex(_ names: String...) -> Int? {
    words[..<train].firstIndex { names.contains($0) }.map { $0 + 1 }.flatMap { $0 < train ? $0 : nil }
  }

  /// The file that names the hosts.
  public internal(set) var hostFile: String? {
    get { valueIndex("--hosts", "--hostfile").map { words[$0] } }
    set {
      if let index = valueIndex("--hosts", "--hostfile"), let newValue { words[index] = newValue }
    }
  }

  /// The number of ranks; nil where the slots decide it.
  public internal(set) var ranks: Int? {
    get { valueIndex("-n", "-np").flatMap { Int(words[$0]) } }
    set {
      if let index = valueIndex("-n", "-np"), let newValue { words[index] = String(newValue) }
    }
  }

  /// Ranks of each host, whatever slots the file gives.
  public var ranksPerNode: Int? { valueIndex("--ranks-per-node").flatMap { Int(words[$0]) } }
}

/// Counts how often hosts failed, and leaves them out of the command once that is too often.
public struct HostBlame: Sendable {
  /// Failures after which a host is left out.
  public let limit: Int
  /// Where the shortened host file is written.
  public let file: String
  private var failures: [String: Int] = [:]

  /// Nobody has failed yet.
  public init(limit: Int, file: String) {
    self.limit = limit
    self.file = file
  }

  /// Counts one failure of each host. Ranks that no longer fit into the hosts that are left are halved until they do.
  /// - Returns: what was done, in lines.
  /// - Throws: `Failure` 66 or 65 if the host file cannot be read, 73 if the shortened one cannot be written.
  public mutating func blame(_ hosts: [String], in command: inout RankCommand) throws -> [String] {
    for host in hosts { failures[host, default: 0] += 1 }
    guard let path = command.hostFile, hosts.contains(where: { failures[$0] ?? 0 >= limit }) else { return [] }
    let present = try HostFile(contentsOf: path, ranksPerNode: command.ranksPerNode)
    let failed = hosts.filter { host in
      failures[host] ?? 0 >= limit && present.hosts.contains { $0.isCalled(host) }
    }
    guard !failed.isEmpty else { return [] }
    let tally = failed.map { "host \($0) failed \(HostBlame.times(failures[$0] ?? 0))" }.joined(separator: ", ")
    guard let left = present.without(failed) else { return ["\(tally), but no other is left"] }
    do {
      try left.text.write(toFile: file, atomically: true, encoding: .utf8)
    } catch {
      throw Failure(.cannotCreate, "the hosts that are left cannot be written: \(error)", at: file)
    }
    command.hostFile = file
    let names = left.hosts.map(\.name).joined(separator: " ")
    let notes = ["\(tally) and \(failed.count == 1 ? "is" : "are") left out; hosts left: \(names)"]
    guard let before = command.ranks, let room = left.room else { return notes }
    let after = Launching.ranks(before, fitting: room)
    guard after != before else { return notes }
    command.ranks = after
    return notes + ["ranks from now on: \(after) instead of \(before)"]
  }

  private static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }
}
