// Typed groups of settings, each described once: the same description reads a group, writes it and lists its keys.
// Recipes are made of such groups, and so are the options of a method. How a file becomes a tree of `SettingNode`s and
// how errors are worded lives with the recipe reader.

/// A group of settings with defaults, such as the optimizer's.
public protocol SettingGroup: Sendable, Equatable {
  /// The defaults.
  init()
  /// Shows every setting to the visitor, in the order of the documentation.
  /// - Throws: what the visitor throws.
  mutating func visit(_ settings: inout some SettingVisitor) throws
}

/// What is done with every setting of a group: reading it from a tree or writing it to one.
public protocol SettingVisitor {
  /// A single value and the values it may take.
  mutating func value<Value: SettingValue>(_ key: String, _ value: inout Value, _ limit: Limit<Value>) throws
  /// A file or folder; a relative one is taken from the folder of the file that names it, and is made absolute.
  mutating func path(_ key: String, _ value: inout String?) throws
  /// A group within the group.
  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group) throws
  /// A group that may be left out.
  /// - Parameters:
  ///   - key: its name.
  ///   - group: the settings; nil where it is left out.
  ///   - defaults: what the group is where it is given and its keys are not.
  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group?, defaults: Group) throws
  /// Groups of one kind in order, written as a list.
  mutating func groups<Group: SettingGroup>(_ key: String, _ groups: inout [Group]) throws
}

extension SettingVisitor {
  /// A single value without limits.
  public mutating func value<Value: SettingValue>(_ key: String, _ value: inout Value) throws {
    try self.value(key, &value, .none)
  }

  /// A group that may be left out, with the defaults of its type.
  public mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group?) throws {
    try self.group(key, &group, defaults: Group())
  }
}

/// One value of a settings tree and where it was written.
public struct SettingNode: Sendable {
  /// What a node holds.
  public enum Content: Sendable {
    /// Text as written; quoted text is never taken for a number, a truth value or nothing.
    case scalar(String, isQuoted: Bool)
    /// Values in order.
    case list([SettingNode])
    /// Keys and values in order, keys unique.
    case group([Entry])
  }

  /// A key with its value.
  public struct Entry: Sendable {
    /// The key as written.
    public let key: String
    /// Where the key stands.
    public let place: String
    /// Its value.
    public var node: SettingNode

    /// A key, its place and its value.
    public init(key: String, place: String, node: SettingNode) {
      self.key = key
      self.place = place
      self.node = node
    }
  }

  /// The value.
  public var content: Content
  /// Where it stands, as `recipe.yaml:12` or `--set schedule.steps`.
  public let place: String
  /// Folder that relative paths in it start from.
  public let folder: String

  /// A value and where it stands.
  public init(_ content: Content, place: String = "", folder: String = "") {
    self.content = content
    self.place = place
    self.folder = folder
  }

  /// Whether nothing is written here: empty, `~` or `null`, unquoted.
  public var isNothing: Bool {
    if case .scalar(let text, isQuoted: false) = content { return ["", "~", "null"].contains(text) }
    return false
  }

  /// The text of a scalar.
  public var text: String? {
    if case .scalar(let text, _) = content { return isNothing ? nil : text }
    return nil
  }
}

/// The values a setting may take beyond its type, in words and as a test.
public struct Limit<Value>: Sendable {
  /// The rest of a sentence that starts with "expected a number", such as " from 0 to 1"; empty without limits.
  public let words: String
  /// Words among which a near miss is looked for.
  public let candidates: [String]
  /// Whether a value is allowed.
  public let allows: @Sendable (Value) -> Bool

  /// A limit in words and as a test.
  public init(_ words: String, candidates: [String] = [], _ allows: @escaping @Sendable (Value) -> Bool) {
    self.words = words
    self.candidates = candidates
    self.allows = allows
  }

  /// Every value of the type.
  public static var none: Limit { Limit("") { _ in true } }

  /// The same limit for a value that may be left out.
  public static func ifGiven<Wrapped>(_ limit: Limit<Wrapped>) -> Limit where Value == Wrapped? {
    Limit(limit.words) { $0.map(limit.allows) ?? true }
  }

  /// A list whose elements keep to `limit`, of `count` elements if that is given.
  public static func each<Element>(_ limit: Limit<Element>, count: Int? = nil) -> Limit where Value == [Element] {
    let number = count.map { " of \($0) elements" } ?? ""
    return Limit(number + (limit.words.isEmpty ? "" : ", each\(limit.words)")) { list in
      list.allSatisfy(limit.allows) && count.map { $0 == list.count } ?? true
    }
  }
}

extension Limit where Value: Comparable & Sendable {
  /// At least `low`.
  public static func atLeast(_ low: Value) -> Limit { Limit(" of at least \(low)") { $0 >= low } }
  /// Greater than `low`.
  public static func above(_ low: Value) -> Limit { Limit(" above \(low)") { $0 > low } }
  /// Within the range, ends included.
  public static func from(_ low: Value, to high: Value) -> Limit {
    Limit(" from \(low) to \(high)") { $0 >= low && $0 <= high }
  }
  /// At least `low` and less than `high`.
  public static func from(_ low: Value, below high: Value) -> Limit {
    Limit(" of at least \(low) and below \(high)") { $0 >= low && $0 < high }
  }
}
