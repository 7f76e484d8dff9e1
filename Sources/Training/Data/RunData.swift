// The data sets of a run, and what they are apart from their places.

import Adaptation
import Collectives
import DataParallel
import Domains
import Foundation
import Recipes
import Storage
import Support

/// The data sets of a run. The same on every rank.
public struct RunData: Sendable {
  /// Classes and palette.
  public let classes: ClassSet
  /// Labelled images; nil for a method that learns from none.
  public let source: (any Dataset)?
  /// Images to adapt to; nil for a method that does not adapt.
  public let target: (any Dataset)?
  /// Labelled images to score on; nil if the recipe names none.
  public let validation: (any Dataset)?
  /// Labelled images of the target domain, of which a few are chosen; nil for a method that learns from none.
  public let fewShot: (any Dataset)?
  /// What the sets are, wherever they lie.
  public let identities: DataIdentities

  /// Lists the data sets of a recipe and tells what there is of each. No file is read. A collective.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - communicator: the ranks.
  ///   - say: prints a line; called on rank 0.
  ///   - caches: opens the folder of cached labels; nil where none can be read.
  /// - Throws: on all ranks, `Failure` 65 or 66 that names the file or key; 65 if ranks find other files.
  public init(
    _ recipe: Recipe, on communicator: any Communicator, say: (String) -> Void = { _ in },
    caches: ((String) -> any PseudoLabelStore)? = nil
  ) throws {
    Activity.prepare("data")
    let adapts = recipe.adapts
    let (classes, source, images, validation, fewShot) = try communicator.together {
      let classes = try recipe.classSet()
      let limit = recipe.data.pixelLimit
      let hasSource = recipe.method.host.hasSource
      let maps = recipe.requirements(recipe.networkConfiguration(classCount: classes.count)).maps
      let source =
        hasSource ? try recipe.data.source?.make(classes, withLabels: true, maps: maps, pixelLimit: limit) : nil
      guard source != nil || !hasSource else {
        throw Failure(.badData, "the recipe names no source data", at: "data.source", remedy: "add data.source")
      }
      let target =
        adapts ? try recipe.data.target?.make(classes, withLabels: false, maps: maps, pixelLimit: limit) : nil
      guard target != nil || !adapts else {
        throw Failure(.badData, "the method needs target images", at: "data.target", remedy: "add data.target")
      }
      return (
        classes, source, target,
        try recipe.data.validation?.make(classes, withLabels: true, pixelLimit: limit, usualSplit: "val"),
        try recipe.data.fewShot?.set.make(classes, withLabels: true, maps: maps, pixelLimit: limit)
      )
    }
    let cached = try images.flatMap { images in
      recipe.labels.source == .cache
        ? try RunData.labelled(images, recipe, caches, classCount: classes.count, on: communicator) : nil
    }
    let target = cached?.labelled ?? images
    (self.classes, self.source, self.target, self.validation) = (classes, source, target, validation)
    self.fewShot = fewShot
    identities = DataIdentities(
      source: source?.identity, target: target?.identity, validation: validation?.identity, labels: cached?.identity,
      fewShot: fewShot?.identity)
    if communicator.rank == 0 { tell(say) }
    // Every host may have files of its own.
    try ReplicaAgreement(on: communicator, interval: 0).compare(
      identities.named.map { ("the \($0.name) data", $0.identity.digest) }, remedy: "give all hosts the same files")
  }

  /// Says what there is of each data set.
  private func tell(_ say: (String) -> Void) {
    for (name, set) in [("source", source), ("target", target), ("validation", validation), ("few-shot", fewShot)] {
      if let inventory = set?.inventory { say("\(name): \(inventory)") }
    }
  }

  /// Target images with the cached labels of a recipe. A collective.
  private static func labelled(
    _ images: any Dataset, _ recipe: Recipe, _ caches: ((String) -> any PseudoLabelStore)?, classCount: Int,
    on communicator: any Communicator
  ) throws -> (labelled: CachedLabels, identity: DatasetIdentity) {
    let cache = try communicator.together {
      guard let caches, let folder = recipe.labels.cache else {
        throw Failure(.badData, "labels.source is cache, which is not read here", at: "labels.source")
      }
      return try LabelCache(caches(folder), of: images, classCount: classCount)
    }
    return try CachedLabels.opened(images, cache, recipe.labels, classCount: classCount, on: communicator)
  }
}

extension RunData {
  /// The sets by name with what is asked of their files.
  func lookedAt(_ recipe: Recipe) -> [LookedAt] {
    let limit = recipe.data.pixelLimit
    let (crop, oneSize) = (recipe.crop.size, recipe.keepsLabels)
    var all: [LookedAt] = []
    if let source { all.append(LookedAt("data.source", source, FileDemands(crop: crop, pixelLimit: limit))) }
    if let target {
      all.append(LookedAt("data.target", target, FileDemands(crop: crop, oneSize: oneSize, pixelLimit: limit)))
    }
    if let validation { all.append(LookedAt("data.validation", validation, FileDemands(pixelLimit: limit))) }
    if let fewShot { all.append(LookedAt("data.fewShot", fewShot, FileDemands(crop: crop, pixelLimit: limit))) }
    return all
  }

