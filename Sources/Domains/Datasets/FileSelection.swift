// Which files below a folder belong to a data set.

import Foundation
import Imagery
import Support

/// Which files below a folder belong to a data set: those that fit patterns, and, where there is a list, stand in it.
public struct FileSelection: Sendable, Equatable {
  /// Patterns of stems, such as `fog/train/**`: a file fits one of each group. `*` is anything but a slash, `**` anything,
  /// `?` one character but a slash.
  var groups: [[String]]
  /// A text file that names an image on each line; nil takes all.
  public var list: String?

  /// Every file.
  public static let all = FileSelection()

  /// Files that fit one of some patterns, where there are any, and stand in a list.
  public init(patterns: [String] = [], list: String? = nil) {
    groups = patterns.isEmpty ? [] : [patterns]
    self.list = list
  }

  /// Those stems that belong to the set, in the order of their bytes.
  ///
  /// A line of the list is a path, without or with folders before the stem, suffix and extension; what follows a blank,
  /// such as the label's path, is not looked at, nor is a line that begins with `#`.
  /// - Throws: a `Failure`: 66 if the list is missing or names what is not there, 65 if it is no text or names nothing,
  ///   or no stem fits a pattern.
  func select(_ stems: some Collection<String>, suffix: String, folder: String) throws -> [String] {
    var chosen = Set(stems)
    if let list { chosen = try FileSelection.listed(list, among: chosen, suffix: suffix, folder: folder) }
    for pattern in groups.joined() where !chosen.contains(where: { FileSelection.fits($0, pattern) }) {
      throw Failure(
        .missingInput, "no image fits the pattern \(pattern)", at: folder,
        remedy: "patterns are of paths in this folder, without suffix and extension, such as \(stems.min() ?? "a/b")")
    }
    for group in groups { chosen = chosen.filter { stem in group.contains { FileSelection.fits(stem, $0) } } }
    guard !chosen.isEmpty else {
      throw Failure(
        .missingInput, "no image fits \(groups.map { $0.joined(separator: " or ") }.joined(separator: " and "))",
        at: folder, remedy: "choose patterns that have images in common")
    }
    return chosen.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func listed(
    _ list: String, among stems: Set<String>, suffix: String, folder: String
  ) throws -> Set<String> {
    guard let text = String(validating: try readFile(list), as: UTF8.self) else {
      throw Failure(.badData, "not a text file in UTF-8", at: list, remedy: "name an image on each line")
    }
    var chosen: Set<String> = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      guard let name = line.split(whereSeparator: \.isWhitespace).first, !name.hasPrefix("#") else { continue }
      guard let stem = stem(of: String(name), among: stems, suffix: suffix) else {
        throw Failure(
          .missingInput, "names \(name), which is not in \(folder)", at: "\(list):\(index + 1)",
          remedy: "choose the folder and imageSuffix that belong to this list")
      }
      chosen.insert(stem)
    }
    guard !chosen.isEmpty else {
      throw Failure(.badData, "names no image", at: list, remedy: "name an image on each line")
    }
    return chosen
  }

  /// The stem that a line names: the line itself, or what is left of it without extension, suffix and the first folders.
  private static func stem(of name: String, among stems: Set<String>, suffix: String) -> String? {
    var forms = [name]
    let dot = name.lastIndex(of: ".")
    if let dot, ["png", "jpg", "jpeg"].contains(name[name.index(after: dot)...].lowercased()) {
      forms.append(String(name[..<dot]))
    }
    forms += forms.filter { !suffix.isEmpty && $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }
    for form in forms.reversed() {
      var rest = Substring(form)
      while true {
        if stems.contains(String(rest)) { return String(rest) }
        guard let slash = rest.firstIndex(of: "/") else { break }
        rest = rest[rest.index(after: slash)...]
      }
    }
    return nil
  }

  /// Whether a path fits a pattern.
  static func fits(_ path: String, _ pattern: String) -> Bool { fits(Substring(path), Substring(pattern)) }

  private static func fits(_ path: Substring, _ pattern: Substring) -> Bool {
    guard let sign = pattern.first else { return path.isEmpty }
    if pattern.hasPrefix("**") {
      let rest = pattern.drop { $0 == "*" }
      // "**/" may stand for no folder at all.
      if rest.first == "/", fits(path, rest.dropFirst()) { return true }
      return fits(path, rest) || (!path.isEmpty && fits(path.dropFirst(), pattern))
    }
    if sign == "*" {
      return fits(path, pattern.dropFirst())
        || (path.first.map { $0 != "/" } ?? false && fits(path.dropFirst(), pattern))
    }
    guard let next = path.first, sign == next || (sign == "?" && next != "/") else { return false }
    return fits(path.dropFirst(), pattern.dropFirst())
  }
}
