// A class set as a YAML file: names, colours, the ids in label files, and what predicted classes count as.
// docs/recipes.md describes the keys.

import Domains
import Foundation
import Support

/// The settings of a class set file, as they are written.
private struct ClassSetFile: SettingGroup {
  /// Name of the set; the file's stem if not given.
  var name = ""
  /// Class names by train id; required.
  var names: [String] = []
  /// Red, green and blue of each class; colours are made up without them.
  var palette: [[Int]] = []
  /// From the ids in label files to train ids.
  var ids = LabelMapSetting.identity
  /// Predicted classes that count as another one, by name or train id.
  var merges: [String: String] = [:]

  mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("name", &name)
    try settings.value("names", &names, Limit(", 1 to 255 of them") { (1...255).contains($0.count) })
    try settings.value(
      "palette", &palette,
      Limit(", each of 3 numbers from 0 to 255") { colours in
        colours.allSatisfy { $0.count == 3 && $0.allSatisfy((0...255).contains) }
      })
    try settings.value("ids", &ids)
    try settings.value("merges", &merges)
  }
}

extension ClassSet {
  /// The class set that a command line names: a built-in set, else a YAML file.
  /// - Throws: `Failure` 65 with the nearest spelling if it is neither, 66 if there is no such YAML file; as
  ///   `init(contentsOf:)`.
  public static func chosen(_ choice: String) throws -> ClassSet {
    if let set = builtIn.first(where: { $0.name == choice }) { return set }
    let isFile = ["yaml", "yml"].contains(NSString(string: choice).pathExtension.lowercased())
    guard isFile || FileManager.default.fileExists(atPath: choice) else { return try named(choice) }
    return try ClassSet(contentsOf: choice)
  }

  /// Reads a class set file.
  /// - Throws: `Failure` 66 if there is no such file, 65 for anything wrong in it, with file, line and key.
  public init(contentsOf path: String) throws {
    let yaml = try settingsText(at: path, called: "class set")
    let tree = try SettingNode(yaml: yaml, folder: "") { line in line.map { "\(path):\($0)" } ?? path }
    guard case .group = tree.content else {
      throw Failure(
        .badData, "a class set is a mapping of keys to values", at: path, remedy: "docs/recipes.md lists them")
    }
    var file = ClassSetFile()
    var reader = SettingReader(tree, place: path, known: [])
    try file.visit(&reader)
    try reader.refuseUnknownKeys()
    if file.name.isEmpty { file.name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent }
    let check = RecipeCheck(file: path, places: reader.places)
    let ids = try file.checkedIds(check)
    let merges = try file.checkedMerges(check)
    try self.init(
      name: file.name, names: file.names,
      colours: file.palette.map { SIMD3(UInt8($0[0]), UInt8($0[1]), UInt8($0[2])) }, ids: ids, merges: merges)
  }
}

extension ClassSetFile {
  /// The label map, after the lists have been compared.
  fileprivate func checkedIds(_ check: RecipeCheck) throws -> LabelIdMap {
    let count = names.count
    try check.require(count > 0, "names", "is missing", remedy: "list the class names in the order of train ids")
    let twice = Dictionary(grouping: names) { $0 }.filter { $0.value.count > 1 }.keys.min()
    try check.require(twice == nil, "names", "lists \(twice ?? "") twice", remedy: "give every class its own name")
    try check.require(
      palette.isEmpty || palette.count == count, "palette", "has \(palette.count) colours for \(count) classes",
      remedy: "give one colour for each class")
    if case .named(let name) = ids { try check.require(name, in: ["identity"] + LabelIdMap.names, "ids") }
    let map = try ids.labelIdMap(classCount: count)
    let largest = map.largestTrainId ?? 0
    try check.require(
      largest < count, "ids", "maps to train id \(largest), but there are \(count) classes",
      remedy: "map to 0 to \(count - 1), or to 255 for ignored pixels")
    return map
  }

  /// Merges by train id.
  fileprivate func checkedMerges(_ check: RecipeCheck) throws -> [Int: Int] {
    var table: [Int: Int] = [:]
    for (predicted, counted) in merges { table[try index(predicted, check)] = try index(counted, check) }
    return table
  }

  private func index(_ word: String, _ check: RecipeCheck) throws -> Int {
    if let index = names.firstIndex(of: word) ?? Int(word), names.indices.contains(index) { return index }
    let near = nearestSpelling(to: word, among: names).map { "did you mean \($0)?" }
    try check.require(
      false, "merges", "names the class \(word), which is not in the list",
      remedy: near ?? "use a class name or a train id from 0 to \(names.count - 1)")
    preconditionFailure("a check that cannot hold has passed")
  }
}
