// What a recipe says about a data set, and the catalogue that makes it. A new kind is one file and one line here; recipes
// name it as `kind` and fill in whatever they say of the other values.

import Imagery
import Support

/// A data set as plain values.
public struct DatasetSpecification: Sendable, Equatable {
  /// Name in `DatasetCatalogue`.
  public var kind: String
  /// Procedural: "source" or "target".
  public var domain: String
  /// Procedural: number of scenes.
  public var count: Int
  /// Procedural: pixels of a scene.
  public var size: PixelSize
  /// Procedural: seed of the scenes.
  public var seed: UInt64
  /// Folder: folder of images.
  public var images: String
  /// Folder: folder of labels; nil for a set without.
  public var labels: String?
  /// Folder: end of image stems that label stems lack, such as `_leftImg8bit`.
  public var imageSuffix: String
  /// Folder: end of label stems that image stems lack, such as `_gtFine_labelIds`.
  public var labelSuffix: String
  /// Folder: which of the images belong to the set.
  public var selection: FileSelection
  /// Folder: how pixels of label files say their id.
  public var code: LabelCode
  /// Train ids of the ids in label files, or of the ids that scenes are drawn in; nil takes the class set's map, or the
  /// scenes' ids as they are.
  public var map: LabelIdMap?
  /// Public layouts: the folder that the set was unpacked in.
  public var root: String
  /// Public layouts: which part of the set; nil is the usual one, where the set has parts.
  public var split: String?
  /// Public layouts: which part is usual.
  public var usualSplit: String
  /// Public layouts: which weather or light; nil is the layout's own choice.
  public var condition: String?
  /// Folder: resize of images and labels.
  public var resize: ImageResize?
  /// Bytes of decoded or drawn images and labels kept in memory.
  public var cacheBytes: Int
  /// Folder: most pixels that a file may have.
  public var pixelLimit: Int
  /// Where depth comes from; nil where it is not wanted.
  public var depth: DepthSpecification?

  /// Procedural scenes.
  public static func procedural(domain: String, count: Int, size: PixelSize, seed: UInt64) -> DatasetSpecification {
    DatasetSpecification(kind: "procedural", domain: domain, count: count, size: size, seed: seed)
  }

  /// Image and label files.
  public static func folder(
    images: String, labels: String? = nil, map: LabelIdMap? = nil, resize: ImageResize? = nil
  ) -> DatasetSpecification {
    DatasetSpecification(kind: "folder", images: images, labels: labels, map: map, resize: resize)
  }

  /// Every value; those of other kinds are not looked at.
  public init(
    kind: String, domain: String = "source", count: Int = 0, size: PixelSize = PixelSize(height: 0, width: 0),
    seed: UInt64 = 0, images: String = "", labels: String? = nil, imageSuffix: String = "", labelSuffix: String = "",
    selection: FileSelection = .all, code: LabelCode = .index, map: LabelIdMap? = nil, root: String = "",
    split: String? = nil, usualSplit: String = "train", condition: String? = nil, resize: ImageResize? = nil,
    cacheBytes: Int = 256 << 20,
    pixelLimit: Int = standardPixelLimit, depth: DepthSpecification? = nil
  ) {
    self.kind = kind
    self.domain = domain
    self.count = count
    self.size = size
    self.seed = seed
    self.images = images
    self.labels = labels
    self.imageSuffix = imageSuffix
    self.labelSuffix = labelSuffix
    self.selection = selection
    self.code = code
    self.map = map
    self.root = root
    self.split = split
    self.usualSplit = usualSplit
    self.condition = condition
    self.resize = resize
    self.cacheBytes = cacheBytes
    self.pixelLimit = pixelLimit
    self.depth = depth
  }
}

/// The kinds of data set a recipe can name.
public enum DatasetCatalogue {
  /// Makes a data set with the labels of a class set.
  public typealias Make = @Sendable (DatasetSpecification, ClassSet) throws -> any Dataset

  /// Kinds by name.
  public static let entries: [(kind: String, make: Make)] =
    [
      ("folder", folder),
      ("procedural", procedural),
    ] + PublicLayout.all.map { layout in (layout.name, { try folder(layout.specification($0, $1), $1) }) }

  private static let folder: Make = { specification, classes in
    let map = specification.map ?? classes.ids
    try requireFit(map, classes, at: specification.labels)
    return try FolderDataset(
      images: specification.images, labels: specification.labels, imageSuffix: specification.imageSuffix,
      labelSuffix: specification.labelSuffix, selection: specification.selection, code: specification.code, map: map,
      resize: specification.resize,
      cacheBytes: specification.cacheBytes, pixelLimit: specification.pixelLimit, depth: specification.depth)
  }

  private static let procedural: Make = { specification, classes in
    let place = "procedural data set"
    let domains = StreetScenes.Domain.allCases.map(\.rawValue)
    guard let domain = StreetScenes.Domain(rawValue: specification.domain) else {
      let hint = nearestSpelling(to: specification.domain, among: domains).map { "did you mean \($0)? " } ?? ""
      throw Failure(
        .badData, "no domain \"\(specification.domain)\"", at: place,
        remedy: "\(hint)known: \(domains.joined(separator: ", "))")
    }
    guard specification.count > 0, min(specification.size.height, specification.size.width) > 0 else {
      throw Failure(
        .badData, "\(specification.count) scenes of \(specification.size)", at: place,
        remedy: "give a positive count and size")
    }
    let map = specification.map.flatMap {
      $0.trainIds == LabelIdMap.identity(classCount: classes.count).trainIds ? nil : $0
    }
    guard map != nil || classes.names == ClassSet.cityscapes19.names else {
      throw Failure(
        .badData, "scenes are labelled in the 19 Cityscapes classes, not in \(classes.name)", at: place,
        remedy: "choose classes \(ClassSet.cityscapes19.name), or a map from these classes")
    }
    if let map { try requireFit(map, classes, at: place) }
    let scenes = StreetScenes(
      domain: domain, count: specification.count, height: specification.size.height, width: specification.size.width,
      seed: specification.seed, depth: specification.depth.map { $0.isEstimated ? .estimated : .exact })
    return CachedScenes(scenes, map: map, cacheBytes: specification.cacheBytes)
  }

  private static func requireFit(_ map: LabelIdMap, _ classes: ClassSet, at place: String?) throws {
    guard let largest = map.largestTrainId, largest >= classes.count else { return }
    throw Failure(
      .badData, "label map \(map.name) yields train id \(largest), but \(classes.name) has \(classes.count) classes",
      at: place, remedy: "choose the map or the class set that belongs to these labels")
  }
}

/// The data set of a specification, with train ids of `classes`.
/// - Throws: a `Failure`: 65 for an unknown kind or values that cannot be, 66 for missing files.
public func makeDataset(_ specification: DatasetSpecification, classes: ClassSet) throws -> any Dataset {
  if let entry = DatasetCatalogue.entries.first(where: { $0.kind == specification.kind }) {
    return try entry.make(specification, classes)
  }
  let kinds = DatasetCatalogue.entries.map(\.kind)
  let hint = nearestSpelling(to: specification.kind, among: kinds).map { "did you mean \($0)? " } ?? ""
  throw Failure(
    .badData, "no kind of data set \"\(specification.kind)\"", remedy: "\(hint)known: \(kinds.joined(separator: ", "))")
}
