// Files that are either complete or not there: written under a temporary name, flushed to the disk, then renamed.

import Foundation
import Support
import Synchronization

/// Writes whole files through `operations`.
struct DurableFile {
  let operations: any FileOperations
  private static let counter = Atomic<Int>(0)
  /// Bytes of one call: large enough to cost nothing, small enough that a full disk shows early.
  private static let piece = 16 << 20

  init(_ operations: any FileOperations) { self.operations = operations }

  /// Writes `bytes`, the first of which are the place of the seal, and puts the file under its name. The seal goes last;
  /// it is computed while the rest is written.
  /// - Throws: `Failure` 73 if the folder or the file cannot be created for a reason that stays, 74 if the disk has no
  ///   room or writing fails; the temporary file is removed then, and a file that was under the name before stays.
  @discardableResult
  func write(_ bytes: UnsafeRawBufferPointer, as kind: Seal.Kind, to path: String) throws -> Seal {
    let parent = parentFolder(of: path)
    let folder = parent.isEmpty ? "." : parent
    try createFolder(folder)
    removeTemporaries(in: folder) { $0?.standing == .hasEnded }
    try checkRoom(for: bytes.count, in: folder, path)
    let (descriptor, temporary) = try createTemporary(path)
    let sealing = Sealing(kind, bytes)
    defer { _ = sealing.seal }
    do {
      defer { close(descriptor) }
      try writeAll(UnsafeRawBufferPointer(rebasing: bytes[Seal.length...]), descriptor, at: Seal.length, path)
      try flush(descriptor, path)
      try sealing.seal.block.withUnsafeBytes { try writeAll($0, descriptor, at: 0, path) }
      try flush(descriptor, path)
      try doing("rename", path, .cannotCreate) { () throws(SystemError) in
        try operations.rename(temporary, to: path)
      }
    } catch {
      try? operations.remove(temporary)
      throw error
    }
    try flushFolder(folder)
    return sealing.seal
  }

  /// Makes a folder and those above it, to last; one that is there already is fine.
  func createFolder(_ folder: String) throws {
    guard !folder.isEmpty, folder != "/" else { return }
    let parent = parentFolder(of: folder)
    do throws(SystemError) {
      try operations.makeFolder(folder)
    } catch {
      var status = stat()
      if error.number == EEXIST && stat(folder, &status) == 0 {
        if status.st_mode & S_IFMT == S_IFDIR { return }
        throw failure(.cannotCreate, "create the folder", folder, SystemError(ENOTDIR))
      }
      guard error.number == ENOENT, !parent.isEmpty, parent != "/" else {
        throw failure(.cannotCreate, "create the folder", folder, error)
      }
      try createFolder(parent)
      return try createFolder(folder)
    }
    try flushFolder(parent.isEmpty ? "." : parent)
  }

  /// Makes a change of names in a folder last.
  func flushFolder(_ folder: String) throws {
    try doing("flush the folder", folder, .inputOutput) { () throws(SystemError) in
      try operations.flushFolder(folder)
    }
  }

  /// Removes a file; one that is gone already is fine.
  func remove(_ path: String) throws {
    try doing("delete", path, .inputOutput) { () throws(SystemError) in
      do throws(SystemError) {
        try operations.remove(path)
      } catch  where error.number == ENOENT { return } catch { throw error }
    }
  }

  /// Gives a file another name.
  func rename(_ path: String, to name: String) throws {
    try doing("rename", path, .inputOutput) { () throws(SystemError) in try operations.rename(path, to: name) }
  }

  /// Removes temporaries by their owners; nil stands for one that the name does not tell. What cannot be removed stays.
  func removeTemporaries(in folder: String, where isAbandoned: (ProcessIdentity?) -> Bool) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    where TemporaryName.isOne(name) && isAbandoned(TemporaryName.owner(of: name)) {
      try? operations.remove("\(folder)/\(name)")
    }
  }

  private func checkRoom(for bytes: Int, in folder: String, _ path: String) throws {
    var statistics = statvfs()
    guard statvfs(folder, &statistics) == 0 else { return }
    let free = Int(clamping: statistics.f_bavail).multipliedReportingOverflow(by: Int(clamping: statistics.f_frsize))
    guard free.overflow || free.partialValue >= bytes else {
      throw Failure(
        .inputOutput, "the disk has \(free.partialValue) bytes free, \(bytes) are needed", at: path,
        remedy: "make room or save to another disk")
    }
  }

  private func createTemporary(_ path: String) throws -> (descriptor: Int32, path: String) {
    while true {
      let number = DurableFile.counter.add(1, ordering: .relaxed).oldValue
      let temporary = TemporaryName.path(for: path, number)
      do throws(SystemError) {
        return (try operations.create(temporary), temporary)
      } catch  where error.number == EEXIST {
        continue
      } catch {
        throw failure(.cannotCreate, "create the file", path, error)
      }
    }
  }

  private func writeAll(
    _ bytes: UnsafeRawBufferPointer, _ descriptor: Int32, at start: Int, _ path: String
  ) throws {
    var done = 0
    while done < bytes.count {
      let piece = UnsafeRawBufferPointer(rebasing: bytes[done..<min(done + DurableFile.piece, bytes.count)])
      let place = start + done
      done += try doing("write", path, .inputOutput) { () throws(SystemError) in
        try operations.write(piece, to: descriptor, at: place)
      }
    }
  }

  private func flush(_ descriptor: Int32, _ path: String) throws {
    try doing("flush to the disk", path, .inputOutput) { () throws(SystemError) in try operations.flush(descriptor) }
  }

  /// Turns the system's refusal into a failure that says what could not be done.
  private func doing<Result>(
    _ what: String, _ path: String, _ status: ExitStatus, _ body: () throws(SystemError) -> Result
  ) throws -> Result {
    do throws(SystemError) { return try body() } catch { throw failure(status, what, path, error) }
  }

  private func failure(_ status: ExitStatus, _ what: String, _ path: String, _ error: SystemError) -> Failure {
    let remedy = error.number == ENOSPC || error.number == EDQUOT ? "make room or save to another disk" : nil
    let status = status == .cannotCreate ? .creating(error.number) : status
    return Failure(status, "cannot \(what) (\(error.reason))", at: path, remedy: remedy)
  }
}

/// A seal that is computed on another thread; at once where the system has none to give.
private final class Sealing: @unchecked Sendable {
  private var thread: SystemThread?
  private var result: Seal?

  /// Begins; the bytes must stay until `seal` was asked for.
  init(_ kind: Seal.Kind, _ bytes: UnsafeRawBufferPointer) {
    nonisolated(unsafe) let bytes = bytes
    do {
      thread = try SystemThread("apus-seal") { [self] in result = Seal(kind, sealing: bytes) }
    } catch {
      result = Seal(kind, sealing: bytes)
    }
  }

  /// The seal; waits for it.
  var seal: Seal {
    thread?.join()
    thread = nil
    guard let result else { preconditionFailure("sealing ended without a seal") }
    return result
  }
}
