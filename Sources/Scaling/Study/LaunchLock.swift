// What the first rank of a launch holds while it runs, so that two launches of a study never disturb each other on a host.
// The kernel's lock alone: it ends with its process, and a launch that was killed on a host that is gone blocks nothing.

import Foundation
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A held lock of a study's launches.
public final class LaunchLock {
  private let descriptor: Int32

  /// Takes the lock. On a file system without locks everybody gets it.
  /// - Throws: `Failure` 73 if another launch of the study runs, or the file cannot be made, 74 if that may pass.
  public init(_ folder: StudyFolder) throws {
    descriptor = open(folder.launchLock, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw Failure(
        .creating(errno), "it cannot be made (\(String(cString: strerror(errno))))", at: folder.launchLock)
    }
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      guard errno != EINTR else { continue }
      guard errno == EWOULDBLOCK else { return }
      close(descriptor)
      throw Failure(
        .cannotCreate, "another launch of the study runs", at: folder.launchLock, remedy: "wait until it ends")
    }
  }

  deinit { close(descriptor) }
}
