// libFuzzer on PNG images. An even first byte gives every chunk the right checksum, so that the decoder is reached.

import Imagery
import Support

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readPicture(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  var file = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  if start[0] % 2 == 0 { repairChecksums(&file) }
  do {
    let image = try decodeRGB(file, name: "input")
    precondition(image.pixels.count == image.height * image.width * 3)
  } catch let failure as Failure {
    precondition(failure.status == .badData && !"\(failure)".contains(where: \.isNewline))
  } catch {
    fatalError("\(error)")
  }
  return 0
}
