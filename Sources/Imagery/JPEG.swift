// JPEG through the TurboJPEG interface, which needs no setjmp. It tells its first warning only, so what is harmless is
// put right in a copy of the file before: a warning that is left means that the picture is not whole.

import CTurboJPEG
import Support

/// More pixels than one byte of Huffman-coded data can stand for: a bit says that a block of 64 is like the one before,
/// and two channels may share a picture in blocks that are four times as wide or as high.
private let pixelsPerByte = 1024

/// Decodes a JPEG, turned upright, with the accurate inverse transform, whose result does not depend on the processor.
///
/// A picture that is whole is read with a warning where others read it: another revision of JFIF, bytes that belong
/// nowhere, no end marker. A picture that is cut is refused, as libjpeg would fill in what is missing.
func decodeJPEG(_ file: [UInt8], name: String, pixelLimit: Int) throws -> RGBImage {
  let header = try JPEGHeader(HeaderBytes(file, name: name))
  try header.check(name: name, fileBytes: file.count, pixelLimit: pixelLimit)
  var (whole, remarks) = try mended(file, header, name: name)
  guard let decoder = tjInitDecompress() else { preconditionFailure("TurboJPEG offers no decoder") }
  defer { tjDestroy(decoder) }
  let (height, width, isInk) = (header.stored.height, header.stored.width, header.channels == 4)
  var pixels = [UInt8](repeating: 0, count: height * width * (isInk ? 4 : 3))
  let format = isInk ? TJPF_CMYK : TJPF_RGB
  let status = tjDecompress2(
    decoder, whole, UInt(whole.count), &pixels, Int32(width), 0, Int32(height), Int32(format.rawValue),
    TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS)
  if status != 0 {
    let reason = String(cString: tjGetErrorStr2(decoder))
    // The last marker comes after all pixels, so that with this as the first warning none is missing.
    guard tjGetErrorCode(decoder) == TJERR_WARNING.rawValue,
      reason.hasSuffix("extraneous bytes before marker 0xd9")
    else { throw Failure(.badData, "damaged JPEG: \(reason)", at: name, remedy: "restore the file") }
    remarks.append("bytes before its end marker that belong nowhere")
  }
  if !remarks.isEmpty {
    FileWarnings.tell("the JPEG has \(remarks.joined(separator: ", ")); its picture is whole and is used", at: name)
  }
  let image = RGBImage(height: height, width: width, pixels: isInk ? colours(ofInks: pixels) : pixels)
  return image.turned(header.orientation)
}

extension JPEGHeader {
  /// Makes sure that the picture can be read, before memory is taken for it.
  /// - Parameters:
  ///   - fileBytes: size of the whole file; nil where it is not known.
  ///   - pixelLimit: most pixels that a picture may have.
  /// - Throws: `Failure` 65 that says why not.
  func check(name: String, fileBytes: Int?, pixelLimit: Int) throws {
    if let refusal {
      throw Failure(
        .badData, "\(refusal), which is not read", at: name, remedy: "save it as an 8-bit baseline JPEG or as PNG")
    }
    guard stored.width > 0 else {
      throw Failure(.badData, "damaged JPEG: size \(stored)", at: name, remedy: "restore the file")
    }
    try checkPixels(stored, limit: pixelLimit, name: name)
    // Arithmetic coding (C9, CA) has no such bound.
    guard let fileBytes, process <= 0xc2 else { return }
    guard stored.height * stored.width / pixelsPerByte <= fileBytes else {
      throw Failure(
        .badData, "damaged JPEG: \(fileBytes) bytes for \(stored) pixels", at: name, remedy: "restore the file")
    }
  }
}

/// The file without what libjpeg would warn of though no pixel depends on it, and words about what that was.
/// - Throws: `Failure` 65 if the file ends before all of the picture has come.
private func mended(_ file: [UInt8], _ header: JPEGHeader, name: String) throws -> ([UInt8], [String]) {
  var remarks: [String] = []
  let scans = try JPEGScans(file, after: header, name: name)
  var result = file
  if !scans.hasEnd {
    guard scans.areComplete else {
      throw Failure(
        .badData, "damaged JPEG: cut off after \(file.count) bytes, before its last scan", at: name,
        remedy: "restore the file")
    }
    result += [0xff, 0xd9]
    remarks.append("no end marker")
  }
  if let revision = header.revision {
    remarks.append("JFIF revision \(file[revision]).x")
    result[revision] = 1
  }
  let strays = header.strays + scans.strays
  if !strays.isEmpty {
    remarks.append("\(strays.reduce(0) { $0 + $1.count }) bytes between its segments that belong nowhere")
    for range in strays.reversed() { result.removeSubrange(range) }
  }
  return (result, remarks)
}

