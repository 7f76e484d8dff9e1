// The section of a recipe about a few labelled target images.

import Domains
import Support

extension Recipe {
  /// A few labelled images of the target domain, chosen class by class: a data set, and the choice.
  public struct FewShot: SettingGroup {
    /// The labelled images that are chosen from.
    public var set = DataSet()
    /// Train ids of the classes that are shown, one in each chosen image.
    public var classes: [Int] = []
    /// Images of each class at most.
    public var perClass = 30
    /// Seed of the choice, whatever `seed` of the run.
    public var choiceSeed: UInt64 = 123

    /// A folder without paths, and no class; 30 images of each, chosen as published.
    public init() {}
    /// Shows the keys of a data set, then those of the choice.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try set.visit(&settings)
      try settings.value("classes", &classes, .each(.from(0, to: 254)))
      try settings.value("perClass", &perClass, .atLeast(1))
      try settings.value("choiceSeed", &choiceSeed)
    }

    /// The choice.
    public var rules: FewShotRules { FewShotRules(classes: classes, perClass: perClass, seed: choiceSeed) }
  }

  /// Throws a `Failure` 65 unless few-shot images are there where an objective learns from them, and only there.
  func checkFewShot(_ check: RecipeCheck) throws {
    let learning = methodObjectives.first { $0.options.requirements(networkConfiguration(classCount: 1)).needsFewShot }
    let learner = learning.map { $0.key == Recipe.ownObjective ? "method \(method.name)" : $0.key } ?? ""
    guard let fewShot = data.fewShot else {
      return try check.require(
        learning == nil, "data.fewShot", "is missing; \(learner) learns from it",
        remedy: "name a few labelled target images, their classes and how many of each: "
          + "data.fewShot: {images: ..., labels: ..., classes: [8, 9], perClass: 30}")
    }
    try check.require(
      learning != nil, "data.fewShot", "is given, but method \(method.name) does not learn from it",
      remedy: "leave it out, or use method tada")
    try check.require(
      !fewShot.classes.isEmpty, "data.fewShot.classes", "is missing",
      remedy: "list the train ids of the classes that few images show")
    let twice = fewShot.classes.first { label in fewShot.classes.count { $0 == label } > 1 }
    try check.require(twice == nil, "data.fewShot.classes", "names class \(twice ?? 0) twice", remedy: "name it once")
    guard let validation = data.validation else { return }
    let set = fewShot.set
    let isDrawn = set.kind == "procedural"
    let isSame =
      set.kind == validation.kind
      && (isDrawn ? (set.domain, set.seed) == (validation.domain, validation.seed) : set.images == validation.images)
    try check.require(
      !isSame, isDrawn ? "data.fewShot.seed" : "data.fewShot.images",
      "is that of data.validation, whose labels are for scores alone",
      remedy: isDrawn ? "use another seed" : "name other images")
  }
}
