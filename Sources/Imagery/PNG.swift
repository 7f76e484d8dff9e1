// PNG through libpng's simplified interface. Every checksum is verified here first, since libpng leaves the last data
// chunk of a file unchecked, and colour profiles are left out, so that pixels are the file's own numbers.

import CPNG
import Support
import Tensors

/// The first eight bytes of every PNG.
let pngSignature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

/// The longest side that a PNG may have, by its specification.
let pngSideLimit = Int(Int32.max)

/// More bytes of an Exif block are not looked at.
let exifLimit = 1 << 16

/// How many bytes one byte of deflated data can hold at most, rounded up.
private let deflateLimit = 1040

/// The chunks of a PNG, each with the checksum it claims.
private struct PNGChunks {
  /// Signature and critical chunks.
  private(set) var critical = pngSignature
  /// Bytes of deflated data.
  private(set) var dataCount = 0
  /// By the first Exif block before the pixels; nil without one.
  private(set) var orientation: Orientation?

  /// - Throws: 65 if a chunk is cut off or fails its checksum.
  init(_ file: [UInt8], name: String) throws {
    func number(at position: Int) -> Int { file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) } }
    var position = pngSignature.count
    while true {
      guard position + 12 <= file.count else { throw damagedPNG("cut off after \(file.count) bytes", name) }
      let length = number(at: position)
      guard length <= file.count - position - 12 else { throw damagedPNG("cut off after \(file.count) bytes", name) }
      let kind = String(decoding: file[position + 4..<position + 8], as: UTF8.self)
      let sum = file.withUnsafeBufferPointer { crc32(0, $0.baseAddress! + position + 4, UInt32(length + 4)) }
      guard Int(sum) == number(at: position + 8 + length) else {
        throw damagedPNG("chunk \(kind) at byte \(position) fails its checksum", name)
      }
      if ["IHDR", "PLTE", "IDAT", "IEND"].contains(kind) {
        critical.append(contentsOf: file[position..<position + length + 12])
      }
      if kind == "IDAT" { dataCount += length }
      if kind == "eXIf", dataCount == 0 {
        orientation = orientation ?? Orientation(exif: file[position + 8..<position + 8 + min(length, exifLimit)])
      }
      position += length + 12
      if kind == "IEND" { break }
    }
  }
}

private func damagedPNG(_ what: String, _ name: String) -> Failure {
  Failure(.badData, "damaged PNG: \(what)", at: name, remedy: "restore the file")
}

/// A PNG reduced to its critical chunks.
private struct CheckedPNG {
  let bytes: [UInt8]
  let height: Int
  let width: Int
  let bitDepth: UInt8
  /// 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
  let colourType: UInt8
  /// How the picture is turned upright, by the Exif block before its pixels.
  let orientation: Orientation

  /// The same file, said to have 8 bits of red, green, blue and alpha.
  private var asBytes: CheckedPNG { CheckedPNG(self, bitDepth: 8, colourType: 6) }

