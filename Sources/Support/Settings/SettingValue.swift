// The types a setting may have, and their text in a settings file.

/// A type that a setting can have.
public protocol SettingValue: Sendable, Equatable {
  /// What is expected, as in "expected a whole number".
  static var expected: String { get }
  /// Near misses of a value are looked for among these words.
  static var choices: [String] { get }
  /// The value, or nil if the node holds something else.
  init?(_ node: SettingNode)
  /// The value as a node, such that reading it gives the same value.
  var settingNode: SettingNode { get }
}

extension SettingValue {
  /// No words to choose from.
  public static var choices: [String] { [] }
}

/// One of a few words: an enumeration of strings.
public protocol SettingChoice: SettingValue, RawRepresentable, CaseIterable where RawValue == String {}

extension SettingChoice {
  /// The list of words.
  public static var expected: String { "one of " + choices.joined(separator: ", ") }
  /// The words.
  public static var choices: [String] { allCases.map(\.rawValue) }
  /// The case with that word.
  public init?(_ node: SettingNode) {
    guard let text = node.text else { return nil }
    self.init(rawValue: text)
  }
  /// The word.
  public var settingNode: SettingNode { SettingNode(.scalar(rawValue, isQuoted: false)) }
}

extension SettingNode {
  /// Text of an unquoted scalar.
  fileprivate var plain: String? {
    if case .scalar(let text, isQuoted: false) = content { return text }
    return nil
  }
}

extension Bool: SettingValue {
  /// True or false.
  public static var expected: String { "true or false" }
  /// From `true` or `false`.
  public init?(_ node: SettingNode) {
    guard let text = node.plain, let value = Bool(text) else { return nil }
    self = value
  }
  /// `true` or `false`.
  public var settingNode: SettingNode { SettingNode(.scalar(String(self), isQuoted: false)) }
}

extension Int: SettingValue {
  /// A whole number.
  public static var expected: String { "a whole number" }
  /// From decimal digits.
  public init?(_ node: SettingNode) {
    guard let text = node.plain, let value = Int(text), value.magnitude <= Int.largestSetting else { return nil }
    self = value
  }
  /// The largest magnitude: sums and products of a few settings stay far from the end of the numbers.
  public static let largestSetting = Int(Int32.max)
  /// Decimal digits.
  public var settingNode: SettingNode { SettingNode(.scalar(String(self), isQuoted: false)) }
}

extension UInt64: SettingValue {
  /// A whole number that is not negative.
  public static var expected: String { "a whole number from 0 to \(UInt64.max)" }
  /// From decimal digits.
  public init?(_ node: SettingNode) {
    guard let text = node.plain, let value = UInt64(text) else { return nil }
    self = value
  }
  /// Decimal digits.
  public var settingNode: SettingNode { SettingNode(.scalar(String(self), isQuoted: false)) }
}

extension Double: SettingValue {
  /// A number.
  public static var expected: String { "a number" }
  /// From a decimal number, such as 6e-5; infinity and not-a-number are refused.
  public init?(_ node: SettingNode) {
    guard let text = node.plain, let value = Double(text), value.isFinite else { return nil }
    self = value
  }
  /// The shortest decimal number that reads back as this one, with a point even before an exponent: older YAML readers
  /// take 6e-05 for text.
  public var settingNode: SettingNode {
    let text = "\(self)"
    let needsPoint = text.contains("e") && !text.contains(".")
    return SettingNode(.scalar(needsPoint ? text.replacing("e", with: ".0e") : text, isQuoted: false))
  }
}

extension String: SettingValue {
  /// A text.
  public static var expected: String { "a text" }
  /// From any scalar that is not nothing.
  public init?(_ node: SettingNode) {
    guard let text = node.text else { return nil }
    self = text
  }
  /// The text, quoted unless it is plainly a word.
  public var settingNode: SettingNode {
    let isWord =
      (first?.isLetter ?? false) && allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_./".contains($0)) }
    let meansElse = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(lowercased())
    return SettingNode(.scalar(self, isQuoted: !isWord || meansElse))
  }
}

