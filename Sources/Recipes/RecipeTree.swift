// From YAML text to a tree of settings with places, and back. `--set` changes are put into the tree, so that they are
// checked like the file.

import Foundation
import Support
import Yams

extension SettingNode {
  /// The one document of a YAML text.
  /// - Parameter place: the place of a line; nil lines stand for the whole text.
  /// - Throws: `Failure` 65 for a syntax error or a repeated key, with the line; also for no or several documents, and
  ///   for one beyond `YAMLLimits`.
  init(yaml: String, folder: String, place: (Int?) -> String) throws {
    try YAMLLimits.check(yaml, place: place(nil))
    var documents: [Yams.Node] = []
    do {
      documents = try SettingNode.documents(of: yaml)
    } catch let error as YamlError {
      let (line, problem) = error.lineAndProblem(in: yaml)
      throw Failure(.badData, problem, at: place(line))
    }
    guard let document = documents.first else {
      throw Failure(.badData, "it is empty", at: place(nil), remedy: "docs/recipes.md lists the keys")
    }
    guard documents.count == 1 else {
      throw Failure(.badData, "it holds \(documents.count) YAML documents; expected one", at: place(nil))
    }
    var budget = YAMLBudget()
    self = try SettingNode(document, folder: folder, place: place, &budget)
  }

  private static func documents(of yaml: String) throws -> [Yams.Node] {
    let parser = try Parser(yaml: yaml)
    var documents: [Yams.Node] = []
    while let document = try parser.nextRoot() { documents.append(document) }
    return documents
  }

  private init(
    _ node: Yams.Node, folder: String, place: (Int?) -> String, _ budget: inout YAMLBudget
  ) throws {
    let here = place(node.mark?.line)
    self = try budget.spend(at: here) {
      try SettingNode(node, here, folder: folder, place: place, &$0)
    }
  }

  private init(
    _ node: Yams.Node, _ here: String, folder: String, place: (Int?) -> String, _ budget: inout YAMLBudget
  ) throws {
    switch node {
    case .scalar(let scalar):
      self.init(.scalar(scalar.string, isQuoted: scalar.style != .plain), place: here, folder: folder)
    case .sequence(let sequence):
      let list = try sequence.map { try SettingNode($0, folder: folder, place: place, &budget) }
      self.init(.list(list), place: here, folder: folder)
    case .mapping(let mapping):
      let entries = try mapping.map { key, value in
        guard let name = key.scalar?.string else {
          throw Failure(.badData, "a key is not a plain word", at: place(key.mark?.line))
        }
        return Entry(
          key: name, place: place(key.mark?.line),
          node: try SettingNode(value, folder: folder, place: place, &budget))
      }
      self.init(.group(entries), place: here, folder: folder)
    case .alias:
      throw Failure(.badData, "an alias refers to nothing", at: here)
    }
  }

  /// The tree as YAML, keys in order, lists in one line each.
  var yaml: String {
    guard let text = try? Yams.serialize(node: yamsNode, width: -1) else {
      preconditionFailure("a tree of settings could not be written as YAML")
    }
    return text
  }

  private var isGroup: Bool { if case .group = content { true } else { false } }

  private var yamsNode: Yams.Node {
    switch content {
    case .scalar(let text, let isQuoted):
      Yams.Node(text, .implicit, isQuoted ? .doubleQuoted : .plain)
    case .list(let list):
      Yams.Node(list.map(\.yamsNode), .implicit, list.contains(where: \.isGroup) ? .block : .flow)
    case .group(let entries):
      Yams.Node(
        entries.map { ($0.key.settingNode.yamsNode, $0.node.yamsNode) },
        .implicit, entries.isEmpty ? .flow : .block)
    }
  }

  /// Puts `value` under the dotted `keys`, making groups on the way.
  mutating func set(_ keys: ArraySlice<String>, to value: SettingNode) {
    guard let key = keys.first else {
      self = value
      return
    }
    var entries: [Entry] = []
    if case .group(let present) = content { entries = present }
    let index = entries.firstIndex { $0.key == key }
    var child = index.map { entries[$0].node } ?? SettingNode(.group([]), place: value.place, folder: value.folder)
    child.set(keys.dropFirst(), to: value)
    let entry = Entry(
      key: key, place: keys.count == 1 ? value.place : index.map { entries[$0].place } ?? value.place, node: child)
    if let index { entries[index] = entry } else { entries.append(entry) }
    self = SettingNode(.group(entries), place: place, folder: folder)
  }

  /// Every scalar and list of the tree under its dotted key.
  func flattened(_ prefix: String = "") -> [(key: String, text: String)] {
    if case .list(let list) = content, list.contains(where: \.isGroup) {
      return list.enumerated().flatMap { $1.flattened("\(prefix)[\($0)]") }
    }
    guard case .group(let entries) = content, !entries.isEmpty else { return [(prefix, inline)] }
    return entries.flatMap { $0.node.flattened(prefix.isEmpty ? $0.key : prefix + "." + $0.key) }
  }

  /// The value on one line.
  var inline: String {
    switch content {
    case .scalar(let text, _): text
    case .list(let list): "[" + list.map(\.inline).joined(separator: ", ") + "]"
    case .group(let entries): "{" + entries.map { "\($0.key): \($0.node.inline)" }.joined(separator: ", ") + "}"
    }
  }
}

extension YamlError {
  /// The line, if known, and one phrase.
  fileprivate func lineAndProblem(in yaml: String) -> (Int?, String) {
    switch self {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      return (mark.line, "not valid YAML: " + (context.map { $0.text + ", " } ?? "") + problem)
    case .reader(let problem, let offset, _, _):
      let line = offset.map { yaml.prefix($0).filter(\.isNewline).count + 1 }
      return (line, "not valid YAML: " + problem)
    case .duplicatedKeysInMapping(let keys, let context):
      return (context.mark.line, "key \(keys.joined(separator: ", ")) is given twice")
    default:
      return (nil, "not valid YAML: \(self)")
    }
  }
}
