// Depth beside images: what numbers in files mean, and the files of a folder.

import Foundation
import Imagery
import Support
import Tensors

/// What the numbers of depth files mean. A map holds 655.36 / (metres + 0.01), about a thousandth of the reciprocal of
/// depth in 16 bits; exactly 1 stands for "unknown".
///
/// Source: CorDA (Wang et al., ICCV 2021, code).
public enum DepthCode: String, SettingChoice {
  /// Metres from stereo: below 0.1 is unknown, 655.35 and more is as far as unknown.
  case stereo
  /// Reciprocal depth less 1, as networks for single images estimate it; 0 is unknown.
  case monocular
  /// Metres as rendered for SYNTHIA: all are known, and not cut off.
  case synthia

  /// What a number in files is multiplied by unless a recipe says otherwise.
  public var publishedScale: Double { self == .monocular ? 1.0 / 256 : 0.01 }

  /// The number of a map for a scaled number of a file.
  public func inverseDepth(_ number: Double) -> Float {
    switch self {
    case .stereo: number < 0.1 ? 1 : Float(655.36 / (min(number, 655.35) + 0.01))
    case .monocular: Float(number + 1)
    case .synthia: Float(655.36 / (number + 0.01))
    }
  }
}

/// Where depth comes from.
public struct DepthSpecification: Sendable, Equatable {
  /// Folder: folder of depth files, 16-bit grey PNG.
  public var folder: String?
  /// Folder: end of their stems that image stems lack.
  public var suffix: String
  /// Folder: what their numbers mean.
  public var code: DepthCode
  /// Folder: what a number is multiplied by; nil is the code's.
  public var scale: Double?
  /// Procedural: whether depth is degraded as an estimate is; else it is exact.
  public var isEstimated: Bool

  /// From its values.
  public init(
    folder: String? = nil, suffix: String = "", code: DepthCode = .stereo, scale: Double? = nil,
    isEstimated: Bool = false
  ) {
    self.folder = folder
    self.suffix = suffix
    self.code = code
    self.scale = scale
    self.isEstimated = isEstimated
  }
}

/// The depth files of a folder's images, in the images' order.
struct DepthFiles: Sendable {
  private let files: [(path: String, bytes: Int)]
  private let code: DepthCode
  private let scale: Double
  private let pixelLimit: Int

  /// Lists the files; none is read.
  /// - Parameters:
  ///   - stems: those of the images.
  ///   - specification: names a folder.
  ///   - pixelLimit: most pixels that a file may have.
  /// - Throws: a `Failure`: 66 if the folder or a file is missing, 65 if two files share a stem.
  init(of stems: [String], _ specification: DepthSpecification, pixelLimit: Int) throws {
    guard let folder = specification.folder else {
      throw Failure(.badData, "no folder of depth", remedy: "name it as depth of the data set")
    }
    let found = try StemmedFiles(folder, suffix: specification.suffix, types: ["png"])
    files = try stems.map { stem in
      guard let file = found.byStem[stem] else {
        throw Failure(
          .missingInput, "no depth \(stem)\(specification.suffix).png", at: folder,
          remedy: "add the file, or take the image away")
      }
      return (file.path, file.bytes ?? 0)
    }
    code = specification.code
    scale = specification.scale ?? specification.code.publishedScale
    self.pixelLimit = pixelLimit
  }

  /// Bytes of a file.
  func bytes(_ index: Int) -> Int { files[index].bytes }

  /// Depth of an image, at the size of its file.
  /// - Throws: a `Failure` that names the file, if it cannot be read or has another size than the image.
  func map(_ index: Int, imageSize: PixelSize) throws -> PixelMap {
    let grey = try readGrey(files[index].path, pixelLimit: pixelLimit)
    try requireFit(PixelSize(height: grey.height, width: grey.width), imageSize, index)
    return PixelMap(
      height: grey.height, width: grey.width, values: grey.values.map { code.inverseDepth(Double($0) * scale) })
  }

  /// Reads the header of a file.
  /// - Throws: as `map`, as far as headers tell.
  func check(_ index: Int, imageSize: PixelSize) throws {
    let header = try ImageHeader(path: files[index].path)
    try header.checkGrey(pixelLimit: pixelLimit)
    try requireFit(header.stored, imageSize, index)
  }

  private func requireFit(_ size: PixelSize, _ imageSize: PixelSize, _ index: Int) throws {
    guard size != imageSize else { return }
    throw Failure(
      .badData, "depth is \(size), its image \(imageSize)", at: files[index].path,
      remedy: "give depth of the upright image's size")
  }
}
