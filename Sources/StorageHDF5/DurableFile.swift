// Files that are either complete or not there: written under a temporary name, flushed to the disk, then renamed.

import Foundation
import Support
import Synchronization

enum DurableFile {
  private static let counter = Atomic<Int>(0)

  /// Writes `bytes` with their first bytes replaced by `header`, which goes last, and puts the file under its name.
  /// - Throws: `Failure` 73 if the folder or the file cannot be created, 74 if writing fails or the disk has no room;
  ///   the temporary file is removed then, and a file that was under the name before stays.
  static func write(_ bytes: UnsafeRawBufferPointer, header: [UInt8], to path: String) throws {
    let parent = (path as NSString).deletingLastPathComponent
    let folder = parent.isEmpty ? "." : parent
    try createFolder(folder)
    removeLeftovers(in: folder)
    try checkRoom(for: bytes.count, in: folder, path)
    let (descriptor, temporary) = try createTemporary(path)
    do {
      defer { close(descriptor) }
      try writeAll(UnsafeRawBufferPointer(rebasing: bytes[header.count...]), descriptor, at: header.count, path)
      try flush(descriptor, path)
      try header.withUnsafeBytes { try writeAll($0, descriptor, at: 0, path) }
      try flush(descriptor, path)
      guard rename(temporary, path) == 0 else { throw failure(.cannotCreate, "cannot rename", path) }
    } catch {
      unlink(temporary)
      throw error
    }
    try flushFolder(folder)
  }

  /// Makes a folder and those above it; one that is there already is fine.
  static func createFolder(_ folder: String) throws {
    guard !folder.isEmpty, folder != "/", mkdir(folder, 0o755) != 0 else { return }
    if errno == ENOENT {
      try createFolder((folder as NSString).deletingLastPathComponent)
      if mkdir(folder, 0o755) == 0 { return }
    }
    var status = stat()
    if errno == EEXIST && stat(folder, &status) == 0 {
      if status.st_mode & S_IFMT == S_IFDIR { return }
      errno = ENOTDIR
    }
    throw failure(.cannotCreate, "cannot create the folder", folder)
  }

  /// Makes a change of names in a folder last.
  static func flushFolder(_ folder: String) throws {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(.inputOutput, "cannot open the folder", folder) }
    defer { close(descriptor) }
    // Some network file systems refuse to flush folders and need it not.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure(.inputOutput, "cannot flush", folder) }
  }

  /// Removes temporaries of writers that were killed: those of living ones are locked.
  private static func removeLeftovers(in folder: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where name.hasSuffix(".h5.tmp") {
      let path = "\(folder)/\(name)"
      let descriptor = open(path, O_RDWR | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
      close(descriptor)
    }
  }

  private static func checkRoom(for bytes: Int, in folder: String, _ path: String) throws {
    var statistics = statvfs()
    guard statvfs(folder, &statistics) == 0 else { return }
    let free = Int(clamping: statistics.f_bavail).multipliedReportingOverflow(by: Int(clamping: statistics.f_frsize))
    guard free.overflow || free.partialValue >= bytes else {
      throw Failure(
        .inputOutput, "the disk has \(free.partialValue) bytes free, \(bytes) are needed", at: path,
        remedy: "make room or save to another disk")
    }
  }

  private static func createTemporary(_ path: String) throws -> (descriptor: Int32, path: String) {
    while true {
      let number = counter.add(1, ordering: .relaxed).oldValue
      let temporary = "\((path as NSString).deletingPathExtension).\(getpid())-\(number).h5.tmp"
      let descriptor = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      if descriptor < 0 && errno == EEXIST { continue }
      guard descriptor >= 0 else { throw failure(.cannotCreate, "cannot create the file", path) }
      // Between opening and locking, another writer may take the file for a leftover and remove it.
      flock(descriptor, LOCK_EX)
      var status = stat()
      if fstat(descriptor, &status) == 0, status.st_nlink > 0 { return (descriptor, temporary) }
      close(descriptor)
    }
  }

  private static func writeAll(_ bytes: UnsafeRawBufferPointer, _ descriptor: Int32, at start: Int, _ path: String)
    throws
  {
    var done = 0
    while done < bytes.count {
      let piece = UnsafeRawBufferPointer(rebasing: bytes[done..<min(done + (64 << 20), bytes.count)])
      let written = pwrite(descriptor, piece.baseAddress, piece.count, off_t(start + done))
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw failure(.inputOutput, "cannot write", path) }
      done += written
    }
  }

  private static func flush(_ descriptor: Int32, _ path: String) throws {
    guard fsync(descriptor) == 0 else { throw failure(.inputOutput, "cannot flush to the disk", path) }
  }

  private static func failure(_ status: ExitStatus, _ what: String, _ path: String) -> Failure {
    let number = errno
    let remedy = number == ENOSPC || number == EDQUOT ? "make room or save to another disk" : nil
    return Failure(status, "\(what) (\(String(cString: strerror(number))))", at: path, remedy: remedy)
  }
}
