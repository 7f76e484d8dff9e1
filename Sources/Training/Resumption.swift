// May a run go on with this recipe? Changes that cannot alter weights pass with a line; others are refused unless the
// user named their keys.

import Support

extension RunDirectory {
  /// Opens a run's folder for a recipe. Called by rank 0 only.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - resume: whether a run in it is gone on with.
  ///   - recipe: the recipe.
  ///   - overrides: texts `key.path=value`; a changed key that is named here was meant.
  /// - Returns: the folder, held, and lines about harmless changes.
  /// - Throws: as `init`, and `Failure` 65 if the stored recipe differs in a key that alters weights.
  public static func take(
    _ path: String, resume: Bool, recipe: Recipe, overrides: [String]
  ) throws -> (directory: RunDirectory, notes: [String]) {
    let directory = try RunDirectory(path, resume: resume)
    guard resume, let stored = try directory.storedRecipe(.standard) else { return (directory, []) }
    let changes = Recipe.compare(stored, recipe)
    let meant = Set(overrides.compactMap { $0.split(separator: "=").first.map(String.init) })
    if let change = changes.first(where: { $0.affectsWeights && !meant.contains($0.key) }) {
      throw Failure(
        .badData, "the recipe differs from the run's: \(change)", at: directory.layout.recipe,
        remedy: "go on with the run's own recipe, or say --set \(change.key)=\(change.new ?? "...") to mean it")
    }
    return (directory, changes.map { "changed since the run began: \($0)" })
  }
}
