// The data sets of a run and what their labels hold.

import Domains
import Support

/// The data sets that a recipe names.
struct RunData {
  /// Classes and palette.
  let classes: ClassSet
  /// Labelled images to learn from.
  let source: any Dataset
  /// Images to adapt to; those of the source where the method does not adapt.
  let target: any Dataset
  /// Labelled images to score on; nil if the recipe names none.
  let validation: (any Dataset)?
  /// The sets by name with what is asked of their files, the source first and the validation set last.
  let all: [LookedAt]
  private let needsCounts: Bool

  /// Lists the files of all sets; none is read.
  /// - Throws: `Failure` 65 or 66 that names the file or key.
  init(_ recipe: Recipe, adapts: Bool) throws {
    Activity.prepare("data")
    classes = try recipe.classSet()
    let limit = recipe.data.pixelLimit
    guard let sourceSetting = recipe.data.source else {
      throw Failure(.badData, "the recipe names no source data", at: "data.source", remedy: "add data.source")
    }
    source = try sourceSetting.make(classes, withLabels: true, pixelLimit: limit)
    let adapted = adapts ? try recipe.data.target?.make(classes, withLabels: false, pixelLimit: limit) : source
    guard let adapted else {
      throw Failure(.badData, "the method needs target images", at: "data.target", remedy: "add data.target")
    }
    target = adapted
    validation = try recipe.data.validation?.make(classes, withLabels: true, pixelLimit: limit)
    var all = [LookedAt("data.source", source, FileDemands(crop: recipe.crop.size))]
    if adapts {
      all.append(LookedAt("data.target", target, FileDemands(crop: recipe.crop.size, oneSize: recipe.teacher.cache)))
    }
    if let validation { all.append(LookedAt("data.validation", validation)) }
    self.all = all
    needsCounts = recipe.rareClassSampling.enabled
  }

  /// Class pixels of the labelled sets, in the order of `all`: of the source where it is new or sampling needs them, of
  /// the validation set where it is new. Every label of these is read and its ids are checked.
  /// - Parameter isNew: whether a set has not been found good before, in the order of `all`; nil looks at none.
  /// - Throws: `Failure` 65 that names the first wrong label; what reading one throws.
  func counts(of isNew: [Bool]?) throws -> [ClassStatistics?] {
    Activity.prepare("class index")
    defer { Activity.prepare("data") }
    return try all.indices.map { index in
      let isWanted = isNew?[index] ?? false
      switch all[index].name {
      case "data.source" where isWanted || needsCounts: return try count(source)
      case "data.validation" where isWanted: return try validation.map(count)
      default: return nil
      }
    }
  }

  private func count(_ dataset: any Dataset) throws -> ClassStatistics {
    try ClassStatistics(of: dataset, classCount: classes.count)
  }

  /// Lines about labels that are allowed but hardly meant, of the sets that have not been found good before.
  /// - Parameters:
  ///   - counts: as `counts(of:)` returns them.
  ///   - isNew: as it was given; empty for none.
  ///   - scoredAs: class that each class counts as; those that count as another need no pixel to be scored.
  func warnings(_ counts: [ClassStatistics?], isNew: [Bool], scoredAs: [UInt8]) -> [String] {
    isNew.indices.filter { isNew[$0] }.flatMap { index -> [String] in
      let name = all[index].name
      return counts[index]?.warnings(of: name, classes: classes.names) { label in
        name != "data.validation" || Int(scoredAs[label]) == label
      } ?? []
    }
  }

  /// What makes the batches, the size of a target image and their number.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - parts: this rank's samples of each micro-batch.
  ///   - sourceCounts: class pixels of the source, for rare class sampling.
  ///   - checksSizes: whether every image's size is looked at here.
  /// - Throws: `Failure` 65 or 66 that names the file or key.
  func makeLoader(
    _ recipe: Recipe, parts: [Range<Int>], sourceCounts: ClassStatistics?, checksSizes: Bool
  ) throws -> (SampleLoader, PixelSize, Int) {
    let rare = recipe.rareClassSampling
    let sampler =
      try rare.enabled
      ? sourceCounts.map {
        try RareClassSampler(
          $0,
          RareClassOptions(
            temperature: rare.temperature, minimumPixels: rare.minimumPixels,
            minimumCropPixels: rare.minimumCropPixels),
          classNames: classes.names)
      } : nil
    if checksSizes, all.contains(where: { $0.demands.oneSize }) { try target.requireOneSize() }
    let margins = recipe.data.target.map {
      ImageMargins(top: $0.margins.top, bottom: $0.margins.bottom, left: $0.margins.left, right: $0.margins.right)
    }
    let loader = try SampleLoader(
      source: source, target: target, sampler: sampler,
      options: SampleLoader.Options(
        rules: CropRules(
          crop: recipe.crop.size, dominantShare: recipe.crop.maximumShare, redraws: recipe.crop.tries),
        flipProbability: Float(recipe.crop.flip), seed: recipe.seed, parts: parts,
        margins: margins == ImageMargins(top: 0, bottom: 0, left: 0, right: 0) ? nil : margins,
        checksSizes: checksSizes))
    return (loader, try target.size(0), target.count)
  }
}
