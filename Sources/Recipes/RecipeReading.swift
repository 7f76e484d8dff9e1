// Reading a recipe: file, then APUS_THREADS, then --set, then the checks. Every complaint names file and line (or the
// --set), the key, what was expected and the nearest valid spelling.

import Foundation
import Support

extension Recipe {
  /// Reads a recipe file.
  /// - Parameters:
  ///   - path: the file.
  ///   - overrides: texts `key.path=value`, the later ones last; relative paths in them start from the current folder.
  ///   - environment: where `APUS_THREADS` is looked up.
  ///   - catalogue: names that recipes may use.
  /// - Throws: `Failure` 66 if there is no such file, 65 for anything wrong in it, 64 for an override without `=`.
  public static func read(
    _ path: String, overrides: [String] = [], environment: [String: String] = ProcessInfo.processInfo.environment,
    catalogue: RecipeCatalogue
  ) throws -> Recipe {
    let url = URL(fileURLWithPath: path)
    let yaml = try settingsText(at: path, called: "recipe")
    var (recipe, check) = try parsed(
      yaml, path, folder: url.deletingLastPathComponent().path, overrides, environment, catalogue)
    if recipe.name.isEmpty { recipe.name = url.deletingPathExtension().lastPathComponent }
    // Only here: a checkpoint's recipe names no folder that is written to.
    let fault = faultOfFileName(recipe.name)
    try check.require(
      fault == nil, "name", "is \(recipe.name.debugDescription), which \(fault ?? "")",
      remedy: "it is the name of one folder, such as my-run; --run-directory takes any path")
    return recipe
  }

  /// Reads a recipe's text.
  /// - Parameters:
  ///   - yaml: the text.
  ///   - file: what complaints call the text.
  ///   - folder: where relative paths in it start from.
  ///   - overrides: texts `key.path=value`, the later ones last.
  ///   - environment: where `APUS_THREADS` is looked up.
  ///   - catalogue: names that recipes may use.
  /// - Throws: as `read`.
  public init(
    yaml: String, file: String, folder: String, overrides: [String] = [], environment: [String: String] = [:],
    catalogue: RecipeCatalogue
  ) throws {
    self = try Recipe.parsed(yaml, file, folder: folder, overrides, environment, catalogue).recipe
  }

  private static func parsed(
    _ yaml: String, _ file: String, folder: String, _ overrides: [String], _ environment: [String: String],
    _ catalogue: RecipeCatalogue
  ) throws -> (recipe: Recipe, check: RecipeCheck) {
    var tree = try settings(yaml, file, folder: folder)
    try tree.prepare(overrides, environment)
    return try read(tree, file, catalogue)
  }

  /// The settings of a recipe's text as a tree.
  /// - Throws: `Failure` 65 for text that is no mapping.
  static func settings(_ yaml: String, _ file: String, folder: String) throws -> SettingNode {
    let tree = try SettingNode(yaml: yaml, folder: folder) { line in line.map { "\(file):\($0)" } ?? file }
    guard case .group = tree.content else {
      throw Failure(.badData, "a recipe is a mapping of keys to values", at: file, remedy: "docs/recipes.md lists them")
    }
    return tree
  }

  /// The recipe of a tree, checked.
  /// - Throws: `Failure` 65 for anything wrong in it.
  static func checked(_ tree: SettingNode, _ file: String, _ catalogue: RecipeCatalogue) throws -> Recipe {
    try read(tree, file, catalogue).recipe
  }

  private static func read(
    _ tree: SettingNode, _ file: String, _ catalogue: RecipeCatalogue
  ) throws -> (recipe: Recipe, check: RecipeCheck) {
    if let stages = tree.value("stages") {
      throw Failure(
        .badData, "a recipe with stages, which is several recipes", at: stages.place,
        remedy: "apus train takes it; elsewhere name recipe.yaml in the folder of a stage")
    }
    var recipe = Recipe()
    var reader = SettingReader(tree, place: file, known: Recipe.allKeys)
    try recipe.visit(&reader, catalogue)
    try reader.refuseUnknownKeys()
    let check = RecipeCheck(file: file, places: reader.places)
    try recipe.check(check, catalogue)
    return (recipe, check)
  }

  /// Every dotted key a recipe may have, those of optional data sets included, but for those of methods
  /// (`methodOptions`, `objectives`).
  public static var allKeys: [String] {
    var recipe = Recipe()
    recipe.data.source = DataSet()
    recipe.data.target = DataSet()
    recipe.data.validation = DataSet()
    recipe.data.fewShot = FewShot()
    return recipe.tree.flattened().map(\.key)
  }
}

/// The text of a file of settings.
/// - Parameter name: what complaints call the file.
/// - Throws: `Failure` 66 if there is no such file, 74 if it cannot be read, 65 if it is not text.
package func settingsText(at path: String, called name: String) throws -> String {
  guard let bytes = FileManager.default.contents(atPath: path) else {
    let isThere = FileManager.default.fileExists(atPath: path)
    throw Failure(
      isThere ? .inputOutput : .missingInput, isThere ? "the \(name) cannot be read" : "there is no such \(name)",
      at: path)
  }
  guard let text = String(data: bytes, encoding: .utf8) else {
    throw Failure(.badData, "it is not UTF-8 text", at: path)
  }
  return text
}

extension SettingNode {
  /// Puts `APUS_THREADS` and the overrides into a recipe's tree.
  mutating func prepare(_ overrides: [String], _ environment: [String: String]) throws {
    if let threads = environment["APUS_THREADS"], !threads.isEmpty {
      set(["threads"], to: SettingNode(.scalar(threads, isQuoted: false), place: "APUS_THREADS"))
    }
    for override in overrides { try apply(override) }
  }

