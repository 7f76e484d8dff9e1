// What the disk can do by itself, to compare with: bytes written and read from end to end.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file without any form, for measuring.
public enum PlainFile {
  private static let piece = 16 << 20

  /// Writes so many bytes of noise and flushes them to the disk; returns the seconds. A file of that name is replaced.
  /// - Throws: `Failure` 73 if the file cannot be made, 74 if it cannot be written.
  public static func write(_ path: String, bytes count: Int) throws -> Double {
    let operations = SystemFileOperations()
    unlink(path)
    var state: UInt64 = 1
    let noise = (0..<piece / 8).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state
    }
    do {
      return try noise.withUnsafeBytes { noise in
        let watch = Stopwatch()
        let descriptor = try operations.create(path)
        defer { close(descriptor) }
        var done = 0
        while done < count {
          let piece = UnsafeRawBufferPointer(rebasing: noise.prefix(count - done))
          done += try operations.write(piece, to: descriptor, at: done)
        }
        try operations.flush(descriptor)
        return watch.seconds
      }
    } catch let error as SystemError {
      throw Failure(.inputOutput, "cannot write (\(error.reason))", at: path)
    }
  }

  /// Reads a file from end to end; returns the seconds.
  /// - Throws: `Failure` 66 if there is none, 74 if it cannot be read.
  public static func read(_ path: String) throws -> Double {
    let watch = Stopwatch()
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw openFailure(path, errno) }
    defer { close(descriptor) }
    return try withUnsafeTemporaryAllocation(byteCount: 4 << 20, alignment: 4096) { buffer in
      while true {
        let got = Self.systemRead(descriptor, buffer)
        guard got >= 0 else { throw Failure(.inputOutput, "cannot read", at: path) }
        if got == 0 { return watch.seconds }
      }
    }
  }

  /// Asks the system to forget what it holds of a file in memory, so that reading it reads the disk. File systems that
  /// live in memory do not.
  public static func forget(_ path: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    #if canImport(Glibc)
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    #endif
    close(descriptor)
  }

  private static func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    #if canImport(Glibc)
      Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    #else
      Darwin.read(descriptor, buffer.baseAddress, buffer.count)
    #endif
  }
}
