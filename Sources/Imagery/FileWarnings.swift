// Warnings about files that are read all the same.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Tells of each such file once, on standard error, however often it is read; of many only the first. One for the
/// process; safe to use from any thread.
enum FileWarnings {
  private static let told = Mutex<Set<String>>([])
  private static let most = 10

  /// Tells about a file, unless it or many others have been told of.
  static func tell(_ what: String, at name: String) {
    let count = told.withLock { told -> Int? in
      guard told.count <= most, told.insert(name).inserted else { return nil }
      return told.count
    }
    guard let count else { return }
    let line = count > most ? "more files have such faults; they are not named" : "\(name): \(what)"
    let bytes = Array("warning: \(shown(line))\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }
}