  /// Puts a `key.path=value` into the tree.
  mutating func apply(_ override: String) throws {
    guard let equals = override.firstIndex(of: "="), equals > override.startIndex else {
      throw Failure(.usage, "expected key.path=value", at: "--set \(override)")
    }
    let key = String(override[..<equals])
    let place = "--set \(key)"
    let text = String(override[override.index(after: equals)...])
    let folder = FileManager.default.currentDirectoryPath
    let isBlank = text.allSatisfy(\.isWhitespace)
    let value =
      try isBlank
      ? SettingNode(.scalar("", isQuoted: false), place: place, folder: folder)
      : SettingNode(yaml: text, folder: folder) { _ in place }
    set(key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)[...], to: value)
  }
}

/// Fills settings from a tree and remembers where each one stood.
struct SettingReader: SettingVisitor {
  private let entries: [SettingNode.Entry]
  private let place: String
  private let prefix: String
  private let known: [String]
  private var keys: [String] = []
  /// Where each setting stood that was given, by dotted key.
  private(set) var places: [String: String] = [:]

  /// Reads the entries of a group.
  /// - Parameter known: all dotted keys of the file, to find a key that was put in the wrong group.
  init(_ node: SettingNode?, place: String, prefix: String = "", known: [String]) {
    if case .group(let entries)? = node?.content { self.entries = entries } else { entries = [] }
    self.place = place
    self.prefix = prefix
    self.known = known
  }

  mutating func value<Value: SettingValue>(_ key: String, _ value: inout Value, _ limit: Limit<Value>) throws {
    guard let entry = take(key) else { return }
    guard let found = Value(entry.node), limit.allows(found) else {
      throw refusal(of: entry, Value.expected + limit.words, candidates: Value.choices + limit.candidates)
    }
    value = found
  }

  mutating func path(_ key: String, _ value: inout String?) throws {
    guard let entry = take(key) else { return }
    guard !entry.node.isNothing else {
      value = nil
      return
    }
    guard let text = entry.node.text else { throw refusal(of: entry, "a path", candidates: []) }
    let expanded = NSString(string: text).expandingTildeInPath
    value =
      URL(fileURLWithPath: expanded, relativeTo: URL(fileURLWithPath: entry.node.folder, isDirectory: true))
      .standardizedFileURL.path
  }

  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group) throws {
    guard let entry = take(key) else { return }
    try read(entry, into: &group)
  }

  private mutating func read<Group: SettingGroup>(_ entry: SettingNode.Entry, into group: inout Group) throws {
    var isGroup = false
    if case .group = entry.node.content { isGroup = true }
    var reader = SettingReader(entry.node, place: entry.place, prefix: dotted(entry.key), known: known)
    try group.visit(&reader)
    guard isGroup || entry.node.isNothing else {
      throw refusal(of: entry, "a mapping with keys such as \(reader.keys.joined(separator: ", "))", candidates: [])
    }
    try reader.refuseUnknownKeys()
    places.merge(reader.places) { _, new in new }
  }

  mutating func groups<Group: SettingGroup>(_ key: String, _ groups: inout [Group]) throws {
    guard let entry = take(key) else { return }
    guard case .list(let nodes) = entry.node.content else {
      throw refusal(of: entry, "a list of mappings", candidates: [])
    }
    groups = try nodes.enumerated().map { index, node in
      var group = Group()
      let element = SettingNode.Entry(key: "\(key)[\(index)]", place: node.place, node: node)
      places[dotted(element.key)] = element.place
      try read(element, into: &group)
      return group
    }
  }

  mutating func group<Group: SettingGroup>(_ key: String, _ group: inout Group?, defaults: Group) throws {
    guard let entry = entries.first(where: { $0.key == key }), !entry.node.isNothing else {
      keys.append(key)
      return
    }
    var given = defaults
    try self.group(key, &given)
    group = given
  }

  private mutating func take(_ key: String) -> SettingNode.Entry? {
    keys.append(key)
    guard let entry = entries.first(where: { $0.key == key }) else { return nil }
    places[dotted(key)] = entry.place
    return entry
  }

  private func dotted(_ key: String) -> String { prefix.isEmpty ? key : "\(prefix).\(key)" }

  private func refusal(of entry: SettingNode.Entry, _ expected: String, candidates: [String]) -> Failure {
    let given = entry.node.isNothing ? "empty" : entry.node.inline
    let near = nearestSpelling(to: given, among: candidates)
    return Failure(
      .badData, "\(dotted(entry.key)) is \(given); expected \(expected)", at: entry.place,
      remedy: near.map { "did you mean \($0)?" } ?? tooLarge(given))
  }

  /// What is said of a number that is whole and beyond every whole number of a recipe.
  private func tooLarge(_ given: String) -> String? {
    let isWhole = !given.isEmpty && given.allSatisfy(\.isNumber)
    guard isWhole, (Double(given) ?? 0) > Double(Int.largestSetting) else { return nil }
    return "whole numbers go up to \(Int.largestSetting)"
  }

  /// Throws if the group has a key that nothing asked for.
  func refuseUnknownKeys() throws {
    guard let entry = entries.first(where: { !keys.contains($0.key) }) else { return }
    let elsewhere = known.first { $0.hasSuffix("." + entry.key) || $0 == entry.key }
    let near = nearestSpelling(to: entry.key, among: keys).map(dotted) ?? elsewhere
    let remedy = near.map { "did you mean \($0)?" } ?? "keys here: \(keys.joined(separator: ", "))"
    throw Failure(
      .badData, "unknown key \(dotted(entry.key))", at: entry.place,
      remedy: keys.isEmpty ? "no keys are known here" : remedy)
  }
}