  /// A file with another header.
  private init(_ other: CheckedPNG, bitDepth: UInt8, colourType: UInt8) {
    var bytes = other.bytes
    bytes.replaceSubrange(24..<26, with: [bitDepth, colourType])
    let sum = bytes.withUnsafeBufferPointer { crc32(0, $0.baseAddress! + 12, 17) }
    bytes.replaceSubrange(29..<33, with: (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt($0))) })
    (self.bytes, height, width, orientation) = (bytes, other.height, other.width, other.orientation)
    (self.bitDepth, self.colourType) = (bitDepth, colourType)
  }

  /// Walks the chunks of a file.
  /// - Throws: 65 if a chunk is cut off or fails its checksum, or the header claims more than the data or the limit
  ///   allow.
  init(_ file: [UInt8], name: String, pixelLimit: Int) throws {
    let chunks = try PNGChunks(file, name: name)
    let kept = chunks.critical
    guard kept.count >= 33, String(decoding: kept[12..<16], as: UTF8.self) == "IHDR" else {
      throw damagedPNG("no header", name)
    }
    bytes = kept
    orientation = chunks.orientation ?? .upright
    width = kept[16..<20].reduce(0) { $0 << 8 | Int($1) }
    height = kept[20..<24].reduce(0) { $0 << 8 | Int($1) }
    bitDepth = kept[24]
    colourType = kept[25]
    guard (1...pngSideLimit).contains(width), (1...pngSideLimit).contains(height) else {
      throw damagedPNG("size \(width)x\(height)", name)
    }
    try checkPixels(PixelSize(height: height, width: width), limit: pixelLimit, name: name)
    // Memory is taken for the size that the header claims, so the data must be able to fill it.
    guard height * width / 8 * max(1, Int(bitDepth)) <= (chunks.dataCount + 1) * deflateLimit else {
      throw damagedPNG("\(chunks.dataCount) bytes of data for \(width)x\(height) pixels", name)
    }
  }

  /// Pixels in one of libpng's formats, `channels` bytes each.
  func pixels(format: UInt32, channels: Int, name: String) throws -> [UInt8] {
    var image = png_image()
    image.version = cpng_image_version()
    defer { png_image_free(&image) }
    var pixels = [UInt8](repeating: 0, count: height * width * channels)
    var colours = [UInt8](repeating: 0, count: 256 * 3)
    var done = png_image_begin_read_from_memory(&image, bytes, bytes.count) != 0
    if done {
      image.format = format
      image.flags |= cpng_flag_16bit_srgb()
      done = png_image_finish_read(&image, nil, &pixels, Int32(width * channels), &colours) != 0
    }
    guard done, cpng_image_failed(&image) == 0 else {
      throw Failure(.badData, "damaged PNG: \(message(of: image))", at: name, remedy: "restore the file")
    }
    return pixels
  }

  /// Colours of 8 bits as they are stored; transparency is dropped, not blended.
  func image(name: String) throws -> RGBImage {
    guard colourType & 4 != 0 else {
      return RGBImage(
        height: height, width: width, pixels: try pixels(format: cpng_format_rgb(), channels: 3, name: name))
    }
    let withAlpha = try pixels(format: cpng_format_rgba(), channels: 4, name: name)
    var image = RGBImage(height: height, width: width)
    for pixel in 0..<height * width {
      for channel in 0..<3 { image.pixels[pixel * 3 + channel] = withAlpha[pixel * 4 + channel] }
    }
    return image
  }

  /// The first channel of a file of 16 bits: grey, grey with alpha or RGB.
  func firstNumbers(name: String) throws -> [UInt16] {
    switch colourType {
    case 0: return try numbers(name: name)
    case 2:
      let all = try numbers(format: cpng_format_rgb16(), channels: 3, name: name)
      return stride(from: 0, to: all.count, by: 3).map { all[$0] }
    default:
      // The library multiplies 16-bit grey by its alpha. Four bytes a pixel are filtered alike whatever they mean: told
      // that they are red, green, blue and alpha of 8 bits, it gives them as they are.
      let parts = try asBytes.pixels(format: cpng_format_rgba(), channels: 4, name: name)
      return stride(from: 0, to: parts.count, by: 4).map { UInt16(parts[$0]) << 8 | UInt16(parts[$0 + 1]) }
    }
  }

  /// The numbers of a grey file of 16 bits.
  func numbers(name: String) throws -> [UInt16] {
    try numbers(format: cpng_format_grey16(), channels: 1, name: name)
  }

  /// Numbers of 16 bits as they are: without gamma the library takes and gives them as linear light.
  private func numbers(format: UInt32, channels: Int, name: String) throws -> [UInt16] {
    var image = png_image()
    image.version = cpng_image_version()
    defer { png_image_free(&image) }
    var numbers = [UInt16](repeating: 0, count: height * width * channels)
    var done = png_image_begin_read_from_memory(&image, bytes, bytes.count) != 0
    if done {
      image.format = format
      done = png_image_finish_read(&image, nil, &numbers, Int32(width * channels), nil) != 0
    }
    guard done, cpng_image_failed(&image) == 0 else {
      throw Failure(.badData, "damaged PNG: \(message(of: image))", at: name, remedy: "restore the file")
    }
    return numbers
  }
}

