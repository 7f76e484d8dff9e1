// What a job said at its end: the reason, and the hosts that it names.

import Support

/// Reads a job's standard error as it comes and keeps what tells why it ended.
public struct LastWords: Sendable {
  /// Lines of the program and its launcher, the newest last.
  private var own: [String] = []
  private var last: String?
  private var unfinished: [UInt8] = []

  /// Nothing was said yet.
  public init() {}

  private static let keptLines = 200
  private static let longestLine = 16384

  /// Takes bytes in, which may end inside a line.
  public mutating func hear(_ bytes: some Sequence<UInt8>) {
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        endLine()
      } else if unfinished.count < LastWords.longestLine {
        unfinished.append(byte)
      }
    }
  }

  /// Nothing more will come.
  public mutating func end() { endLine() }

  private mutating func endLine() {
    let line = String(decoding: unfinished, as: UTF8.self).trimming { $0.isWhitespace }
    unfinished.removeAll(keepingCapacity: true)
    guard !line.isEmpty, line.contains(where: { $0.isLetter }) else { return }
    last = line
    let isOwn = line.hasPrefix("apus: ") || line.hasPrefix("Launch/")
    guard isOwn, !line.hasPrefix("apus: exit status ") else { return }
    own.append(line)
    if own.count > LastWords.keptLines { own.removeFirst() }
  }

  private var stalls: [String] { own.filter { $0.hasPrefix("apus: stalled: ") } }

  /// Why the job ended: which rank stalled, else the last line of the program or its launcher, else the last line that
  /// anybody wrote; nil if nobody did.
  public var reason: String? { stalls.last ?? own.last ?? last }

  /// The hosts to blame, each once: those of stalled ranks, else those that the launcher lost or could not reach, else
  /// those of the ranks in the last line that names any.
  public var failedHosts: [String] {
    let gone = /Launch\/mpirun: (?:cannot reach )?hosts? ([^ :,;]+(?:(?:, | and )[^ :,;]+)*)/
    let lost = own.compactMap { $0.prefixMatch(of: gone)?.1 }
      .flatMap { $0.replacing(" and ", with: ", ").split(separator: ", ").map(String.init) }
    let groups = [
      stalls.flatMap(LastWords.hostsOfRanks), lost, own.map(LastWords.hostsOfRanks).last { !$0.isEmpty } ?? [],
    ]
    var seen: Set<String> = []
    return groups.first { !$0.isEmpty }?.filter { seen.insert($0).inserted } ?? []
  }

  /// Hosts in "rank 1 on node1" and "ranks 2, 3 on node2".
  private static func hostsOfRanks(_ line: String) -> [String] {
    guard line.contains(/\branks? \d/) else { return [] }
    return line.matches(of: /\b\d+ on ([^ :,;]+)/).map { String($0.1) }
  }
}

extension StringProtocol {
  /// Without the characters at both ends for which this holds.
  fileprivate func trimming(_ isLeftOut: (Character) -> Bool) -> String {
    String(drop(while: isLeftOut).reversed().drop(while: isLeftOut).reversed())
  }
}