/// The scans of a JPEG in memory.
private struct JPEGScans {
  /// Whether the end marker is there.
  private(set) var hasEnd = false
  /// Bytes between segments that belong to none. Those behind compressed data cannot be told from them.
  private(set) var strays: [Range<Int>] = []
  /// Coefficients, as bits, that have come in full precision, by channel.
  private var known: [UInt8: UInt64] = [:]
  private let channels: Int

  /// Whether every coefficient of every channel has come: a progressive file that is cut between two scans has a whole
  /// picture, but a coarse one.
  var areComplete: Bool { known.count >= channels && known.values.allSatisfy { $0 == .max } }

  /// Walks what follows the frame.
  init(_ file: [UInt8], after header: JPEGHeader, name: String) throws {
    channels = header.channels
    var walk = SegmentWalk(HeaderBytes(file, name: name), position: header.end)
    while !hasEnd, let segment = try walk.next() {
      hasEnd = segment.marker == 0xd9
      guard segment.marker == 0xda, segment.data.upperBound <= file.count else { continue }
      note(file[segment.data], isProgressive: [0xc2, 0xca].contains(header.process))
      walk.skipScan(in: file)
    }
    strays = walk.strays
  }

  /// Notes which coefficients a scan brings to their last bit.
  private mutating func note(_ scan: ArraySlice<UInt8>, isProgressive: Bool) {
    guard let count = scan.first.map(Int.init), scan.count >= 4 + 2 * count else { return }
    let start = scan.startIndex + 1
    let band = scan[(start + 2 * count)...].prefix(3).map(Int.init)
    guard band[0] <= band[1], band[1] < 64 else { return }
    // Of the last byte, the lower half says how many bits are still to come.
    let bits: UInt64 = band[2] & 15 > 0 ? 0 : (band[0]...band[1]).reduce(0) { $0 | 1 << UInt64($1) }
    for channel in 0..<count { known[scan[start + 2 * channel], default: 0] |= isProgressive ? bits : .max }
  }
}

/// Red, green and blue of cyan, magenta, yellow and black as Photoshop stores them, with 255 for no ink; as Pillow has
/// it.
private func colours(ofInks inks: [UInt8]) -> [UInt8] {
  var colours = [UInt8](repeating: 0, count: inks.count / 4 * 3)
  for pixel in 0..<inks.count / 4 {
    let light = Int(inks[pixel * 4 + 3])
    for channel in 0..<3 {
      // What an ink takes away of the light that black leaves, divided by 255 and rounded.
      let taken = (255 - Int(inks[pixel * 4 + channel])) * light + 128
      colours[pixel * 3 + channel] = UInt8(max(0, light - (taken >> 8 + taken) >> 8))
    }
  }
  return colours
}

/// Encodes a JPEG without colour subsampling.
/// - Parameters:
///   - image: the image.
///   - quality: 1 ... 100.
public func encodeJPEG(_ image: RGBImage, quality: Int) -> [UInt8] {
  guard let encoder = tjInitCompress() else { preconditionFailure("TurboJPEG offers no encoder") }
  defer { tjDestroy(encoder) }
  var file: UnsafeMutablePointer<UInt8>?
  var size: UInt = 0
  let status = tjCompress2(
    encoder, image.pixels, Int32(image.width), 0, Int32(image.height), Int32(TJPF_RGB.rawValue), &file, &size,
    Int32(TJSAMP_444.rawValue), Int32(quality), TJFLAG_ACCURATEDCT)
  defer { tjFree(file) }
  guard status == 0, let file else { preconditionFailure("TurboJPEG: \(String(cString: tjGetErrorStr2(encoder)))") }
  return Array(UnsafeBufferPointer(start: file, count: Int(size)))
}
