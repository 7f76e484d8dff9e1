// Maps of 16-bit numbers, such as depth, in grey PNG files.

import Support

/// Numbers of 16 bits, one for each pixel.
public struct GreyMap: Sendable, Equatable {
  /// Rows.
  public let height: Int
  /// Columns.
  public let width: Int
  /// The numbers, row-major.
  public let values: [UInt16]

  /// From its numbers.
  /// - Precondition: there is a pixel, and a number for each.
  public init(height: Int, width: Int, values: [UInt16]) {
    precondition(
      height > 0 && width > 0 && values.count == height * width, "\(values.count) numbers for \(height)x\(width)")
    self.height = height
    self.width = width
    self.values = values
  }
}

/// Reads the raw numbers of a grey PNG of 16 bits. They belong to the upright image; an Exif block in them is not looked
/// at.
/// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read, 65 if it is damaged, too
///   large, or no grey PNG of 16 bits.
public func readGrey(_ path: String, pixelLimit: Int = standardPixelLimit) throws -> GreyMap {
  try decodeGrey(readFile(path), name: path, pixelLimit: pixelLimit)
}

/// Decodes the bytes of a grey PNG of 16 bits; `name` stands in failures.
/// - Throws: as `readGrey`, status 65.
public func decodeGrey(_ file: [UInt8], name: String, pixelLimit: Int = standardPixelLimit) throws -> GreyMap {
  guard file.starts(with: pngSignature) else { throw notAMap(name) }
  return try decodeGreyPNG(file, name: name, pixelLimit: pixelLimit)
}

/// A map as the bytes of a grey PNG of 16 bits.
public func encodePNG(_ map: GreyMap) -> [UInt8] { encodeGreyPNG(map) }

/// Writes a map as grey PNG of 16 bits under a temporary name, then renames it.
/// - Throws: a `Failure` that names the file: 73 if it cannot be created, 74 if writing fails.
public func writePNG(_ map: GreyMap, to path: String) throws { try writeFile(encodePNG(map), to: path) }
