// How a recipe names classes, and how label files spell them.

import Support

/// The classes that are told apart: a built-in set, or names and colours.
public enum ClassesSetting: SettingValue {
  /// A built-in set.
  case named(String)
  /// Names in the order of train ids, and a colour of red, green and blue for each.
  case listed(names: [String], palette: [[Int]])

  /// A name or the lists.
  public static var expected: String {
    "the name of a class set, or a mapping of names (a list) and palette (a list of as many [red, green, blue] from 0 to 255)"
  }

  /// From a name, or from `names` and `palette`.
  public init?(_ node: SettingNode) {
    if let name = node.text {
      self = .named(name)
      return
    }
    guard case .group(let entries) = node.content, entries.map(\.key).sorted() == ["names", "palette"],
      let names = entries.first(where: { $0.key == "names" }).flatMap({ [String]($0.node) }),
      let palette = entries.first(where: { $0.key == "palette" }).flatMap({ [[Int]]($0.node) }),
      !names.isEmpty, names.count < 255, Set(names).count == names.count, palette.count == names.count,
      palette.allSatisfy({ $0.count == 3 && $0.allSatisfy((0...255).contains) })
    else { return nil }
    self = .listed(names: names, palette: palette)
  }

  /// The name, or a group of both lists.
  public var settingNode: SettingNode {
    switch self {
    case .named(let name): name.settingNode
    case .listed(let names, let palette):
      SettingNode(
        .group([
          SettingNode.Entry(key: "names", place: "", node: names.settingNode),
          SettingNode.Entry(key: "palette", place: "", node: palette.settingNode),
        ]))
    }
  }
}

/// How pixels of label files say their id.
public enum LabelCodeSetting: String, SettingChoice {
  /// Raw values of grey or palettised files.
  case index
  /// The first channel, of 8 or 16 bits.
  case firstChannel = "first-channel"
  /// Colours.
  case palette
}

/// From the ids in labels to train ids.
public enum LabelMapSetting: SettingValue {
  /// Labels hold train ids; 255 is ignored.
  case identity
  /// A built-in map.
  case named(String)
  /// Train id by id; ids that are not listed become `other`, or are refused where it is nil.
  case table([UInt8: UInt8], other: UInt8? = nil)

  /// A name or a table.
  public static var expected: String {
    "identity, the name of a label map, or a mapping of ids (and other) to train ids, both from 0 to 255"
  }

  /// From a name or a group.
  public init?(_ node: SettingNode) {
    if let name = node.text {
      self = name == "identity" ? .identity : .named(name)
      return
    }
    guard case .group(let entries) = node.content else { return nil }
    var table: [UInt8: UInt8] = [:]
    var other: UInt8?
    for entry in entries {
      guard let text = entry.node.text, let trainID = UInt8(text) else { return nil }
      if entry.key == "other" {
        other = trainID
      } else {
        guard let id = UInt8(entry.key) else { return nil }
        table[id] = trainID
      }
    }
    self = .table(table, other: other)
  }

  /// The name, or a group in the order of ids.
  public var settingNode: SettingNode {
    switch self {
    case .identity: "identity".settingNode
    case .named(let name): name.settingNode
    case .table(let table, let other):
      SettingNode(
        .group(
          (table.sorted { $0.key < $1.key }.map { (String($0.key), $0.value) } + (other.map { [("other", $0)] } ?? []))
            .map { SettingNode.Entry(key: $0.0, place: "", node: Int($0.1).settingNode) }))
    }
  }
}
