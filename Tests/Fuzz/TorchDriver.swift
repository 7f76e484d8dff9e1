// libFuzzer on PyTorch checkpoints. The first byte says what the rest is: a whole file, a pickle inside a sound archive,
// or what follows the first pickle of a legacy file.

import Foundation
import WeightFiles

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func readTorch(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  let rest = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  let file: [UInt8]
  switch start[0] % 3 {
  case 0: file = rest
  case 1:
    let storages = (0..<3).map { (name: "archive/data/\($0)", bytes: [UInt8](repeating: 1, count: 8 << (2 * $0))) }
    file = Zip(entries: [("archive/data.pkl", rest)] + storages, hasChecksums: false).bytes
  default: file = legacyCheckpoint([], []).prefix(15) + rest
  }
  readEverything(file)
  return 0
}