extension Array: SettingValue where Element: SettingValue {
  /// A list of elements.
  public static var expected: String { "a list, each element \(Element.expected)" }
  /// From a list whose elements can all be read.
  public init?(_ node: SettingNode) {
    guard case .list(let nodes) = node.content else { return nil }
    let elements = nodes.compactMap { Element($0) }
    guard elements.count == nodes.count else { return nil }
    self = elements
  }
  /// A list.
  public var settingNode: SettingNode { SettingNode(.list(map(\.settingNode))) }
}

extension Optional: SettingValue where Wrapped: SettingValue {
  /// What the wrapped type expects, or nothing.
  public static var expected: String { "\(Wrapped.expected) or null" }
  /// The wrapped type's words.
  public static var choices: [String] { Wrapped.choices }
  /// From nothing, or what the wrapped type reads.
  public init?(_ node: SettingNode) {
    if node.isNothing {
      self = .none
    } else if let value = Wrapped(node) {
      self = .some(value)
    } else {
      return nil
    }
  }
  /// The value's node, or `null`.
  public var settingNode: SettingNode { self?.settingNode ?? SettingNode(.scalar("null", isQuoted: false)) }
}

extension [String: String] {
  /// Names by name from a group of scalars.
  public init?(_ node: SettingNode) {
    guard case .group(let entries) = node.content else { return nil }
    let pairs = entries.compactMap { entry in entry.node.text.map { (entry.key, $0) } }
    guard pairs.count == entries.count else { return nil }
    self.init(uniqueKeysWithValues: pairs)
  }
}

extension Dictionary: SettingValue where Key == String, Value == String {
  /// Names by name.
  public static var expected: String { "a mapping of names to names" }
  /// A group, keys in byte order.
  public var settingNode: SettingNode {
    SettingNode(
      .group(sorted { $0.key < $1.key }.map { SettingNode.Entry(key: $0.key, place: "", node: $0.value.settingNode) }))
  }
}

/// A height and a width in pixels, written `WIDTHxHEIGHT` or `[height, width]`.
public struct PixelSize: SettingValue, CustomStringConvertible {
  /// Rows.
  public var height: Int
  /// Columns.
  public var width: Int

  /// A height and a width.
  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  /// The longest side: products of two sides stay far from the end of the numbers.
  public static let longest = 1 << 16

  /// From `WIDTHxHEIGHT`, as on command lines; both are positive and at most `longest`.
  public init?(_ text: String) {
    let parts = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let width = parts[0], let height = parts[1] else { return nil }
    guard [width, height].allSatisfy((1...PixelSize.longest).contains) else { return nil }
    self.init(height: height, width: width)
  }

  /// How a size is written.
  public static var expected: String {
    "a size such as 1024x512 (width x height) or [512, 1024] (height, width), sides up to \(longest)"
  }

  /// From either form.
  public init?(_ node: SettingNode) {
    if let sides = [Int](node) {
      guard sides.count == 2, sides.allSatisfy((1...PixelSize.longest).contains) else { return nil }
      self.init(height: sides[0], width: sides[1])
    } else {
      guard let text = node.text, let size = PixelSize(text) else { return nil }
      self = size
    }
  }

  /// `WIDTHxHEIGHT`.
  public var description: String { "\(width)x\(height)" }
  /// `WIDTHxHEIGHT`.
  public var settingNode: SettingNode { SettingNode(.scalar(description, isQuoted: false)) }
}

extension Limit where Value == PixelSize {
  /// Both sides divisible by `divisor`.
  public static func multiple(of divisor: Int) -> Limit {
    Limit(", both sides multiples of \(divisor)") { $0.height % divisor == 0 && $0.width % divisor == 0 }
  }
}
