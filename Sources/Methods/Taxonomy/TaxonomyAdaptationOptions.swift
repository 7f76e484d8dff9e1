// Options of TADA (Gong et al., ECCV 2022), and which maps and heads they ask for.

import Adaptation
import Networks
import Support
import Tensors

/// Options of the adaptation between taxonomies, `methodOptions` of the method `tada`.
public struct TaxonomyAdaptationOptions: MethodOptions {
  /// What source labels lack of the target's classes.
  public var taxonomy = Taxonomy.Kind.coarseToFine
  /// Classes that the target tells apart where the source does not, the source's label for them first. Published for
  /// overlapping taxonomies is `[[13, 14, 15]]`.
  public var groups = [[8, 9], [11, 12], [17, 18]]
  /// With an open taxonomy, classes that source labels ignore.
  public var newClasses = [3, 4, 5, 9, 14, 16]
  /// The second run: the teacher makes source labels finer.
  public var relabel = false
  /// Weight of the contrast; 0 leaves it out.
  public var weight = 0.01
  /// Temperature of the contrast.
  public var temperature = 0.07
  /// Channels that the map is projected to.
  public var width = 256
  /// Cells of the micro-batch that are contrasted at most.
  public var cells = 1024
  /// Cells of one class of an image at most.
  public var cellsPerPair = 100
  /// A class of an image takes part if it has more cells than this.
  public var least = 100
  /// Whether a pair of cells counts as much as the network is sure of both.
  public var uncertainty = true
  /// Classes that are not contrasted. As released: `[0]`.
  public var excludedClasses: [Int] = []
  /// As released: the projection stays as it was drawn.
  public var frozenProjection = false
  /// As released: certainties are attached to other cells than their own.
  public var shuffledCertainties = false

  /// Published values for GTA with coarse classes, and what the specification corrects.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("taxonomy", &taxonomy)
    try settings.value("groups", &groups, .each(.each(.from(0, to: 254))))
    try settings.value("newClasses", &newClasses, .each(.from(0, to: 254)))
    try settings.value("relabel", &relabel)
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("temperature", &temperature, .above(0))
    try settings.value("width", &width, .from(1, to: 4096))
    try settings.value("cells", &cells, .from(1, to: 65536))
    try settings.value("cellsPerPair", &cellsPerPair, .atLeast(1))
    try settings.value("least", &least, .atLeast(0))
    try settings.value("uncertainty", &uncertainty)
    try settings.value("excludedClasses", &excludedClasses, .each(.from(0, to: 254)))
    try settings.value("frozenProjection", &frozenProjection)
    try settings.value("shuffledCertainties", &shuffledCertainties)
  }

  /// A few labelled target images, and a projection of the map before the classifier; of the coarsest map where the
  /// head has no such map.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source", "mixed"]
    requirements.needsSource = true
    requirements.needsLabels = true
    requirements.needsFewShot = true
    requirements.mixes = true
    guard weight > 0 else { return requirements }
    let projection = projection(configuration)
    requirements.heads = [projection]
    requirements.sites["mixed"] = [projection.output]
    return requirements
  }

  private func projection(_ configuration: NetworkConfiguration) -> AttachedHead {
    let hasMap = HeadCatalogue.entry(configuration.head)?.hasWidth != false
    return AttachedHead(owner: "tada", name: "projection", input: hasMap ? .fused : .coarsest) {
      [width, frozenProjection] registry, name, channels in
      let projection = ContrastProjection(
        registry, name, channels: channels, outputs: width, isTrained: !frozenProjection)
      return { map, context in try projection(map, context) }
    }
  }

  /// The objective.
  /// - Throws: `Failure` 65 for a class that the network does not have.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    let count = setup.configuration.classCount
    let named = [("groups", groups.flatMap { $0 }), ("newClasses", newClasses), ("excludedClasses", excludedClasses)]
    for (key, classes) in named where key != (taxonomy == .open ? "groups" : "newClasses") {
      guard let outside = classes.first(where: { $0 >= count }) else { continue }
      throw Failure(
        .badData, "tada is told of class \(outside), but train ids are 0 to \(count - 1)", at: "methodOptions.\(key)",
        remedy: "name classes of the network")
    }
    return TaxonomyAdaptation(self, embedding: projection(setup.configuration).output)
  }

  /// The taxonomy has to say something, without contradicting itself.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    let grouped = groups.flatMap { $0 }
    if taxonomy == .open, newClasses.isEmpty {
      return OptionMisfit(
        key: "newClasses", what: "is empty, but the taxonomy is open",
        remedy: "list the classes that the source ignores")
    }
    if taxonomy != .open, groups.isEmpty || groups.contains(where: { $0.count < 2 }) {
      return OptionMisfit(
        key: "groups", what: "needs groups of two classes or more", remedy: "use groups such as [[8, 9], [11, 12]]")
    }
    if taxonomy != .open, Set(grouped).count < grouped.count {
      return OptionMisfit(key: "groups", what: "names a class twice", remedy: "give each class one group")
    }
    guard shuffledCertainties, cellsPerPair > least + 1 else { return nil }
    return OptionMisfit(
      key: "shuffledCertainties", what: "needs as many cells of each class, but some may have \(least + 1) only",
      remedy: "use a cellsPerPair of at most \(least + 1)")
  }

  /// How the classes of source labels relate to those of the target.
  package var relation: Taxonomy {
    Taxonomy(
      taxonomy, groups: groups.map { $0.map { UInt8($0) } }, newClasses: Set(newClasses.map { UInt8($0) }))
  }

  /// The rules by which cells are drawn.
  package var anchorRules: AnchorRules {
    var rules = AnchorRules()
    rules.excluded = Set(excludedClasses.map { UInt8($0) })
    (rules.least, rules.most, rules.each) = (least, cells, cellsPerPair)
    return rules
  }
}
