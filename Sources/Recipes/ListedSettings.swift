// The settings of a group as lines of a table: key, value, and what may be given instead.

import Support

/// A setting as documentation shows it.
public struct ListedSetting: Sendable, Equatable, Codable {
  /// Dotted key within the group.
  public let key: String
  /// The value, as a recipe would say it.
  public let value: String
  /// What may be given, such as "a number from 0 to 1".
  public let expected: String
}

extension SettingGroup {
  /// Every setting of the group with its present value, in the order of the documentation.
  public var listed: [ListedSetting] {
    var group = self
    var lister = SettingLister(prefix: "")
    do { try group.visit(&lister) } catch { preconditionFailure("listing settings does not throw: \(error)") }
    return lister.found
  }

  /// The group as a recipe may say it on one line, such as `{ratio: 0.7, block: 64}`.
  public var inlineText: String {
    var group = self
    var writer = SettingWriter()
    do { try group.visit(&writer) } catch { preconditionFailure("writing settings does not throw: \(error)") }
    return SettingNode(.group(writer.entries)).inline
  }
}

/// Collects settings with their limits.
private struct SettingLister: SettingVisitor {
  let prefix: String
  private(set) var found: [ListedSetting] = []

  mutating func value<Value: SettingValue>(_ key: String, _ value: inout Value, _ limit: Limit<Value>) throws {
    add(key, value.settingNode, Value.expected + limit.words)
  }

  mutating func path(_ key: String, _ value: inout String?) throws { add(key, value.settingNode, "a path") }

  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group) throws {
    var lister = SettingLister(prefix: prefix + key + ".")
    try group.visit(&lister)
    found += lister.found
  }

  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group?, defaults: Group) throws {
    var shown = group ?? defaults
    try self.group(key, &shown)
  }

  mutating func groups<Group: SettingGroup>(_ key: String, _ groups: inout [Group]) throws {
    for index in groups.indices { try group("\(key)[\(index)]", &groups[index]) }
  }

  private mutating func add(_ key: String, _ node: SettingNode, _ expected: String) {
    found.append(ListedSetting(key: prefix + key, value: node.inline, expected: expected))
  }
}
