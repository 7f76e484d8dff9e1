// libFuzzer on label PNGs and on maps of 16-bit numbers. An even first byte gives every chunk the right checksum, so that the decoder is reached.

import Imagery
import Support

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readLabels(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  var file = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  if start[0] % 2 == 0 { repairChecksums(&file) }
  expectFailuresOnly {
    let labels = try decodeLabels(file, name: "input")
    precondition(labels.values.count == labels.height * labels.width)
  }
  expectFailuresOnly {
    let map = try decodeGrey(file, name: "input")
    precondition(map.values.count == map.height * map.width)
  }
  return 0
}

private func expectFailuresOnly(_ body: () throws -> Void) {
  do {
    try body()
  } catch let failure as Failure {
    precondition(failure.status == .badData && !"\(failure)".contains(where: \.isNewline))
  } catch {
    fatalError("\(error)")
  }
}
