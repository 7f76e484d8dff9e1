// How a public data set lies on the disk as it is downloaded. The sets themselves stand in PublicLayouts.swift.

import Foundation
import Imagery
import Support

/// A public data set: where its files lie below the folder that it was unpacked in, and what their numbers mean.
public struct PublicLayout: Sendable {
  /// A way in which the set lies on the disk. `{split}` is replaced by a split's folder, `{condition}` by a condition.
  struct Tree: Sendable {
    var images: String
    var labels: String
    var imageSuffix = ""
    var labelSuffix = ""
    var patterns: [String] = []
    var code = LabelCode.index
    /// From the ids in label files to train ids of a class set.
    var map: @Sendable (ClassSet) -> LabelIdMap

    /// Whether it tells splits apart.
    var hasSplits: Bool { ([images, labels] + patterns).contains { $0.contains("{split}") } }
  }

  /// Name, as a recipe's `kind`.
  public let name: String
  /// Ways in which it lies on the disk; the first that is there counts.
  let trees: [Tree]
  /// Folders of the splits by what recipes call them.
  var splits: [String: String] = [:]
  /// What a recipe may name as `condition`; the first is taken without one.
  var conditions: [String] = []
  /// Sets of classes that its labels can be read in.
  var classNames: [[String]] = [ClassSet.cityscapes19.names]

  /// The set as a folder data set.
  ///
  /// - Parameters:
  ///   - given: what the recipe says; `map` and `labelSuffix` replace the layout's own.
  ///   - classes: of the run.
  /// - Throws: a `Failure`: 65 for a split, condition or class set that the layout does not have, 66 if the files do not
  ///   lie below the root as they should.
  func specification(_ given: DatasetSpecification, _ classes: ClassSet) throws -> DatasetSpecification {
    guard given.map != nil || given.labels == nil || classNames.contains(classes.names) else {
      throw Failure(
        .badData, "labels of \(name) are not known in the classes of \(classes.name)", at: given.root,
        remedy: "choose classes cityscapes19, or a map to your own")
    }
    let condition = try word(given.condition, among: conditions, "condition", given.root) ?? conditions.first
    let split = try word(given.split, among: splits.keys.sorted(), "split", given.root) ?? given.usualSplit
    func filled(_ text: String) -> String {
      text.replacing("{split}", with: splits[split] ?? "").replacing("{condition}", with: condition ?? "")
    }
    let tree = try tree(given, filled)
    guard tree.hasSplits || given.split == nil else {
      throw Failure(
        .badData, "\(name) has no splits in \(filled(tree.images))", at: given.root,
        remedy: "leave split out; choose images by only or list")
    }
    var made = given
    made.kind = "folder"
    made.images = "\(given.root)/\(filled(tree.images))"
    made.labels = given.labels.map { _ in "\(given.root)/\(filled(tree.labels))" }
    made.imageSuffix = tree.imageSuffix
    if made.labelSuffix.isEmpty { made.labelSuffix = tree.labelSuffix }
    if !tree.patterns.isEmpty { made.selection.groups.append(tree.patterns.map(filled)) }
    if given.map == nil { made.map = tree.map(classes) }
    if given.code == .index { made.code = tree.code }
    return made
  }

  /// The way in which the set lies here.
  private func tree(_ given: DatasetSpecification, _ filled: (String) -> String) throws -> Tree {
    func place(_ folder: String) -> String { "\(given.root)/\(filled(folder))" }
    func isFolder(_ path: String) -> Bool {
      var found: ObjCBool = false
      return FileManager.default.fileExists(atPath: path, isDirectory: &found) && found.boolValue
    }
    let here = trees.first { isFolder(place($0.images)) && (given.labels == nil || isFolder(place($0.labels))) }
    if let here { return here }
    let wanted = trees.map { given.labels == nil ? place($0.images) : "\(place($0.images)) and \(place($0.labels))" }
    throw Failure(
      .missingInput,
      "\(name) does not lie here: no folder\(wanted.count > 1 ? "s" : "") "
        + wanted.joined(separator: ", nor "), at: given.root,
      remedy: "give the folder that the downloaded files were unpacked in")
  }

  private func word(_ given: String?, among known: [String], _ key: String, _ root: String) throws -> String? {
    guard let given else { return nil }
    guard known.contains(given) else {
      let hint = nearestSpelling(to: given, among: known).map { "did you mean \($0)? " } ?? ""
      throw Failure(
        .badData, "\(name) has no \(key) \"\(given)\"", at: root,
        remedy: known.isEmpty ? "leave \(key) out" : "\(hint)known: \(known.joined(separator: ", "))")
    }
    return given
  }
}
