// The end of a process in the middle of what cannot throw, such as a kernel that gets no memory.

import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Writes one line to standard error in a single system call, so that lines of several ranks do not mix.
public func writeErrorLine(_ text: String) {
  let bytes = Array((text + "\n").utf8)
  _ = write(STDERR_FILENO, bytes, bytes.count)
}

/// Writes the reason and ends this process at once, without running exit handlers: other threads may still compute.
public func leaveProcess(_ reason: String, status: Int32) -> Never {
  writeErrorLine(reason)
  _exit(status)
}

/// How code that cannot throw ends with a failure from outside: one line and its status, no stack trace.
public enum LastResort {
  private static let jobEnd = Mutex<(@Sendable (Failure) -> Void)?>(nil)

  /// Sets what ends the job on all ranks; nil where this process is alone. `end` may call it from any thread.
  public static func endJob(by body: (@Sendable (Failure) -> Void)?) { jobEnd.withLock { $0 = body } }

  /// Ends the job on all ranks, or this process where it is alone.
  public static func end(_ failure: Failure) -> Never {
    let endJob = jobEnd.withLock { $0 }
    endJob?(failure)
    leaveProcess("apus: \(failure)", status: failure.status.rawValue)
  }
}

/// Ends the job because the system has no memory to give.
/// - Parameters:
///   - size: how much was asked for, such as "123 bytes of memory".
///   - purpose: what it was for, such as "a buffer".
public func endWithoutMemory(_ size: String = "memory", for purpose: String) -> Never {
  LastResort.end(Failure(.internal, "the system does not give \(size) for \(purpose)", remedy: memoryRemedy))
}

/// The same for a number of bytes; nil where it is beyond every address.
public func endWithoutMemory(_ bytes: Int?, for purpose: String) -> Never {
  endWithoutMemory(bytes.map { "\($0) bytes of memory" } ?? "more memory than there are addresses", for: purpose)
}

/// Ends the job where little is left under this process's memory limit: libraries need the rest.
/// - Parameters:
///   - bytes: what was just taken.
///   - purpose: what it was for, such as "a buffer".
public func requireMemoryReserve(after bytes: Int, for purpose: String) {
  guard MemoryLimit.isNear else { return }
  LastResort.end(
    Failure(
      .internal, "\(bytes) bytes for \(purpose) leave less than 64 MB under this process's memory limit",
      remedy: memoryRemedy))
}

private let memoryRemedy =
  "take smaller crops or batches, fewer ranks a host, or raise the limit (ulimit -v, the scheduler's)"
