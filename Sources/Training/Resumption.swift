// May a run go on with this recipe? Changes that cannot alter weights pass with a line; others are refused unless the
// user named their keys, and then what the former recipe made is put aside.

import Foundation
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
  /// - Returns: the folder, held, and lines about harmless changes and the file system.
  /// - Throws: as `init`, and `Failure` 65 if the stored recipe differs in a key that alters weights.
  public static func take(
    _ path: String, resume: Bool, recipe: Recipe, overrides: [String]
  ) throws -> (directory: RunDirectory, notes: [String]) {
    let directory = try RunDirectory(path, resume: resume)
    let warnings = [directory.warning].compactMap { $0 }
    guard resume, let stored = try directory.storedRecipe(.standard) else { return (directory, warnings) }
    let changes = Recipe.compare(stored, recipe)
    let meant = Set(overrides.compactMap { $0.split(separator: "=").first.map(String.init) })
    if let change = changes.first(where: { $0.affectsWeights && !meant.contains($0.key) }) {
      throw Failure(
        .badData, "the recipe differs from the run's: \(change)", at: directory.layout.recipe,
        remedy: "go on with the run's own recipe, or say --set \(change.key)=\(change.new ?? "...") to mean it")
    }
    return (directory, warnings + changes.map { "changed since the run began: \($0)" })
  }

  /// Keeps recipe and pseudo-labels that the run had until a step under other names, and writes the recipe it has from
  /// there on. Called by rank 0 only, when a checkpoint of the new recipe is about to be made: a session that ends
  /// before one leaves everything as it was.
  /// - Throws: `Failure` 74 that names the file.
  public func goOn(with recipe: Recipe, after step: Int) throws {
    for path in [layout.pseudoLabels, layout.recipe] { try putAside(path, until: step) }
    try write(recipe.resolvedYAML, to: layout.recipe)
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
  /// Whether a checkpoint was made by a recipe that may give other weights than this one.
  /// - Throws: `Failure` 65 if the checkpoint's recipe cannot be understood.
  func differsInWeights(from run: RunDescription, in file: String) throws -> Bool {
    let stored = try Recipe(yaml: run.recipe, file: "\(file): stored recipe", folder: "", catalogue: .standard)
    return stored.weightFingerprint != weightFingerprint
  }
}
