// The lock of a run directory, as a supervisor sees it between two starts.

import Foundation
import Support

/// The lock file of a run: its holder keeps it locked while it runs and leaves its name in it if it is killed.
struct RunLock {
  /// The file.
  let path: String
  /// How long a holder is waited for.
  var patience = Duration.seconds(60)

  /// Waits until no process of this kernel holds the run, or until a stop is asked for.
  /// - Parameter release: clears the name of a holder that is known to be gone: on another host it would be taken for
  ///   one that still runs.
  /// - Throws: `Failure` 73 if the run is still held after a minute, or the file cannot be opened.
  func settle(release: Bool, _ stop: StopRequests) async throws {
    guard let name = holder else { return }
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw Failure(.cannotCreate, "it cannot be opened: \(String(cString: strerror(errno)))", at: path)
    }
    defer { close(descriptor) }
    let deadline = ContinuousClock.now + patience
    var isTold = false
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      // Any other reason comes from a file system without locks, where only the name tells.
      guard errno == EWOULDBLOCK || errno == EINTR else { break }
      guard stop.first == nil else { return }
      guard ContinuousClock.now < deadline else {
        throw Failure(.cannotCreate, "the run is still held by \(holder ?? name)", at: path)
      }
      if !isTold { writeLine("waits for \(name), which holds the run") }
      isTold = true
      await stop.pause(seconds: 0.1)
    }
    if release { ftruncate(descriptor, 0) }
  }

  /// Who holds the run or held it last; nil where it was released.
  private var holder: String? {
    let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let name = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
    return name.isEmpty ? nil : name
  }
}