/// Decodes the numbers of a grey PNG of 16 bits.
func decodeGreyPNG(_ file: [UInt8], name: String, pixelLimit: Int) throws -> GreyMap {
  let png = try CheckedPNG(file, name: name, pixelLimit: pixelLimit)
  try checkGreyKind(bitDepth: png.bitDepth, colourType: png.colourType, name: name)
  return GreyMap(height: png.height, width: png.width, values: try png.numbers(name: name))
}

/// Makes sure that a PNG is grey with 16 bits.
/// - Throws: `Failure` 65 that says what it is.
func checkGreyKind(bitDepth: UInt8, colourType: UInt8, name: String) throws {
  guard colourType == 0, bitDepth == 16 else {
    throw Failure(
      .badData, "a map of numbers is \(bitDepth)-bit \(kind(ofColourType: colourType)), not 16-bit grey", at: name,
      remedy: "give 16-bit grey PNG")
  }
}

/// Words for what a PNG's pixels hold.
func kind(ofColourType type: UInt8) -> String {
  [0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"][type] ?? "unknown"
}

/// Encodes numbers of 16 bits as a grey PNG.
func encodeGreyPNG(_ map: GreyMap) -> [UInt8] {
  var image = png_image()
  image.version = cpng_image_version()
  image.width = UInt32(map.width)
  image.height = UInt32(map.height)
  image.format = cpng_format_grey16()
  var size = cpng_size_bound(image)
  var file = [UInt8](repeating: 0, count: size)
  let done = png_image_write_to_memory(&image, &file, &size, 0, map.values, Int32(map.width), nil)
  precondition(done != 0, "libpng: \(message(of: image))")
  return Array(file[0..<size])
}

/// Decodes a PNG's colours, turned upright; transparency is dropped, not blended, and gamma is ignored, as OpenCV and
/// Pillow do.
func decodePNG(_ file: [UInt8], name: String, pixelLimit: Int) throws -> RGBImage {
  let png = try CheckedPNG(file, name: name, pixelLimit: pixelLimit)
  return try png.image(name: name).turned(png.orientation)
}

/// Decodes a PNG's class ids, as `code` says.
func decodeLabelPNG(_ file: [UInt8], name: String, code: LabelCode, pixelLimit: Int) throws -> LabelMap {
  let png = try CheckedPNG(file, name: name, pixelLimit: pixelLimit)
  try code.check(bitDepth: png.bitDepth, colourType: png.colourType, name: name)
  if case .colours(let colours) = code {
    return try LabelCode.ids(of: png.image(name: name), colours, name: name)
  }
  if png.bitDepth == 16 {
    return try LabelCode.narrowed(
      png.firstNumbers(name: name), height: png.height, width: png.width, name: name)
  }
  guard png.colourType == 0 || png.colourType == 3 else {
    let image = try png.image(name: name)
    let first = stride(from: 0, to: image.pixels.count, by: 3).map { image.pixels[$0] }
    return LabelMap(height: png.height, width: png.width, values: first)
  }
  let values = try png.pixels(format: cpng_format_rgb_colormap(), channels: 1, name: name)
  return LabelMap(height: png.height, width: png.width, values: values)
}

/// Encodes 8-bit rows of one (grey) or three (RGB) channels.
func encodePNG(_ pixels: [UInt8], height: Int, width: Int, channels: Int) -> [UInt8] {
  precondition(
    pixels.count == height * width * channels && height > 0 && width > 0,
    "\(pixels.count) bytes for a PNG of \(height)x\(width)x\(channels)")
  var image = png_image()
  image.version = cpng_image_version()
  image.width = UInt32(width)
  image.height = UInt32(height)
  image.format = channels == 1 ? cpng_format_gray() : cpng_format_rgb()
  var size = cpng_size_bound(image)
  var file = [UInt8](repeating: 0, count: size)
  let done = png_image_write_to_memory(&image, &file, &size, 0, pixels, Int32(width * channels), nil)
  precondition(done != 0, "libpng: \(message(of: image))")
  return Array(file[0..<size])
}

/// libpng's words for what it met.
private func message(of image: png_image) -> String {
  withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
