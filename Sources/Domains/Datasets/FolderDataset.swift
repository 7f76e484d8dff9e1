// A data set of image files and, beside it, label files of the same stems.

import Foundation
import Imagery
import Support
import Tensors

/// Images (PNG, JPEG) below one folder, labels (8-bit PNG) below another, paired by stem.
///
/// The stem is the path inside the folder without extension and without `suffix`, so `aachen/a_leftImg8bit.png` and
/// `aachen/a_gtFine_labelIds.png` pair with suffixes `_leftImg8bit` and `_gtFine_labelIds`. Images are ordered by the
/// bytes of their stems, whatever the file system says. Links to files and folders are followed. Hidden files are left
/// out; what else is left out is in `inventory`.
public struct FolderDataset: Dataset {
  /// What the set is, wherever it lies.
  public let identity: DatasetIdentity
  /// How many files there are, and how many more are not used.
  public let inventory: DatasetInventory?
  private let imagePaths: [String]
  private let labelPaths: [String]?
  private let map: LabelIdMap?
  private let code: LabelCode
  private let resize: ImageResize?
  private let pixelLimit: Int
  private let depth: DepthFiles?
  private let images: DecodedCache<RGBImage>
  private let labelMaps: DecodedCache<LabelMap>
  private let depthMaps: DecodedCache<PixelMap>

  /// Lists the files; none is read.
  ///
  /// - Parameters:
  ///   - images: folder of images.
  ///   - labels: folder of labels; nil for a set without.
  ///   - imageSuffix: how names of images end before the dot; what comes before is the stem.
  ///   - labelSuffix: the same for labels.
  ///   - selection: which of the images belong to the set.
  ///   - code: how pixels of label files say their id.
  ///   - map: train ids of the label files' ids; nil takes the ids as they are.
  ///   - resize: applied to images (bilinear) and labels (nearest) when they are read.
  ///   - cacheBytes: decoded images and labels kept in memory; as much again of depth.
  ///   - pixelLimit: most pixels that a file may have.
  ///   - depth: names a folder of depth; nil for a set without.
  /// - Throws: a `Failure`: 66 if a folder is missing, cannot be read or holds no images, a link leads nowhere, or an
  ///   image has no label or depth; 65 if two files share a stem or a name is not UTF-8.
  public init(
    images: String, labels: String? = nil, imageSuffix: String = "", labelSuffix: String = "",
    selection: FileSelection = .all, code: LabelCode = .index, map: LabelIdMap? = nil, resize: ImageResize? = nil,
    cacheBytes: Int = 256 << 20, pixelLimit: Int = standardPixelLimit,
    depth: DepthSpecification? = nil
  ) throws {
    let listed = try StemmedFiles(images, suffix: imageSuffix, types: ["png", "jpg", "jpeg"])
    guard !listed.byStem.isEmpty else {
      let rest = DatasetInventory(images: 0, labels: nil, leftOut: listed.counts(except: []))
      throw Failure(
        .missingInput,
        "no images \(imageSuffix.isEmpty ? "" : "named *\(imageSuffix) ")in this folder"
          + (rest.leftOut.isEmpty ? "" : " (\(rest))"),
        at: images, remedy: "give a folder of PNG or JPEG files")
    }
    let stems = try selection.select(listed.byStem.keys, suffix: imageSuffix, folder: images)
    let found = try labels.map { try StemmedFiles($0, suffix: labelSuffix, types: ["png"]) }
    if let labels, let found { try FolderDataset.requireLabels(of: stems, listed, found, labels, labelSuffix) }
    let pairs = stems.compactMap { stem in
      listed.byStem[stem].map { (stem: stem, image: $0, label: found?.byStem[stem]) }
    }
    let depth = try depth.map { try DepthFiles(of: stems, $0, pixelLimit: pixelLimit) }
    self.depth = depth
    imagePaths = pairs.map(\.image.path)
    labelPaths = found == nil ? nil : pairs.compactMap(\.label?.path)
    identity = DatasetIdentity(
      images: pairs.enumerated().map { index, pair in
        DatasetIdentity.Image(
          name: pair.stem, bytes: pair.image.bytes ?? 0, labelBytes: pair.label?.bytes,
          depthBytes: depth?.bytes(index))
      }, map: map)
    inventory = FolderDataset.inventory(listed, found, stems)
    self.map = map
    self.code = code
    self.resize = resize
    self.pixelLimit = pixelLimit
    // Labels take a byte where images take three.
    self.images = DecodedCache(limit: cacheBytes / 4 * 3)
    labelMaps = DecodedCache(limit: cacheBytes / 4)
    // Depth takes four, and comes on top where it is asked for.
    depthMaps = DecodedCache(limit: cacheBytes)
  }

  private static func requireLabels(
    of stems: [String], _ images: StemmedFiles, _ found: StemmedFiles, _ labels: String, _ suffix: String
  ) throws {
    let without = stems.filter { found.byStem[$0] == nil }
    guard let first = without.first, let image = images.byStem[first] else { return }
    throw Failure(
      .missingInput,
      "no label \(first)\(suffix).png in \(labels)"
        + (without.count > 1 ? ", and \(without.count - 1) more images lack theirs" : ""),
      at: image.path, remedy: "add the label, or take the image away")
  }

