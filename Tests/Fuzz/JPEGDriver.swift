// libFuzzer on JPEG images.

import Imagery
import Support

/// Called by libFuzzer for each input, which gets the bytes that every JPEG begins with.
@_cdecl("LLVMFuzzerTestOneInput")
public func readPicture(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  let file = [0xff, 0xd8, 0xff] + UnsafeBufferPointer(start: start, count: count).dropFirst(3)
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
