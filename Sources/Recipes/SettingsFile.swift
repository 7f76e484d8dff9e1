// Files of settings that are no recipes, such as studies: one group of settings, read and written as recipes are.

import Foundation
import Support

/// A file of settings: a group, where each setting stood, and what the file is called.
public struct SettingsFile<Group: SettingGroup>: Sendable {
  /// The settings, defaults filled in.
  public let group: Group
  /// The file.
  public let path: String
  private let places: [String: String]

  /// Reads a file.
  /// - Parameters:
  ///   - path: the file.
  ///   - name: what complaints call it, such as "study".
  /// - Throws: `Failure` 66 if there is no such file, 65 for anything wrong in it: an unknown key, a value that is not
  ///   allowed, with its line.
  public init(_ path: String, called name: String) throws {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    try self.init(yaml: try settingsText(at: path, called: name), path: path, folder: folder, called: name)
  }

  /// Reads a text.
  /// - Parameters:
  ///   - yaml: the text.
  ///   - path: where it comes from, for failures.
  ///   - folder: where relative paths in it start from.
  ///   - name: what the settings are, for failures.
  /// - Throws: as above.
  public init(yaml: String, path: String, folder: String, called name: String) throws {
    let tree = try SettingNode(yaml: yaml, folder: folder) { line in line.map { "\(path):\($0)" } ?? path }
    guard case .group = tree.content else {
      throw Failure(.badData, "a \(name) is a mapping of keys to values", at: path)
    }
    var group = Group()
    let known = SettingsText(group).lines.map(\.key)
    var reader = SettingReader(tree, place: path, known: known)
    try group.visit(&reader)
    try reader.refuseUnknownKeys()
    self.group = group
    self.path = path
    places = reader.places
  }

  /// What is wrong with a setting that its type allows.
  /// - Parameters:
  ///   - key: dotted, as `points[0].ranks`.
  ///   - what: the rest of the sentence.
  ///   - remedy: what to do about it.
  /// - Returns: a failure 65 at the line of the setting, or of the nearest group around it that was written.
  public func refusal(_ key: String, _ what: String, remedy: String? = nil) -> Failure {
    var name = key[...]
    while places[String(name)] == nil, let end = name.lastIndex(where: { ".[".contains($0) }) { name = name[..<end] }
    return Failure(.badData, "\(key) \(what)", at: places[String(name)] ?? path, remedy: remedy)
  }
}

/// A group of settings as text.
public struct SettingsText: Sendable {
  private let tree: SettingNode

  /// Every setting of the group, defaults included.
  public init(_ group: some SettingGroup) {
    var group = group
    var writer = SettingWriter()
    do { try group.visit(&writer) } catch { preconditionFailure("writing settings does not throw: \(error)") }
    tree = SettingNode(.group(writer.entries))
  }

  /// YAML that reads back as an equal group.
  public var yaml: String { tree.yaml }

  /// Dotted keys and values in order.
  public var lines: [(key: String, text: String)] { tree.flattened() }

  /// SHA-256 of the settings whose keys are chosen, in hexadecimal.
  public func digest(of isChosen: (String) -> Bool) -> String {
    let hash = SHA256()
    for (key, text) in lines where isChosen(key) { hash.update("\(key): \(text)\n") }
    return hash.hexadecimal()
  }
}
