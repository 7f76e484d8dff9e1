// A data set of image files and, beside it, label files of the same stems.

import Foundation
import Imagery
import Support
import Tensors

/// Images (PNG, JPEG) below one folder, labels (8-bit PNG) below another, paired by stem.
///
/// The stem is the path inside the folder without extension and without `suffix`, so `aachen/a_leftImg8bit.png` and
/// `aachen/a_gtFine_labelIds.png` pair with suffixes `_leftImg8bit` and `_gtFine_labelIds`. Images are ordered by the
/// bytes of their stems, whatever the file system says. Hidden files and files of other types are left out.
public struct FolderDataset: Dataset {
  private let stems: [String]
  private let imagePaths: [String]
  private let labelPaths: [String]?
  private let map: LabelIdMap?
  private let resize: ImageResize?
  private let pixelLimit: Int
  private let images: DecodedCache<RGBImage>
  private let labelMaps: DecodedCache<LabelMap>

  /// Lists the files; none is read.
  ///
  /// - Parameters:
  ///   - images: folder of images.
  ///   - labels: folder of labels; nil for a set without.
  ///   - imageSuffix: how names of images end before the dot; what comes before is the stem.
  ///   - labelSuffix: the same for labels.
  ///   - map: train ids of the label files' ids; nil takes the ids as they are.
  ///   - resize: applied to images (bilinear) and labels (nearest) when they are read.
  ///   - cacheBytes: decoded images and labels kept in memory.
  ///   - pixelLimit: most pixels that a file may have.
  /// - Throws: a `Failure`: 66 if a folder is missing, cannot be read or holds no images, or an image has no label;
  ///   65 if two files share a stem.
  public init(
    images: String, labels: String? = nil, imageSuffix: String = "", labelSuffix: String = "", map: LabelIdMap? = nil,
    resize: ImageResize? = nil, cacheBytes: Int = 256 << 20, pixelLimit: Int = standardPixelLimit
  ) throws {
    let listed = try FolderDataset.list(images, suffix: imageSuffix, types: ["png", "jpg", "jpeg"])
    guard !listed.isEmpty else {
      throw Failure(
        .missingInput, "no images \(imageSuffix.isEmpty ? "" : "named *\(imageSuffix) ")in this folder", at: images,
        remedy: "give a folder of PNG or JPEG files")
    }
    stems = listed.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    imagePaths = stems.compactMap { listed[$0] }
    if let labels {
      let found = try FolderDataset.list(labels, suffix: labelSuffix, types: ["png"])
      labelPaths = try zip(stems, imagePaths).map { stem, image in
        guard let path = found[stem] else {
          throw Failure(
            .missingInput, "no label \(stem)\(labelSuffix).png in \(labels)", at: image,
            remedy: "add the label, or take the image away")
        }
        return path
      }
    } else {
      labelPaths = nil
    }
    self.map = map
    self.resize = resize
    self.pixelLimit = pixelLimit
    // Labels take a byte where images take three.
    self.images = DecodedCache(limit: cacheBytes / 4 * 3)
    labelMaps = DecodedCache(limit: cacheBytes / 4)
  }

  /// Paths by stem of all files of some types below a folder.
  private static func list(_ folder: String, suffix: String, types: Set<String>) throws -> [String: String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) else {
      throw Failure(.missingInput, "no such folder", at: folder, remedy: "check the path")
    }
    guard isFolder.boolValue else {
      throw Failure(.missingInput, "not a folder", at: folder, remedy: "give the folder that holds the files")
    }
    let inside: [String]
    do {
      inside = try FileManager.default.subpathsOfDirectory(atPath: folder)
    } catch {
      throw Failure(.missingInput, "this folder cannot be read", at: folder, remedy: "check its permissions")
    }
    var found: [String: String] = [:]
    for path in inside where !path.split(separator: "/").contains(where: { $0.hasPrefix(".") }) {
      let file = path as NSString
      let stem = file.deletingPathExtension
      guard types.contains(file.pathExtension.lowercased()), stem.hasSuffix(suffix) else { continue }
      let name = String(stem.dropLast(suffix.count))
      let whole = (folder as NSString).appendingPathComponent(path)
      if let other = found[name] {
        throw Failure(
          .badData, "has the same stem as \(max(other, whole))", at: min(other, whole), remedy: "keep one of them")
      }
      found[name] = whole
    }
    return found
  }

  /// Number of images.
  public var count: Int { stems.count }
  /// Path of an image inside the folder, without suffix and extension.
  public func name(_ index: Int) -> String { stems[index] }
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
    let ids = try readLabels(path, pixelLimit: pixelLimit)
    try requireFit(PixelSize(height: ids.height, width: ids.width), path, ImageHeader(path: imagePaths[index]), index)
    return try map?.apply(to: ids, file: path) ?? ids
  }

  /// Reads the headers of an image and its label.
  /// - Returns: size of the image after the resize.
  /// - Throws: as `image(_:)` and `labels(_:)`, as far as headers tell.
  public func checkFiles(_ index: Int) throws -> PixelSize {
    let image = try ImageHeader(path: imagePaths[index])
    try image.checkImage(pixelLimit: pixelLimit)
    if let path = labelPaths?[index] {
      let label = try ImageHeader(path: path)
      try label.checkLabels(pixelLimit: pixelLimit)
      try requireFit(label.stored, path, image, index)
    }
    return resize?.applied(to: image.size) ?? image.size
  }

  /// SHA-256 over stems, bytes of the files, label map and pixel limit.
  public var filesDigest: String {
    let hash = SHA256()
    hash.update("\(pixelLimit) \(map.map { "\($0.trainIds)" } ?? "")\n")
    for (index, stem) in stems.enumerated() {
      let bytes = [imagePaths[index], labelPaths?[index]].map { $0.map(fileBytes) ?? 0 }
      hash.update("\(stem)\u{0}\(bytes)\n")
    }
    return hash.hexadecimal()
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

/// Size of a file; -1 where there is none.
private func fileBytes(_ path: String) -> Int {
  var status = stat()
  return stat(path, &status) == 0 ? Int(status.st_size) : -1
}
