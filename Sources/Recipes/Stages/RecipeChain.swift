// Recipes with stages: a chain of ordinary recipes, each with what former stages hand over.

import Foundation
import Support

/// A chain of runs. Every one is an ordinary run of an ordinary recipe, in a folder of its own.
public struct RecipeChain: Sendable {
  /// What a stage does.
  public enum Work: Sendable, Equatable {
    /// It trains.
    case training
    /// The network of a checkpoint labels all target images.
    case labels(LabelsStage, checkpoint: String)
  }

  /// A run of the chain.
  public struct Stage: Sendable {
    /// Its place in the chain, from 1.
    public let number: Int
    /// Its name.
    public let name: String
    /// What it does.
    public let work: Work
    /// Its recipe; of a labels stage, that of the training stage before with changes of its own.
    public let recipe: Recipe
    /// Its folder.
    public let folder: String

    /// Its folder's name.
    public var title: String { "\(number)-\(name)" }
  }

  /// Name of the chain, and of its default folder.
  public let name: String
  /// Where it goes.
  public let folder: String
  /// The stages in their order.
  public let stages: [Stage]

  /// Where a chain's stages lie below its folder.
  public static let stagesFolder = "stages"

  /// How far the seeds of stages lie apart, so that they do not repeat each other's crops.
  private static let seedStep: UInt64 = 1000

  /// Reads a recipe with stages and checks all of them.
  ///
  /// A stage has the common part, then its own changes, the overrides, and what former stages hand over: `init` is the last
  /// checkpoint of the training stage before, and `labels.cache` the newest labels stage, unless the stage names them
  /// itself. Its seed is the common one plus 1000 times its number.
  /// - Parameters:
  ///   - path: the file.
  ///   - overrides: texts `key.path=value`, which hold for every stage.
  ///   - environment: where `APUS_THREADS` is looked up.
  ///   - catalogue: names that recipes may use.
  ///   - runDirectory: the folder of a chain, given its name.
  ///   - checkpoint: the last checkpoint of a run, given its folder and number of steps.
  /// - Returns: nil for a recipe without stages.
  /// - Throws: as `Recipe.read`; what is wrong with a stage begins with its name.
  public static func read(
    _ path: String, overrides: [String] = [], environment: [String: String] = ProcessInfo.processInfo.environment,
    catalogue: RecipeCatalogue, runDirectory: (_ name: String) -> String,
    checkpoint: @escaping (_ folder: String, _ steps: Int) -> String
  ) throws -> RecipeChain? {
    let url = URL(fileURLWithPath: path)
    var common = try Recipe.settings(
      try settingsText(at: path, called: "recipe"), path, folder: url.deletingLastPathComponent().path)
    guard let list = common.remove("stages") else { return nil }
    var named = common
    for override in overrides where override.hasPrefix("name=") { try named.apply(override) }
    let name = named.value("name")?.text ?? url.deletingPathExtension().lastPathComponent
    if let fault = faultOfFileName(name) {
      throw Failure(.badData, "name is \(name.debugDescription), which \(fault)", at: path)
    }
    let folder = URL(fileURLWithPath: runDirectory(name)).standardizedFileURL.path
    var builder = ChainBuilder(name: name, folder: folder, checkpoint: checkpoint) {
      try Recipe.checked($0, path, catalogue)
    }
    for stage in try WrittenStage.all(list) {
      try builder.add(stage, to: common) { try $0.prepare(overrides, environment) }
    }
    return RecipeChain(name: name, folder: folder, stages: builder.stages)
  }

  /// Puts stages behind each other.
  private struct ChainBuilder {
    let name: String
    let folder: String
    let checkpoint: (String, Int) -> String
    /// The recipe of a tree.
    let read: (SettingNode) throws -> Recipe
    private(set) var stages: [Stage] = []
    /// The last checkpoint so far, and the tree of the stage that makes it.
    private var trained: (checkpoint: String, tree: SettingNode)?
    /// The newest labels so far.
    private var labels: String?

