// Reading and writing images and label maps by path.

import Support
import Tensors

/// Pixels that an image may have unless a recipe says otherwise (`data.pixelLimit`): 100 million, 300 MB decoded.
public let standardPixelLimit = 100_000_000

/// Reads a PNG or JPEG, told apart by content, as 8-bit RGB, turned upright as its Exif block says.
///
/// Grey and palettised files are expanded, CMYK becomes RGB, transparency is dropped, 16 bits become 8; gamma and colour
/// profiles are ignored, so that pixels are the file's own numbers.
/// - Parameters:
///   - path: the file.
///   - pixelLimit: most pixels that the image may have; more are refused before memory is taken for them.
/// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read, 65 if it is damaged, cut
///   off, too large, of a kind that is not read, or neither PNG nor JPEG.
public func readRGB(_ path: String, pixelLimit: Int = standardPixelLimit) throws -> RGBImage {
  try decodeRGB(readFile(path), name: path, pixelLimit: pixelLimit)
}

/// Decodes the bytes of a PNG or JPEG file; `name` stands in failures.
/// - Throws: as `readRGB`, status 65.
public func decodeRGB(_ file: [UInt8], name: String, pixelLimit: Int = standardPixelLimit) throws -> RGBImage {
  if file.starts(with: pngSignature) { return try decodePNG(file, name: name, pixelLimit: pixelLimit) }
  if file.starts(with: jpegStart) { return try decodeJPEG(file, name: name, pixelLimit: pixelLimit) }
  throw Failure(.badData, "neither PNG nor JPEG", at: name, remedy: "give images as PNG or JPEG")
}

/// Reads class ids from a PNG, as `code` says. They belong to the upright image; an Exif block in them is not looked at.
/// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read, 65 if it is damaged, not a
///   PNG, too large, not of the code, or holds an id above 255 or a colour that the code does not list.
public func readLabels(
  _ path: String, code: LabelCode = .index, pixelLimit: Int = standardPixelLimit
) throws -> LabelMap {
  try decodeLabels(readFile(path), name: path, code: code, pixelLimit: pixelLimit)
}

/// Decodes the bytes of a label PNG; `name` stands in failures.
/// - Throws: as `readLabels`, status 65.
public func decodeLabels(
  _ file: [UInt8], name: String, code: LabelCode = .index, pixelLimit: Int = standardPixelLimit
) throws -> LabelMap {
  guard file.starts(with: pngSignature) else { throw notALabel(name) }
  return try decodeLabelPNG(file, name: name, code: code, pixelLimit: pixelLimit)
}

/// An image as the bytes of an RGB PNG file.
public func encodePNG(_ image: RGBImage) -> [UInt8] {
  encodePNG(image.pixels, height: image.height, width: image.width, channels: 3)
}

/// One label map as the bytes of an 8-bit grey PNG file.
/// - Precondition: `labels` holds one sample.
public func encodePNG(_ labels: LabelMap) -> [UInt8] {
  precondition(labels.samples == 1, "\(labels.samples) label maps for one PNG")
  return encodePNG(labels.values, height: labels.height, width: labels.width, channels: 1)
}

/// Bytes `[height, width]` as those of an 8-bit grey PNG file.
public func encodePNG(grey: [UInt8], height: Int, width: Int) -> [UInt8] {
  encodePNG(grey, height: height, width: width, channels: 1)
}

/// Writes an RGB PNG under a temporary name, then renames it.
/// - Throws: a `Failure` that names the file: 73 if it cannot be created, 74 if writing fails.
public func writePNG(_ image: RGBImage, to path: String) throws { try writeFile(encodePNG(image), to: path) }

/// Writes one label map as 8-bit grey PNG under a temporary name, then renames it.
/// - Throws: a `Failure` that names the file: 73 if it cannot be created, 74 if writing fails.
public func writePNG(_ labels: LabelMap, to path: String) throws { try writeFile(encodePNG(labels), to: path) }

/// Writes bytes `[height, width]` as 8-bit grey PNG under a temporary name, then renames it.
/// - Throws: a `Failure` that names the file: 73 if it cannot be created, 74 if writing fails.
public func writePNG(grey: [UInt8], height: Int, width: Int, to path: String) throws {
  try writeFile(encodePNG(grey: grey, height: height, width: width), to: path)
}
