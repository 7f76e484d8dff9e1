// Requests to stop, from the batch system or the keyboard: remembered by a handler, looked at between steps.

import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

private let received = Atomic<Int32>(0)

/// SIGUSR1, SIGTERM and SIGINT as requests to save and stop, however many come: batch systems send several, and what is
/// being saved must not be lost by the next. SIGQUIT and SIGKILL keep their meaning for a process that must end at once.
public enum StopSignals {
  /// Starts to catch the signals, on a thread of their own. Called on the main thread before it starts others.
  ///
  /// This thread and those it starts from now on handle them no more: oneDNN's matrix product points the stack register
  /// into a buffer of the heap while it runs, and the frame of a handler that interrupts it would be written over
  /// whatever lies below that buffer.
  /// - Throws: `Failure` 70 where there is no thread for them.
  public static func install() throws {
    for number in numbers {
      signal(number) { received.store($0, ordering: .relaxed) }
    }
    change(SIG_BLOCK)
    try SystemThread("signals") {
      // Not inherited either: a launcher may have started this process from a thread that blocks them.
      StopSignals.change(SIG_UNBLOCK)
      while true { pause() }
    }.detach()
  }

  /// The signal that last asked to stop, or nil.
  public static var pending: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  private static let numbers = [SIGUSR1, SIGTERM, SIGINT]

  /// Blocks the signals on this thread, or no longer.
  private static func change(_ how: Int32) {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in numbers { sigaddset(&signals, number) }
    pthread_sigmask(how, &signals, nil)
  }
}