    init(
      name: String, folder: String, checkpoint: @escaping (String, Int) -> String,
      read: @escaping (SettingNode) throws -> Recipe
    ) {
      (self.name, self.folder, self.checkpoint, self.read) = (name, folder, checkpoint, read)
    }

    /// - Parameter prepare: puts the overrides into a tree.
    mutating func add(
      _ stage: WrittenStage, to common: SettingNode, prepare: (inout SettingNode) throws -> Void
    ) throws {
      let title = "\(stages.count + 1)-\(stage.name)"
      let place = "\(folder)/\(RecipeChain.stagesFolder)/\(title)"
      do {
        var tree = stage.changed(stage.labels == nil ? common : trained?.tree ?? common)
        try prepare(&tree)
        let (recipe, work) = try stage.labels.map { try labelling($0, stage, tree) } ?? training(stage, tree, place)
        stages.append(
          Stage(number: stages.count + 1, name: stage.name, work: work, recipe: named(recipe, stage), folder: place))
        if stage.labels != nil { labels = place }
      } catch let failure as Failure {
        throw Failure(
          failure.status, "stage \(title): \(failure.what)", at: failure.place ?? stage.place, remedy: failure.remedy)
      }
    }

    private func named(_ recipe: Recipe, _ stage: WrittenStage) -> Recipe {
      var recipe = recipe
      recipe.name = "\(name)-\(stage.name)"
      recipe.seed &+= RecipeChain.seedStep * UInt64(stages.count + 1)
      return recipe
    }

    private mutating func training(
      _ stage: WrittenStage, _ changed: SettingNode, _ place: String
    ) throws -> (Recipe, Work) {
      var tree = changed
      if let trained, !stage.changes("init") { tree.set(["init"], to: path(trained.checkpoint, stage)) }
      let readsCache = tree.value("labels")?.value("source")?.text == "cache"
      if let labels, readsCache, !stage.changes("labels.cache") {
        tree.set(["labels", "cache"], to: path(labels, stage))
      }
      let recipe = try read(tree)
      trained = (checkpoint(place, recipe.schedule.steps), tree)
      return (recipe, .training)
    }

    private func labelling(
      _ labels: LabelsStage, _ stage: WrittenStage, _ tree: SettingNode
    ) throws -> (Recipe, Work) {
      // What the training stage before was handed stays its own, though overrides may have named it.
      var tree = tree
      if let start = trained?.tree.value("init") { tree.set(["init"], to: start) }
      let recipe = try read(tree)
      guard let network = trained?.checkpoint ?? recipe.initialCheckpoint else {
        throw Failure(
          .badData, "there is no network that could label images", at: stage.place,
          remedy: "put a training stage before it, or give init")
      }
      guard trained == nil || labels.network == .student || recipe.hasTeacher else {
        throw Failure(
          .badData, "labels.network is teacher, but method \(recipe.method.name) has none", at: stage.place,
          remedy: "use student")
      }
      return (recipe, .labels(labels, checkpoint: network))
    }

    private func path(_ path: String, _ stage: WrittenStage) -> SettingNode {
      SettingNode(.scalar(path, isQuoted: true), place: stage.place)
    }
  }
}

extension Recipe {
  /// Whether the run averages its student: where target images are labelled, or for an objective.
  fileprivate var hasTeacher: Bool {
    let configuration = networkConfiguration(classCount: 1)
    return labelsTarget(configuration)
      || methodObjectives.contains { $0.options.requirements(configuration).needsTeacher }
  }
}

extension SettingNode {
  /// The value under a key of a group.
  func value(_ key: String) -> SettingNode? {
    guard case .group(let entries) = content else { return nil }
    return entries.first { $0.key == key }?.node
  }

  /// Takes a key out of a group.
  fileprivate mutating func remove(_ key: String) -> SettingNode? {
    guard case .group(let entries) = content, let found = entries.first(where: { $0.key == key }) else { return nil }
    self = SettingNode(.group(entries.filter { $0.key != key }), place: place, folder: folder)
    return SettingNode(found.node.content, place: found.place, folder: found.node.folder)
  }
}
