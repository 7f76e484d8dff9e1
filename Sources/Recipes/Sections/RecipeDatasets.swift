// From a recipe's words about data to data sets and class sets.

import Domains
import Imagery
import Support

extension Recipe {
  /// Refuses settings whose meaning is fixed but that this version cannot honour: they are not ignored.
  /// - Throws: `Failure` 65 that names the key.
  package func checkAbilities() throws {
    guard batch.cropShards == 1 || reduction != .native else {
      throw Failure(
        .badData, "\(batch.cropShards) ranks share crops, whose gradients the MPI library cannot add up",
        at: "batch.cropShards", remedy: "use reduction: reproducible, or batch.cropShards: 1")
    }
  }

  /// The classes of the recipe, with what predicted classes count as in evaluation.
  /// - Throws: `Failure` 65 for a set or a class that is not known.
  public func classSet() throws -> ClassSet {
    switch classes {
    case .named(let name):
      return try ClassSet.named(name)
    case .listed(let names, let palette):
      return try ClassSet(
        name: "listed", names: names, colours: palette.map { SIMD3(UInt8($0[0]), UInt8($0[1]), UInt8($0[2])) })
    }
  }

  /// Class that each predicted class counts as: the class set's own merges, then the recipe's.
  /// - Throws: `Failure` 65 for a class that is not in the set.
  public func scoredAs(_ classes: ClassSet) throws -> [UInt8] {
    var scored = classes.scoredAs
    for (predicted, counted) in evaluation.merges.sorted(by: { $0.key < $1.key }) {
      scored[try classIndex(predicted, classes)] = UInt8(try classIndex(counted, classes))
    }
    return scored
  }

  private func classIndex(_ word: String, _ classes: ClassSet) throws -> Int {
    if let index = classes.names.firstIndex(of: word) ?? Int(word), classes.names.indices.contains(index) {
      return index
    }
    let hint = nearestSpelling(to: word, among: classes.names).map { "did you mean \($0)?" }
    throw Failure(
      .badData, "no class \"\(word)\" in \(classes.name)", at: "evaluation.merges",
      remedy: hint ?? "use a class name or a train id below \(classes.count)")
  }
}

extension Recipe.DataSet {
  /// The data set, with train ids of `classes`.
  /// - Parameters:
  ///   - classes: the classes of the run.
  ///   - withLabels: whether labels are wanted; target images are trained on without.
  ///   - maps: names of the maps that are wanted.
  ///   - pixelLimit: most pixels that a file may have, `data.pixelLimit` of the recipe.
  ///   - usualSplit: part of a public set where the recipe names none.
  /// - Throws: `Failure` 65 or 66 that names the file or key.
  public func make(
    _ classes: ClassSet, withLabels: Bool, maps: Set<String> = [], pixelLimit: Int, usualSplit: String = "train"
  ) throws -> any Dataset {
    try makeDataset(
      DatasetSpecification(
        kind: kind, domain: domain.rawValue, count: count, size: size, seed: seed, images: images ?? "",
        labels: withLabels ? labels ?? root : nil, imageSuffix: imageSuffix, labelSuffix: labelSuffix,
        selection: FileSelection(patterns: only, list: list), code: labelCode(of: classes),
        map: try labelIdMap(classes),
        root: root ?? "", split: split, usualSplit: usualSplit, condition: condition, resize: resize.map { .fit($0) },
        pixelLimit: pixelLimit,
        depth: maps.contains(PixelMap.depth)
          ? DepthSpecification(
            folder: depth, suffix: depthSuffix, code: depthCode, scale: depthScale, isEstimated: estimatedDepth) : nil),
      classes: classes)
  }
}

extension Recipe.DataSet {
  /// Keys that say where files lie: the same files in another place are the same data.
  package static let placeKeys = ["images", "labels", "depth", "root", "list"]

  /// The key that says where images lie, and what it says; nil for a set without files.
  package var place: (key: String, path: String)? {
    images.map { ("images", $0) } ?? root.map { ("root", $0) }
  }

  /// Whether it is a public set, of which the catalogue knows how its files lie.
  package var isPublic: Bool { PublicLayout.all.contains { $0.name == kind } }

  /// The map; nil is that of a public set.
  private func labelIdMap(_ classes: ClassSet) throws -> LabelIdMap? {
    isPublic && map == .identity ? nil : try map.labelIdMap(classCount: classes.count)
  }

  private func labelCode(of classes: ClassSet) -> LabelCode {
    switch labelCode {
    case .index: .index
    case .firstChannel: .firstChannel
    case .palette:
      .colours(
        palette.isEmpty
          ? classes.palette.colours : palette.map { SIMD3(UInt8($0[0]), UInt8($0[1]), UInt8($0[2])) })
    }
  }
}

extension LabelMapSetting {
  /// The map from the ids in label files to `classCount` train ids.
  /// - Throws: `Failure` 65 for a name that is not known.
  package func labelIdMap(classCount: Int) throws -> LabelIdMap {
    switch self {
    case .identity: .identity(classCount: classCount)
    case .named(let name): try LabelIdMap.named(name, classCount: classCount)
    case .table(let table, let other):
      try LabelIdMap(
        name: "listed", entries: Dictionary(uniqueKeysWithValues: table.map { (Int($0), Int($1)) }), unlisted: other)
    }
  }
}
