// A file on disk, open for reading: never a pipe or a device, and never a byte beyond its end.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An open regular file. What is proved about it and what is read from it are the same file, whatever happens to its name.
final class RegularFile: Sendable {
  /// Path on disk.
  let path: String
  /// Bytes it had when it was opened.
  let count: Int
  private let descriptor: Int32

  /// Opens a file.
  /// - Throws: `Failure` 66 if there is none, 65 if it is a folder, pipe, socket or device, 74 if it cannot be opened.
  init(_ path: String) throws {
    self.path = path
    // Opening a pipe to which nobody writes would wait for ever.
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw openFailure(path, errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let number = errno
      close(descriptor)
      throw openFailure(path, number)
    }
    count = Int(status.st_size)
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw Failure(.badData, "is no file: expected a regular file", at: path)
    }
  }

  deinit { close(descriptor) }

  /// Reads from a place; returns how many bytes, fewer than there is room for only at the end of the file.
  /// - Throws: `Failure` 74 if the system cannot read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at place: Int) throws -> Int {
    var done = 0
    while done < buffer.count {
      let got = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(place + done))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else {
        throw Failure(.inputOutput, "cannot read (\(String(cString: strerror(errno))))", at: path)
      }
      if got == 0 { break }
      done += got
    }
    return done
  }

  /// Fills a buffer.
  /// - Throws: `Failure` 65 if the file ends before, 74 if the system cannot read.
  func fill(_ buffer: UnsafeMutableRawBufferPointer, at place: Int) throws {
    guard try read(into: buffer, at: place) == buffer.count else {
      throw Failure(.badData, "ends before byte \(place + buffer.count)", at: path)
    }
  }

  /// Bytes from a place.
  /// - Throws: as `fill`.
  func bytes(_ count: Int, at place: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      try fill(UnsafeMutableRawBufferPointer(buffer), at: place)
      filled = count
    }
  }
}
