// Bytes by position, of a file or of memory, so that headers are read by the same code from both.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The first thing that is read of a file, which holds most headers whole.
private let firstPiece = 4096

/// Bytes of a file or of memory.
final class HeaderBytes {
  /// What failures call the bytes.
  let name: String
  private let descriptor: Int32
  private let start: [UInt8]

  /// A whole file in memory.
  init(_ file: [UInt8], name: String) {
    self.name = name
    descriptor = -1
    start = file
  }

  /// A file that is read piece by piece.
  /// - Throws: a `Failure` that names the file: 66 if there is none, 74 if it cannot be read.
  init(path: String) throws {
    name = path
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { throw openingFailure(path) }
    let piece: [UInt8]
    do {
      piece = try HeaderBytes.read(opened, 0, firstPiece, path)
    } catch {
      close(opened)
      throw error
    }
    descriptor = opened
    start = piece
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// `count` bytes at a position, or nil where the file ends before.
  func bytes(_ position: Int, _ count: Int) throws -> ArraySlice<UInt8>? {
    if position + count <= start.count { return start[position..<position + count] }
    guard descriptor >= 0 else { return nil }
    let piece = try HeaderBytes.read(descriptor, position, count, name)
    return piece.count == count ? piece[...] : nil
  }

  /// One byte, or nil behind the end.
  func byte(_ position: Int) throws -> UInt8? {
    position < start.count ? start[position] : try bytes(position, 1)?.first
  }

  /// A number of `count` bytes, the most significant first; nil where the file ends before.
  func number(_ position: Int, _ count: Int) throws -> Int? {
    try bytes(position, count).map { $0.reduce(0) { $0 << 8 | Int($1) } }
  }

  /// At most `count` bytes; fewer at the end of the file only.
  private static func read(_ descriptor: Int32, _ position: Int, _ count: Int, _ path: String) throws -> [UInt8] {
    var piece = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = piece.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + done, count - done, off_t(position + done))
      }
      guard got >= 0 || errno == EINTR else {
        throw Failure(
          .inputOutput, "cannot be read (\(systemReason()))", at: path, remedy: "give a file that can be read")
      }
      if got == 0 { break }
      done += max(0, got)
    }
    return Array(piece[0..<done])
  }
}