  private static func inventory(
    _ images: StemmedFiles, _ labels: StemmedFiles?, _ stems: [String]
  ) -> DatasetInventory {
    // Both may lie in one folder: what one of them uses is not left out by the other.
    let used = Set(images.byStem.values.map(\.path) + (labels?.byStem.values.map(\.path) ?? []))
    var leftOut = images.counts(except: used)
    if let labels {
      if labels.folder != images.folder { leftOut.merge(labels.counts(except: used), uniquingKeysWith: +) }
      let alone = labels.byStem.keys.filter { images.byStem[$0] == nil }.count
      if alone > 0 { leftOut[alone == 1 ? "label without an image" : "labels without an image"] = alone }
    }
    let unchosen = images.byStem.count - stems.count
    if unchosen > 0 { leftOut[unchosen == 1 ? "image not chosen" : "images not chosen"] = unchosen }
    return DatasetInventory(
      images: stems.count, labels: labels.map { unchosen > 0 ? stems.count : $0.byStem.count }, leftOut: leftOut)
  }

  /// Number of images.
  public var count: Int { imagePaths.count }
  /// Path of an image inside the folder, without suffix and extension.
  public func name(_ index: Int) -> String { identity.images[index].name }
  /// Path of an image file.
  public func place(_ index: Int) -> String { imagePaths[index] }
  /// Whether there are labels.
  public var isLabelled: Bool { labelPaths != nil }

  /// An image, resized if asked for.
  /// - Throws: a `Failure` that names the file, if it cannot be read.
  public func image(_ index: Int) throws -> RGBImage {
    try images.value(index, bytes: { $0.pixels.count }) {
      let image = try readRGB(imagePaths[index], pixelLimit: pixelLimit)
      guard let resize else { return image }
      let size = resize.applied(to: PixelSize(height: image.height, width: image.width))
      return image.resized(height: size.height, width: size.width)
    }
  }

  /// Size of an image after the resize, from the file's header.
  /// - Throws: a `Failure` that names the file, if it cannot be read.
  public func size(_ index: Int) throws -> PixelSize {
    let size = try imageSize(of: imagePaths[index])
    return resize?.applied(to: size) ?? size
  }

  /// Train ids, resized if asked for; nil for a set without labels.
  /// - Throws: a `Failure` that names the file, if it cannot be read, has another size than the image or holds an id
  ///   outside the map.
  public func labels(_ index: Int) throws -> LabelMap? {
    guard labelPaths != nil else { return nil }
    return try labelMaps.value(index, bytes: { $0.values.count }) {
      guard let labels = try originalLabels(index) else { preconditionFailure("labels vanished") }
      guard let resize else { return labels }
      let size = resize.applied(to: PixelSize(height: labels.height, width: labels.width))
      return labels.resized(height: size.height, width: size.width)
    }
  }

  /// Train ids at the size of the file; nil for a set without labels.
  /// - Throws: as `labels(_:)`.
  public func originalLabels(_ index: Int) throws -> LabelMap? {
    guard let path = labelPaths?[index] else { return nil }
    let ids = try readLabels(path, code: code, pixelLimit: pixelLimit)
    try requireFit(PixelSize(height: ids.height, width: ids.width), path, ImageHeader(path: imagePaths[index]), index)
    return try map?.apply(to: ids, file: path) ?? ids
  }

  /// Depth, where a folder of it was named.
  public var mapNames: Set<String> { depth == nil ? [] : [PixelMap.depth] }

  /// Depth of an image, resized if asked for.
  /// - Throws: a `Failure` that names the file, if it cannot be read or has another size than the image.
  public func map(_ name: String, _ index: Int) throws -> PixelMap {
    guard name == PixelMap.depth, let depth else { preconditionFailure("no map \(name) in this set") }
    return try depthMaps.value(index, bytes: { 4 * $0.values.count }) {
      let map = try depth.map(index, imageSize: imageSize(of: imagePaths[index]))
      guard let size = resize?.applied(to: map.size) else { return map }
      return map.resized(height: size.height, width: size.width)
    }
  }

  /// Reads the headers of an image, its label and its depth.
  /// - Returns: size of the image after the resize.
  /// - Throws: as `image(_:)` and `labels(_:)`, as far as headers tell.
  public func checkFiles(_ index: Int) throws -> PixelSize {
    let image = try ImageHeader(path: imagePaths[index])
    try image.checkImage(pixelLimit: pixelLimit)
    if let path = labelPaths?[index] {
      let label = try ImageHeader(path: path)
      try label.checkLabels(code: code, pixelLimit: pixelLimit)
      try requireFit(label.stored, path, image, index)
    }
    try depth?.check(index, imageSize: image.size)
    return resize?.applied(to: image.size) ?? image.size
  }

  /// Labels belong to the upright image.
  private func requireFit(_ label: PixelSize, _ path: String, _ image: ImageHeader, _ index: Int) throws {
    guard label != image.size else { return }
    let isLikeStored = label == image.stored
    throw Failure(
      .badData,
      "label is \(label), its image \(imagePaths[index]) is \(image.size)"
        + (isLikeStored
          ? " upright, though stored as \(image.stored) (Exif orientation \(image.orientation.tag))" : ""),
      at: path,
      remedy: isLikeStored
        ? "turn the label as the image is shown, or take the orientation out of the image"
        : "give labels of the image's size")
  }
}
