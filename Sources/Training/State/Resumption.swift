// May a run go on with this recipe and these data? Changes that cannot alter weights pass with a line; others are refused unless the
// user named their keys, and then what the former recipe made is put aside.

import Foundation
import Recipes
import Storage
import Support

extension RunDirectory {
  /// Opens a run's folder for a recipe. Called by rank 0 only.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - resume: whether a run in it is gone on with.
  ///   - recipe: the recipe.
  ///   - overrides: texts `key.path=value`; a changed key that is named here was meant.
  ///   - data: the data sets as they are now.
  ///   - checkpoint: the run's newest checkpoint; nil if there is none.
  /// - Returns: the folder, held, what the data of the run were, and lines about harmless and meant changes
  ///   and the file system.
  /// - Throws: as `init`, and `Failure` 65 if the stored recipe differs in a key that alters weights, or the data are
  ///   others than the checkpoint's. Another place of the same data is none of these.
  public static func take(
    _ path: String, resume: Bool, recipe: Recipe, overrides: [String], data: DataIdentities,
    checkpoint: RunDescription? = nil
  ) throws -> (directory: RunDirectory, former: DataComparison, notes: [String]) {
    let directory = try RunDirectory(path, resume: resume)
    let meant = Set(overrides.compactMap { $0.split(separator: "=").first.map(String.init) })
    let former = DataComparison(checkpoint, directory.storedData, meant: meant)
    let changes = resume ? try directory.storedRecipe(.standard).map { Recipe.compare($0, recipe) } ?? [] : []
    let matters = { (change: Recipe.Difference) in
      change.affectsWeights || change.isPlaceOfData && former.isImpossible
    }
    if let change = changes.first(where: { matters($0) && !meant.contains($0.key) }) {
      throw Failure(
        .badData, "the recipe differs from the run's: \(change)", at: directory.layout.recipe,
        remedy: "go on with the run's own recipe, or say --set \(change.key)=\(change.new ?? "...") to mean it")
    }
    let notes = changes.map { change in
      let isMoved = change.placedData.map { former.isSame($0, data) } ?? false
      return "changed since the run began: \(change)\(isMoved ? " (the same files)" : "")"
    }
    return (directory, former, [directory.warning].compactMap { $0 } + notes + (try former.notes(data, recipe)))
  }

  /// Keeps recipe, data and pseudo-labels that the run had until a step under other names, and writes what it has from
  /// there on. Called by rank 0 only, when a checkpoint of the new recipe or data is about to be made: a session that
  /// ends before one leaves everything as it was.
  /// - Throws: `Failure` 74 that names the file.
  public func goOn(with recipe: Recipe, _ data: DataIdentities, after step: Int) throws {
    for path in [layout.pseudoLabels, layout.recipe, layout.data] { try putAside(path, until: step) }
    try write(recipe.resolvedYAML, to: layout.recipe)
    try write(data)
  }

  private func putAside(_ path: String, until step: Int) throws {
    let files = FileManager.default
    guard files.fileExists(atPath: path) else { return }
    let plain = URL(fileURLWithPath: layout.former(path, until: step))
    let names =
      [plain.path]
      + (2...999).map { number in
        let name = "\(plain.deletingPathExtension().path)-\(number)"
        return plain.pathExtension.isEmpty ? name : "\(name).\(plain.pathExtension)"
      }
    do {
      try files.moveItem(atPath: path, toPath: names.first { !files.fileExists(atPath: $0) } ?? plain.path)
    } catch {
      throw Failure(.inputOutput, "it cannot be renamed: \(error.localizedDescription)", at: path)
    }
  }
}

extension Recipe {
  /// Whether a checkpoint was made by a recipe, or with data, that may give other weights than this one.
  /// - Parameters:
  ///   - run: what the checkpoint tells of the run.
  ///   - data: digests of the data now, as a checkpoint keeps them.
  ///   - file: the checkpoint, for messages.
  /// - Throws: `Failure` 65 if the checkpoint's recipe cannot be understood.
  func differsInWeights(from run: RunDescription, data: [String: String], in file: String) throws -> Bool {
    let stored = try Recipe(yaml: run.recipe, file: "\(file): stored recipe", folder: "", catalogue: .standard)
    let keys = [
      DataIdentities.key("source"), DataIdentities.key("target"), DataIdentities.key("labels"),
      DataIdentities.countsKey,
    ]
    // Data that are not known otherwise are known by their places.
    guard DataIdentities.areTold(in: run.digests) else {
      return stored.formerWeightFingerprint != formerWeightFingerprint
    }
    let isOther = keys.contains { key in run.digests[key].map { $0 != data[key] ?? $0 } ?? false }
    return isOther || stored.weightFingerprint != weightFingerprint
  }
}
