// libFuzzer on label PNGs. An even first byte gives every chunk the right checksum, so that the decoder is reached.

import Imagery
import Support

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readLabels(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  var file = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  if start[0] % 2 == 0 { repairChecksums(&file) }
  do {
    let labels = try decodeLabels(file, name: "input")
    precondition(labels.values.count == labels.height * labels.width)
  } catch let failure as Failure {
    precondition(failure.status == .badData && !"\(failure)".contains(where: \.isNewline))
  } catch {
    fatalError("\(error)")
  }
  return 0
}

private func repairChecksums(_ file: inout [UInt8]) {
  var position = 8
  while position + 12 <= file.count {
    let length = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    guard length <= file.count - position - 12 else { return }
    let end = position + 8 + length
    let checksum = Zip.checksum(Array(file[position + 4..<end]))
    for index in 0..<4 { file[end + index] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * index)) }
    position = end + 4
  }
}
