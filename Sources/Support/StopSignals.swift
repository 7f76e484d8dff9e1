// Requests to stop, from the batch system or the keyboard: remembered by a handler, looked at between steps.

import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

private let received = Atomic<Int32>(0)

/// SIGUSR1, SIGTERM and SIGINT as requests to save and stop; a second one ends the process at once.
public enum StopSignals {
  /// Starts to catch the signals.
  public static func install() {
    for number in [SIGUSR1, SIGTERM, SIGINT] {
      signal(number) { number in
        guard received.exchange(number, ordering: .relaxed) != 0 else { return }
        _exit(128 + number)
      }
    }
  }

  /// The signal that asked to stop, or nil.
  public static var pending: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
