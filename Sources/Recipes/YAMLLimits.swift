// Bounds on YAML text from outside, so that a few lines cannot ask for all memory (aliases of lists of aliases), all time
// (such lists as keys) or all stack (deep nesting). Recipes and class sets come nowhere near them.

import Support

/// Bounds on the text of a recipe or class set.
enum YAMLLimits {
  /// Bytes of a text.
  static let bytes = 1 << 20
  /// Values of a document, those that aliases repeat counted each time.
  static let nodes = 50_000
  /// Levels of lists and mappings in each other.
  static let levels = 32
  /// Anchors in a text that has aliases: so many doublings at most come before `nodes` is counted.
  static let anchors = 16

  /// Refuses a text before it is parsed.
  ///
  /// The parser shares what aliases repeat, but compares whole keys. So keys of a text with aliases must be plain words,
  /// as those of recipes are. Signs in quotes and comments are taken as if they stood outside.
  /// - Throws: `Failure` 65 at `place`.
  static func check(_ yaml: String, place: String) throws {
    let text = Array(yaml.utf8)
    guard text.count <= bytes else {
      throw Failure(
        .badData, "\(text.count) bytes of YAML, where \(bytes) are the limit", at: place,
        remedy: "check that it is a recipe or class set")
    }
    guard signs(of: "*", in: text) > 0 else { return }
    let found = signs(of: "&", in: text)
    guard found <= anchors else {
      throw Failure(
        .badData, "\(found) anchors (&) in a text with aliases (*), where \(anchors) are the limit", at: place,
        remedy: "write the values out")
    }
    guard !hasComplexKey(text) else {
      throw Failure(
        .badData, "a key that is an alias, a list or a mapping, in a text with aliases (*)", at: place,
        remedy: "write plain words as keys")
    }
  }

  /// Where such a sign stands before something else than a blank.
  private static func signs(of sign: Character, in text: [UInt8]) -> Int {
    zip(text, text.dropFirst()).count { $0 == sign.asciiValue && !isBlank($1) }
  }

  /// Whether a colon follows a list, a mapping or an alias on its line, or a key is marked by `?`.
  private static func hasComplexKey(_ text: [UInt8]) -> Bool {
    var last: UInt8 = 0x0a
    var isAlias = false
    for (index, byte) in text.enumerated() {
      let next = index + 1 < text.count ? text[index + 1] : 0x0a
      if byte == UInt8(ascii: "?"), isBlank(next) { return true }
      if byte == UInt8(ascii: ":"), isAlias || last == UInt8(ascii: "]") || last == UInt8(ascii: "}") { return true }
      if byte == UInt8(ascii: "*") {
        isAlias = true
      } else if [UInt8(ascii: ","), 0x0a, 0x0d].contains(byte) {
        isAlias = false
      }
      if byte != UInt8(ascii: " "), byte != UInt8(ascii: "\t") { last = byte }
    }
    return false
  }

  private static func isBlank(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0a, 0x0d].contains(byte) }
}

/// What is left of the values and levels that one document may have.
struct YAMLBudget {
  private var nodes = YAMLLimits.nodes
  private var levels = YAMLLimits.levels

  /// Counts one value, and one level for what `body` reads inside of it.
  /// - Throws: `Failure` 65 at `place` where the values or levels are too many.
  mutating func spend<Result>(at place: String, _ body: (inout YAMLBudget) throws -> Result) throws -> Result {
    nodes -= 1
    levels -= 1
    guard nodes >= 0, levels >= 0 else {
      throw Failure(
        .badData,
        nodes < 0
          ? "more than \(YAMLLimits.nodes) values, aliases written out"
          : "more than \(YAMLLimits.levels) levels of lists and mappings",
        at: place, remedy: "check that it is a recipe or class set")
    }
    defer { levels += 1 }
    return try body(&self)
  }
}
