// The file `lock` of a run's folder: who may write there. The kernel's lock settles it among the processes of one kernel
// and ends with the process; the text tells other hosts, whose kernels may not share locks, and settles it alone where
// the file system has none.

import Foundation
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A held lock file; another process takes it when it is released or this process ends.
package final class RunLock {
  /// What a user should know where the kernel has no lock for this file; nil where it has.
  package let warning: String?
  private let path: String
  private let file: FileHandle
  private static let own = RunHolder(
    process: getpid(), host: ProcessInfo.processInfo.hostName, identity: ProcessIdentity.current)

  /// Makes the file if need be and writes this process into it.
  /// - Parameter subject: what it guards, in words.
  /// - Throws: `Failure` 73 if another process holds it or it cannot be made, 74 if that may pass.
  package init(_ path: String, of subject: String = "run") throws {
    self.path = path
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw Failure(.creating(errno), "it cannot be made (\(SystemReason(errno)))", at: path)
    }
    file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    let answer = RunLock.lock(descriptor)
    let text = String(decoding: (try? file.readToEnd()) ?? Foundation.Data(), as: UTF8.self)
    if let refusal = RunLock.refusal(answer, RunHolder(text), subject, at: path) { throw refusal }
    warning = answer.missing.map { number in
      "warning: the file system of \(path) has no locks (\(SystemReason(number))): "
        + "two runs that start there at the same moment would not notice each other"
    }
    do {
      try write()
    } catch {
      throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
    }
  }

  /// Lets go of the file, which stays, empty.
  package func release() {
    try? file.truncate(atOffset: 0)
    // A child process that is just being started may hold the file open for a moment longer.
    _ = flock(file.fileDescriptor, LOCK_UN)
    try? file.close()
  }

  /// Whether the file is still where it was; false if it was deleted.
  /// - Throws: `Failure` 73 if another run has put its own there, or has written itself into it.
  func isInPlace() throws -> Bool {
    var held = stat()
    var found = stat()
    guard stat(path, &found) == 0 else { return false }
    let isSame = fstat(file.fileDescriptor, &held) == 0 && held.st_ino == found.st_ino && held.st_dev == found.st_dev
    let holder = RunHolder(FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? "")
    guard isSame, holder == nil || holder == RunLock.own else {
      throw Failure(
        .cannotCreate, "another run has taken the folder", at: path,
        remedy: "never delete the folder of a run that goes on, nor release its lock")
    }
    return true
  }

  private func write() throws {
    try file.truncate(atOffset: 0)
    try file.seek(toOffset: 0)
    try file.write(contentsOf: Foundation.Data("\(RunLock.own)\n".utf8))
  }

  /// What the kernel says to a lock.
  private enum Answer {
    case granted
    case heldByAnother
    /// It has no locks for this file; the system's number tells how it said so.
    case noLocks(Int32)

    var missing: Int32? { if case .noLocks(let number) = self { number } else { nil } }
  }

  private static func lock(_ descriptor: Int32) -> Answer {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      switch errno {
      case EINTR: continue
      case EWOULDBLOCK: return .heldByAnother
      default: return .noLocks(errno)
      }
    }
    return .granted
  }

  /// Why the file cannot be taken; nil if it can.
  private static func refusal(
    _ answer: Answer, _ holder: RunHolder?, _ subject: String, at path: String
  ) -> Failure? {
    func held(_ addition: String = "", remedy: String) -> Failure {
      Failure(
        .cannotCreate, "the \(subject) is held by \(holder?.name ?? "a process that is starting")\(addition)", at: path,
        remedy: remedy)
    }
    let release = subject == "run" ? "start with Launch/supervise --release-lock, or " : ""
    let byHand = "if that process has ended, \(release)remove this file"
    switch answer {
    case .heldByAnother: return held(remedy: "wait until it ends")
    case .granted:
      // Its kernel would have refused the lock if it lived.
      guard let holder, !holder.isOfThisKernel else { return nil }
      return held(", which this host cannot ask", remedy: byHand)
    case .noLocks:
      switch holder?.identity?.standing {
      case .hasEnded: return nil
      case .lives: return held(remedy: "wait until it ends")
      default: return holder == nil ? nil : held(", and the file system has no locks to ask", remedy: byHand)
      }
    }
  }
}

/// The text of a lock file.
private struct RunHolder: Equatable, CustomStringConvertible {
  /// For people.
  let name: String
  private let host: Substring?
  /// For proof; nil in texts of former versions.
  let identity: ProcessIdentity?

  init(process: Int32, host: String, identity: ProcessIdentity) {
    name = "process \(process) on host \(host)"
    self.host = Substring(host)
    self.identity = identity
  }

  /// Reads a text; nil if nobody is named.
  init?(_ text: String) {
    let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !text.isEmpty else { return nil }
    let parts = text.wholeMatch(of: /(process \d+ on host (.+?))(?: \((\S+)\))?/)
    name = parts.map { String($0.1) } ?? text
    host = parts?.2
    identity = parts?.3.flatMap { ProcessIdentity($0) }
  }

  /// `process 4711 on host node17 (3f2a91c08d4e-4026531836-4711-88123)`.
  var description: String { name + (identity.map { " (\($0))" } ?? "") }

  /// Whether its locks are settled by the kernel of this process. A host that was started again is taken for the same.
  var isOfThisKernel: Bool {
    identity?.isOfThisKernel == true || host.map(String.init) == ProcessInfo.processInfo.hostName
  }

  static func == (one: RunHolder, other: RunHolder) -> Bool {
    one.name == other.name && one.identity == other.identity
  }
}

/// The system's words for a number.
private struct SystemReason: CustomStringConvertible {
  let description: String

  init(_ number: Int32) { description = String(cString: strerror(number)) }
}
