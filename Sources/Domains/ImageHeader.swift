// Image sizes from the first bytes of a file, so that thousands of files can be checked before a run starts.

import Foundation
import Support

/// Size of a PNG or JPEG image from its header, without decoding it.
///
/// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read, 65 if it is neither.
public func imageSize(of path: String) throws -> PixelSize {
  guard FileManager.default.fileExists(atPath: path) else {
    throw Failure(.missingInput, "no such file", at: path, remedy: "check the path")
  }
  guard let file = FileHandle(forReadingAtPath: path) else {
    throw Failure(.inputOutput, "cannot be opened", at: path, remedy: "check its permissions")
  }
  defer { try? file.close() }
  do {
    let start = [UInt8](try file.read(upToCount: 24) ?? Data())
    if start.starts(with: [0x89, 0x50, 0x4e, 0x47]), start.count == 24 {
      return PixelSize(height: bigEndian(start[20..<24]), width: bigEndian(start[16..<20]))
    }
    if start.starts(with: [0xff, 0xd8, 0xff]), let size = try sizeOfJPEG(file) { return size }
  } catch {
    throw Failure(.inputOutput, "cannot be read", at: path, remedy: "check the file and its disk")
  }
  throw Failure(.badData, "neither PNG nor JPEG, or cut off", at: path, remedy: "give images as PNG or JPEG")
}

/// Walks the segments of a JPEG file (ITU-T T.81, annex B) to its frame header; nil if there is none.
private func sizeOfJPEG(_ file: FileHandle) throws -> PixelSize? {
  var position: UInt64 = 2
  while true {
    try file.seek(toOffset: position)
    let segment = [UInt8](try file.read(upToCount: 9) ?? Data())
    guard segment.count == 9, segment[0] == 0xff else { return nil }
    let marker = segment[1]
    // Markers C0...CF are frame headers but for tables (C4, CC) and a reserved one (C8).
    if (0xc0...0xcf).contains(marker) && ![0xc4, 0xc8, 0xcc].contains(marker) {
      return PixelSize(height: bigEndian(segment[5..<7]), width: bigEndian(segment[7..<9]))
    }
    // Any marker may be preceded by fill bytes.
    position += marker == 0xff ? 1 : 2 + UInt64(bigEndian(segment[2..<4]))
  }
}

private func bigEndian(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
