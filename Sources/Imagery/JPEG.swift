// JPEG through the TurboJPEG interface, which needs no setjmp.

import CTurboJPEG
import Support

/// Decodes a JPEG with the accurate inverse transform, whose result does not depend on the processor.
///
/// A warning counts as damage: libjpeg fills in what is missing and would otherwise hand over an invented picture.
func decodeJPEG(_ file: [UInt8], name: String) throws -> RGBImage {
  guard let decoder = tjInitDecompress() else { preconditionFailure("TurboJPEG offers no decoder") }
  defer { tjDestroy(decoder) }
  func damaged() -> Failure {
    let reason = String(cString: tjGetErrorStr2(decoder))
    return Failure(.badData, "damaged JPEG: \(reason)", at: name, remedy: "restore the file")
  }
  var (width, height, subsampling, colours): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
  let header = tjDecompressHeader3(decoder, file, UInt(file.count), &width, &height, &subsampling, &colours)
  guard header == 0, width > 0, height > 0 else { throw damaged() }
  var image = RGBImage(height: Int(height), width: Int(width))
  let status = tjDecompress2(
    decoder, file, UInt(file.count), &image.pixels, width, 0, height, Int32(TJPF_RGB.rawValue), TJFLAG_ACCURATEDCT)
  guard status == 0 else { throw damaged() }
  return image
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
