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
  /// Starts to catch the signals. Called on the main thread.
  public static func install() {
    // A launcher may have started this process from a thread that blocks them, which is inherited.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGUSR1, SIGTERM, SIGINT] {
      sigaddset(&signals, number)
      signal(number) { number in
        guard received.exchange(number, ordering: .relaxed) != 0 else { return }
        _exit(128 + number)
      }
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// The signal that asked to stop, or nil.
  public static var pending: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
