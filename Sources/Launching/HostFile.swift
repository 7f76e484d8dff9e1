// Host files as mpirun and Launch/hosts.sh read them: a line `NAME slots=N` for each host.

import Foundation
import Support

/// The hosts of a job, in the order of their lines. A host may have several lines; their slots add up.
public struct HostFile: Sendable, Equatable {
  /// One line.
  public struct Host: Sendable, Equatable {
    /// The name as it is written, perhaps with a user: `me@node1`.
    public let name: String
    /// Ranks that fit; nil where the line leaves that to mpirun.
    public let slots: Int?
    /// The line without its comment.
    public let line: String

    /// The name without a user.
    public var address: Substring { name.lastIndex(of: "@").map { name[name.index(after: $0)...] } ?? name[...] }

    /// Whether a rank that names its host so runs here. Hosts call themselves by their full or their short name.
    public func isCalled(_ other: String) -> Bool {
      func short(_ name: some StringProtocol) -> String { name.prefix { $0 != "." }.lowercased() }
      // The parts of a numeric address are no short names.
      let isNumeric = address.allSatisfy { $0.isNumber || $0 == "." }
      return address.lowercased() == other.lowercased() || !isNumeric && short(address) == short(other)
    }
  }

  /// Its lines that name a host.
  public let hosts: [Host]

  /// Reads a host file. Comments begin with `#`; line ends may be those of Windows.
  /// - Parameters:
  ///   - path: the file.
  ///   - ranksPerNode: slots of every line, whatever the file says.
  /// - Throws: `Failure` 66 if there is no such file, 65 with file and line if a name or a number cannot be meant.
  public init(contentsOf path: String, ranksPerNode: Int? = nil) throws {
    guard let bytes = FileManager.default.contents(atPath: path) else {
      throw Failure(.missingInput, "no host file \(path)")
    }
    try self.init(String(decoding: bytes, as: UTF8.self), path: path, ranksPerNode: ranksPerNode)
  }

  /// Reads a host file's text.
  /// - Parameters:
  ///   - text: the lines.
  ///   - path: what complaints call the file.
  ///   - ranksPerNode: slots of every line, whatever the text says.
  /// - Throws: as `init(contentsOf:)`.
  public init(_ text: String, path: String, ranksPerNode: Int? = nil) throws {
    // Windows' editors mark UTF-8 by three bytes at the beginning.
    let lines = text.drop { $0 == "\u{FEFF}" }.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    hosts = try lines.enumerated().compactMap { index, line in
      try HostFile.host(line.prefix { $0 != "#" }, at: "\(path):\(index + 1)", ranksPerNode: ranksPerNode)
    }
    guard !hosts.isEmpty else { throw Failure(.badData, "the host file \(path) names no host") }
  }

  private init(_ hosts: [Host]) { self.hosts = hosts }

  private static func host(_ line: Substring, at place: String, ranksPerNode: Int?) throws -> Host? {
    guard let name = line.split(whereSeparator: \.isWhitespace).first.map(String.init) else { return nil }
    // A leading dash would be an option to ssh.
    guard name.wholeMatch(of: /[\]\[A-Za-z0-9_.@:%-]+/) != nil, !name.hasPrefix("-") else {
      throw Failure(.badData, "\(name.debugDescription) is no name of a host", at: place)
    }
    var slots: Int?
    if let given = line.firstMatch(of: /\sslots\s*=\s*(\S*)/)?.1 {
      guard given.wholeMatch(of: /[1-9][0-9]{0,5}/) != nil else {
        throw Failure(.badData, "slots=\(given)", at: place, remedy: "expected a whole number from 1")
      }
      slots = Int(given)
    }
    guard let ranksPerNode else { return Host(name: name, slots: slots, line: String(line)) }
    return Host(name: name, slots: ranksPerNode, line: "\(name) slots=\(ranksPerNode)")
  }

  /// How many ranks the hosts have room for; nil where a line leaves that to mpirun.
  public var room: Int? {
    hosts.reduce(0) { total, host in total.flatMap { sum in host.slots.map { sum + $0 } } }
  }

  /// The hosts but those that call themselves by one of the names; nil if none is left.
  public func without(_ names: some Sequence<String>) -> HostFile? {
    let kept = hosts.filter { host in !names.contains { host.isCalled($0) } }
    return kept.isEmpty ? nil : HostFile(kept)
  }

  /// The file's text without comments.
  public var text: String { hosts.map { $0.line + "\n" }.joined() }
}

/// Ranks halved until there is room, so that equal blocks of the batch stay powers of two; all the room if an odd number
/// does not fit.
public func ranks(_ ranks: Int, fitting room: Int) -> Int {
  var count = ranks
  while count > room { count = count % 2 == 0 ? count / 2 : room }
  return count
}
