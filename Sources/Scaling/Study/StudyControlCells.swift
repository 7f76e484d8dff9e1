// The works that points name, and the cells of controls.

import Recipes
import Support
import Training

/// Finds out what points of a study run; every recipe is read once.
struct StudyWorks {
  private let file: SettingsFile<Study>
  /// Recipes by name, as their files say them.
  private(set) var recipes: [String: Recipe] = [:]
  private var paths: [String: String] = [:]

  init(_ file: SettingsFile<Study>) { self.file = file }

  /// What a point runs.
  /// - Throws: `Failure` 65 at the line of the point, 66 for a recipe that is not there.
  mutating func work(of point: StudyPoint, _ key: String) throws -> CellWork {
    let work = file.group.work
    guard point.benchmark == nil || point.recipe == nil else {
      throw file.refusal(key, "names a case and a recipe", remedy: "name one of them")
    }
    let data = point.data ?? (point.benchmark == nil ? work.data : .synthetic)
    let steps = point.steps ?? work.steps
    let isNamed = point.benchmark != nil || point.recipe != nil || point.steps != nil
    guard let path = point.recipe ?? (point.benchmark == nil ? work.recipe : nil) else {
      guard data == .synthetic else {
        throw file.refusal(
          "\(key).data", "is loader, but a benchmark case has no data to load", remedy: "name a recipe")
      }
      return CellWork(name: point.benchmark ?? work.benchmark, steps: steps, isNamed: isNamed)
    }
    let recipe = try Recipe.read(path, catalogue: .standard)
    if let other = paths[recipe.name], other != path {
      throw file.refusal(
        "\(key).recipe", "is another recipe of the name \(recipe.name) than \(other)",
        remedy: "give one of them another name")
    }
    (paths[recipe.name], recipes[recipe.name]) = (path, recipe)
    return CellWork(
      name: recipe.name, recipe: path, recipeDigest: recipe.studyDigest,
      isReproducible: recipe.reduction == .reproducible, data: data, steps: steps, isNamed: isNamed)
  }
}

extension Recipe {
  /// Digest of what the recipe says, wherever its data lie.
  var studyDigest: String { withoutPlaces.fingerprint }
}

extension StudyPlan {
  /// Repetitions of the control of links, the first one left out.
  static let linkRepeats = 8

  /// The cells of controls.
  static func controls(
    of cells: [StudyCell], _ work: CellWork, _ study: Study, _ place: StudyPlace
  ) -> [StudyCell] {
    var controls = study.controls.copies ? copies(of: cells, study, place) : []
    var other = work
    other.isNamed = false
    if study.controls.links {
      other.steps = linkRepeats
      let ranks = Set(cells.filter { $0.nature == .measured && $0.ranks > 1 }.map(\.ranks)).sorted()
      controls += ranks.map { StudyCell(.links, ranks: $0, globalBatch: 1, of: other) }
    }
    if study.controls.storage {
      other.steps = 1
      var cell = StudyCell(.storage, ranks: 1, globalBatch: 1, of: other)
      cell.nature = place.nature(ranks: 1, threads: 1, perNode: nil)
      controls.append(cell)
    }
    return controls
  }

  /// Copies of one rank's work, as many as ranks share a host in measured cells.
  private static func copies(of cells: [StudyCell], _ study: Study, _ place: StudyPlace) -> [StudyCell] {
    let measured = cells.filter { $0.nature == .measured && $0.kind == .weak && $0.cropShards == 1 }
    let most = study.launch.ranksPerNode ?? place.cores
    var copies: [StudyCell] = []
    for cell in measured where cell.ranks > 1 && cell.ranks <= most {
      let copy = StudyCell(
        .copies, ranks: cell.ranks, globalBatch: cell.globalBatch / cell.ranks, threads: cell.threads,
        accumulate: cell.accumulate, batchRule: cell.batchRule, of: cell.work)
      if !copies.contains(where: { $0.name == copy.name }) { copies.append(copy) }
    }
    return copies
  }
}
