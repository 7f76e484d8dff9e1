// Typed failures for everything that comes from outside: files, recipes, MPI, HDF5.
// Broken contracts inside the package are preconditions, not failures.

/// The exit statuses a command may end with; the numbers follow sysexits.h.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  /// A comparison or check did not hold.
  case checkFailed = 1
  /// Wrong command-line usage.
  case usage = 64
  /// Bad data or recipe.
  case badData = 65
  /// An input is missing.
  case missingInput = 66
  /// A defect of this program.
  case `internal` = 70
  /// An output cannot be created.
  case cannotCreate = 73
  /// Reading or writing failed.
  case inputOutput = 74
  /// Stopped on a signal after saving; run again with `--resume`.
  case stopped = 75
}

/// What went wrong, where, and what to do about it, in one line.
public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The exit status of a command that ends with this failure.
  public let status: ExitStatus
  /// What went wrong, without a full stop.
  public let what: String
  /// The file, line, key, rank or step concerned.
  public let place: String?
  /// What the user can do.
  public let remedy: String?

  /// Makes a failure; `what` and `remedy` are phrases without a full stop.
  public init(_ status: ExitStatus, _ what: String, at place: String? = nil, remedy: String? = nil) {
    self.status = status
    self.what = what
    self.place = place
    self.remedy = remedy
  }

  /// `place: what; remedy`, on one line; signs of names that a terminal would obey are shown escaped.
  public var description: String {
    let text = (place.map { "\($0): " } ?? "") + what + (remedy.map { "; \($0)" } ?? "")
    return shown(text.split(whereSeparator: \.isNewline).joined(separator: " "))
  }

  /// The same failure with a place in front of the one it has.
  public func within(_ outer: String) -> Failure {
    Failure(status, what, at: place.map { "\(outer): \($0)" } ?? outer, remedy: remedy)
  }
}

/// The candidate nearest to `word` by edit distance, if it is near enough to be a misspelling.
///
/// "Near enough" is at most a third of the longer word's length, and at least one edit is always allowed.
public func nearestSpelling(to word: String, among candidates: some Sequence<String>) -> String? {
  let scored = candidates.map { ($0, editDistance(word.lowercased(), $0.lowercased())) }
  guard let best = scored.min(by: { ($0.1, $0.0) < ($1.1, $1.0) }) else { return nil }
  return best.1 <= max(1, max(word.count, best.0.count) / 3) ? best.0 : nil
}

/// Insertions, deletions, substitutions and exchanges of neighbours that lead from one word to the other.
func editDistance(_ first: String, _ second: String) -> Int {
  let rows = Array(first)
  let columns = Array(second)
  var previous: [Int] = []
  var row = Array(0...columns.count)
  for i in rows.indices {
    var next = [i + 1]
    for j in columns.indices {
      var edits = min(row[j] + (rows[i] == columns[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
      if i > 0, j > 0, rows[i] == columns[j - 1], rows[i - 1] == columns[j] { edits = min(edits, previous[j - 1] + 1) }
      next.append(edits)
    }
    (previous, row) = (row, next)
  }
  return row[columns.count]
}
