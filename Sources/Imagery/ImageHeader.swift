// What the first bytes of an image file say, so that thousands of files can be checked before a run starts.

import Support

/// The first bytes of every JPEG.
let jpegStart: [UInt8] = [0xff, 0xd8, 0xff]

/// Kind and size of a PNG or JPEG file, read without decoding it.
public struct ImageHeader: Sendable {
  /// Rows and columns as they are stored, which is what a label of the stored picture has.
  public let stored: PixelSize
  /// How the picture is turned upright.
  public let orientation: Orientation
  private let path: String
  private let kind: Kind

  private enum Kind: Sendable {
    case png(bitDepth: UInt8, colourType: UInt8)
    case jpeg(JPEGHeader)
  }

  /// Rows and columns as `readRGB` returns them.
  public var size: PixelSize { orientation.applied(to: stored) }

  /// Reads the first bytes of a file.
  /// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read, 65 if it is neither PNG
  ///   nor JPEG, or cut off.
  public init(path: String) throws {
    let bytes = try HeaderBytes(path: path)
    self.path = path
    if let start = try bytes.bytes(0, 26), start.starts(with: pngSignature) {
      guard let width = try bytes.number(16, 4), let height = try bytes.number(20, 4),
        (1...pngSideLimit).contains(width), (1...pngSideLimit).contains(height)
      else { throw Failure(.badData, "damaged PNG: no size in its header", at: path, remedy: "restore the file") }
      stored = PixelSize(height: height, width: width)
      kind = .png(bitDepth: start[24], colourType: start[25])
      orientation = try orientationOfPNG(bytes)
    } else if try bytes.bytes(0, 3)?.elementsEqual(jpegStart) == true {
      let header = try JPEGHeader(bytes)
      stored = header.stored
      kind = .jpeg(header)
      orientation = header.orientation
    } else {
      throw Failure(.badData, "neither PNG nor JPEG, or cut off", at: path, remedy: "give images as PNG or JPEG")
    }
  }

  /// Makes sure that the file is an image that `readRGB` reads, as far as its header tells.
  /// - Throws: as `readRGB`, status 65.
  public func checkImage(pixelLimit: Int) throws {
    switch kind {
    case .png: try checkPixels(stored, limit: pixelLimit, name: path)
    case .jpeg(let header): try header.check(name: path, fileBytes: nil, pixelLimit: pixelLimit)
    }
  }

  /// Makes sure that the file is a label map that `readLabels` reads, as far as its header tells.
  /// - Throws: as `readLabels`, status 65.
  public func checkLabels(code: LabelCode = .index, pixelLimit: Int) throws {
    guard case .png(let bitDepth, let colourType) = kind else { throw notALabel(path) }
    try code.check(bitDepth: bitDepth, colourType: colourType, name: path)
    try checkPixels(stored, limit: pixelLimit, name: path)
  }

  /// Makes sure that the file is a map that `readGrey` reads, as far as its header tells.
  /// - Throws: as `readGrey`, status 65.
  public func checkGrey(pixelLimit: Int) throws {
    guard case .png(let bitDepth, let colourType) = kind else { throw notAMap(path) }
    try checkGreyKind(bitDepth: bitDepth, colourType: colourType, name: path)
    try checkPixels(stored, limit: pixelLimit, name: path)
  }
}

/// Size of a PNG or JPEG image, upright as `readRGB` returns it, from its header.
///
/// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read, 65 if it is neither.
public func imageSize(of path: String) throws -> PixelSize { try ImageHeader(path: path).size }

/// Refuses an image of too many pixels.
/// - Throws: `Failure` 65 that says how many there are and how to allow them.
func checkPixels(_ size: PixelSize, limit: Int, name: String) throws {
  // Sides are below 2^31, so that the product cannot overflow.
  guard size.height * size.width <= limit else {
    throw Failure(
      .badData, "an image of \(size) has more pixels than data.pixelLimit allows, \(limit)", at: name,
      remedy: "make it smaller, or raise data.pixelLimit if you trust it and have the memory")
  }
}

/// The failure of a label file that is no PNG.
func notALabel(_ name: String) -> Failure {
  Failure(.badData, "labels are not a PNG", at: name, remedy: "give 8-bit grey or palettised PNG")
}

/// The failure of a file of numbers that is no PNG.
func notAMap(_ name: String) -> Failure {
  Failure(.badData, "a map of numbers is not a PNG", at: name, remedy: "give 16-bit grey PNG")
}

/// The orientation in the chunks before the pixels of a PNG, where encoders put it; one behind them is not looked for,
/// as it would take reading every file to its end.
private func orientationOfPNG(_ bytes: HeaderBytes) throws -> Orientation {
  var position = pngSignature.count
  while let length = try bytes.number(position, 4), let kind = try bytes.bytes(position + 4, 4) {
    if kind.elementsEqual("IDAT".utf8) || kind.elementsEqual("IEND".utf8) { break }
    if kind.elementsEqual("eXIf".utf8) {
      return Orientation(exif: try bytes.bytes(position + 8, min(length, exifLimit)) ?? [])
    }
    position += 12 + length
  }
  return .upright
}