  /// What makes the batches, and the size of a target image.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - parts: this rank's samples of each micro-batch.
  ///   - counts: class pixels of the source, for rare class sampling where that is enabled, and of few-shot images.
  ///   - checksSizes: whether every image's size is looked at here.
  /// - Throws: `Failure` 65 or 66 that names the file or key.
  func makeLoader(
    _ recipe: Recipe, parts: [Range<Int>], counts: RunCounts, checksSizes: Bool
  ) throws -> (SampleLoader, PixelSize) {
    Activity.prepare("data")
    let rare = recipe.rareClassSampling
    // New labels are counted to check them, sampled or not.
    let sampler = try (rare.enabled ? counts.source : nil).map {
      try RareClassSampler(
        $0,
        RareClassOptions(
          temperature: rare.temperature, minimumPixels: rare.minimumPixels, minimumCropPixels: rare.minimumCropPixels),
        classNames: classes.names)
    }
    if recipe.keepsLabels, checksSizes { try target?.requireOneSize() }
    let margins = recipe.data.target.map {
      ImageMargins(top: $0.margins.top, bottom: $0.margins.bottom, left: $0.margins.left, right: $0.margins.right)
    }
    var options = SampleLoader.Options(
      rules: CropRules(crop: recipe.crop.size, dominantShare: recipe.crop.maximumShare, redraws: recipe.crop.tries),
      flipProbability: Float(recipe.crop.flip), seed: recipe.seed, parts: parts,
      margins: margins == ImageMargins(top: 0, bottom: 0, left: 0, right: 0) ? nil : margins, checksSizes: checksSizes)
    options.maps = recipe.requirements(recipe.networkConfiguration(classCount: classes.count)).maps
    options.labelsTarget = recipe.labels.source == .cache && target != nil
    let loader = try SampleLoader(
      source: source, target: target, fewShot: try chosenFewShot(recipe, counts.fewShot), sampler: sampler,
      options: options)
    return (loader, try target?.size(0) ?? recipe.crop.size)
  }
}

extension RunData {
  /// The few-shot images that are chosen.
  private func chosenFewShot(_ recipe: Recipe, _ counts: ClassStatistics?) throws -> FewShotImages? {
    guard let fewShot, let counts, let rules = recipe.data.fewShot?.rules else { return nil }
    return try FewShotImages(of: fewShot, counts, rules, classNames: classes.names)
  }
}

extension Recipe {
  /// Whether the method looks at target images.
  var adapts: Bool {
    let needs = requirements(networkConfiguration(classCount: 1))
    return method.host.hasTarget || needs.needsLabels || needs.needsTarget
  }

  /// The recipe without what may differ between hosts that train together: threads, and where the data lie.
  public var withoutPlaces: Recipe {
    var recipe = self
    recipe.threads = 0
    recipe.data.source?.removePlaces()
    recipe.data.target?.removePlaces()
    recipe.data.validation?.removePlaces()
    recipe.data.fewShot?.set.removePlaces()
    recipe.labels.cache = nil
    return recipe
  }
}

extension Recipe.DataSet {
  /// Forgets where files lie.
  fileprivate mutating func removePlaces() { (images, labels, depth) = (nil, nil, nil) }
}

/// What the data sets of a run are, apart from their places.
public struct DataIdentities: Sendable, Equatable, Codable {
  /// Labelled images; nil for a method that learns from none.
  public var source: DatasetIdentity?
  /// Images to adapt to; nil for a method that needs none.
  public var target: DatasetIdentity?
  /// Labelled images to score on; nil if the recipe names none.
  public var validation: DatasetIdentity?
  /// Labels of the target images that a cache holds; nil for methods that make their own or need none.
  public var labels: DatasetIdentity?
  /// Labelled images of the target domain, of which a few are chosen; nil for methods that learn from none.
  public var fewShot: DatasetIdentity?

  /// From its parts.
  public init(
    source: DatasetIdentity?, target: DatasetIdentity? = nil, validation: DatasetIdentity? = nil,
    labels: DatasetIdentity? = nil, fewShot: DatasetIdentity? = nil
  ) {
    self.source = source
    self.target = target
    self.validation = validation
    self.labels = labels
    self.fewShot = fewShot
  }

  /// The sets that there are, by the names of their keys in a recipe.
  public var named: [(name: String, identity: DatasetIdentity)] {
    [
      ("source", source), ("target", target), ("validation", validation), ("labels", labels), ("fewShot", fewShot),
    ].compactMap { name, identity in identity.map { (name, $0) } }
  }

  /// As a checkpoint keeps them: `data-source` and so on.
  var digests: [String: String] {
    Dictionary(uniqueKeysWithValues: named.map { (DataIdentities.key($0.name), $0.identity.digest) })
  }

  /// Name of a set's digest in a checkpoint.
  static func key(_ name: String) -> String { "data-\(name)" }

  /// Whether a checkpoint tells its data, as those of earlier versions do not. Every run has a source or a target.
  static func areTold(in digests: [String: String]) -> Bool {
    ["source", "target"].contains { digests[key($0)] != nil }
  }

  /// Name of the digest of the source set's class counts in a checkpoint.
  static let countsKey = "data-source-counts"
}

extension RunDirectory {
  /// The data sets that the run is trained on; nil where none are stored that can be read, which leaves changes without
  /// names.
  public var storedData: DataIdentities? {
    FileManager.default.contents(atPath: layout.data).flatMap {
      try? JSONDecoder().decode(DataIdentities.self, from: $0)
    }
  }

  /// Stores the data sets of the run, where others or none are stored.
  /// - Throws: `Failure` 74 that names the file.
  func keep(_ data: DataIdentities) throws { if storedData?.digests != data.digests { try write(data) } }

  /// Stores the data sets of the run.
  /// - Throws: `Failure` 74 that names the file.
  func write(_ data: DataIdentities) throws { try write(try jsonLine(data) + "\n", to: layout.data) }
}
