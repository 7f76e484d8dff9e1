// libFuzzer on safetensors files. An even first byte puts the right header length in front, with the bytes after the
// first line feed as data.

import WeightFiles

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readSafetensors(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let rest = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  if start[0] % 2 == 0 {
    let end = rest.firstIndex(of: 10) ?? rest.endIndex
    readEverything(littleEndian(end, 8) + rest[..<end] + rest[min(end + 1, rest.count)...])
  } else {
    readEverything(rest)
  }
  return 0
}
