// The system calls that change the disk. Everything this target writes goes through them, so that a test can make any
// single one fail, or end the process there.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A system call that failed.
public struct SystemError: Error, Sendable, Equatable {
  /// The system's number, such as `ENOSPC`.
  public let number: Int32

  /// From the system's number.
  public init(_ number: Int32) { self.number = number }

  /// The system's words for it.
  public var reason: String { String(cString: strerror(number)) }
}

/// What a writer asks of the system. Each function is one step that can fail, or be the last before a crash.
public protocol FileOperations: Sendable {
  /// Makes one folder.
  func makeFolder(_ path: String) throws(SystemError)
  /// Creates a file that must not exist yet, for reading and writing; returns its descriptor.
  func create(_ path: String) throws(SystemError) -> Int32
  /// Writes some of the bytes at a place in the file, at least one, and returns how many.
  func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at place: Int) throws(SystemError) -> Int
  /// Puts what was written into a file on the disk.
  func flush(_ descriptor: Int32) throws(SystemError)
  /// Gives a file another name, in place of a file that had it.
  func rename(_ path: String, to name: String) throws(SystemError)
  /// Removes a name.
  func remove(_ path: String) throws(SystemError)
  /// Puts changes of names in a folder on the disk.
  func flushFolder(_ path: String) throws(SystemError)
}

/// The system's own calls.
public struct SystemFileOperations: FileOperations {
  /// There is only one system.
  public init() {}

  /// `mkdir`.
  public func makeFolder(_ path: String) throws(SystemError) { try check(mkdir(path, 0o755)) }

  /// `open` with `O_EXCL`.
  public func create(_ path: String) throws(SystemError) -> Int32 {
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    try check(descriptor)
    return descriptor
  }

  /// `pwrite`, again where a signal came in between.
  public func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at place: Int
  ) throws(SystemError) -> Int {
    while true {
      let written = pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(place))
      if written > 0 { return written }
      guard written < 0 else { throw SystemError(EIO) }
      guard errno == EINTR else { throw SystemError(errno) }
    }
  }

  /// `fsync`.
  public func flush(_ descriptor: Int32) throws(SystemError) { try check(fsync(descriptor)) }

  /// `rename`.
  public func rename(_ path: String, to name: String) throws(SystemError) {
    try check(Self.systemRename(path, name))
  }

  /// `unlink`.
  public func remove(_ path: String) throws(SystemError) { try check(unlink(path)) }

  /// `fsync` of the folder; a file system that does not flush folders is left to itself.
  public func flushFolder(_ path: String) throws(SystemError) {
    if case .failed(let number) = Support.flushFolder(path) { throw SystemError(number) }
  }

  private func check(_ result: Int32) throws(SystemError) {
    guard result >= 0 else { throw SystemError(errno) }
  }

  private static func systemRename(_ path: String, _ name: String) -> Int32 {
    #if canImport(Glibc)
      Glibc.rename(path, name)
    #else
      Darwin.rename(path, name)
    #endif
  }
}
