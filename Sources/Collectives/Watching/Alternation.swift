// Two computations of one rank by turns, so that a rank with two jobs keeps step with ranks that have one.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Two computations that take turns, never at once.
///
/// Where ranks have to keep step, the rank with the most work between two meetings makes all others wait. A rank that has
/// a second job spreads it over these stretches: both computations call `pass` before they meet other ranks, and the
/// rank goes to a meeting only when the other computation has done its own stretch. Turns change at fixed places of the
/// program, so the order of messages is the same in every run.
public final class Alternation: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let firstThread = pthread_self()
  private let isMetered = KernelMeter.recordsThisThread
  /// Whose turn it is, 0 or 1.
  private var turn = 0
  private var isOver = [false, false]
  private var failure: (any Error)?

  private init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// Runs both by turns and returns what they return: `first` begins, on the calling thread; `second` has one of its own.
  /// - Throws: what the first of them to fail has thrown; the other one then throws at its next `pass`. `Failure` 70 where
  ///   there is no thread for the second one.
  public static func run<First, Second>(
    _ first: (Alternation) throws -> First, _ second: (Alternation) throws -> Second
  ) throws -> (First, Second) {
    let alternation = Alternation()
    var firstOutcome: First?
    nonisolated(unsafe) var outcome: Second?
    try withoutActuallyEscaping(second) { second in
      nonisolated(unsafe) let body = second
      let thread = try SystemThread("second pass") {
        alternation.waitForTurn(1)
        if alternation.failure == nil { outcome = alternation.attempt { try body(alternation) } }
        alternation.leave(1)
      }
      firstOutcome = alternation.attempt { try first(alternation) }
      alternation.leave(0)
      thread.join()
    }
    if alternation.isMetered { KernelMeter.takeOver() }
    if let failure = alternation.failure { throw failure }
    guard let firstOutcome, let outcome else { preconditionFailure("a computation ended without an outcome") }
    return (firstOutcome, outcome)
  }

  /// Lets the other computation go on until it passes or ends.
  /// - Throws: if the other one has failed.
  public func pass() throws {
    let own = pthread_equal(firstThread, pthread_self()) != 0 ? 0 : 1
    pthread_mutex_lock(mutex)
    if !isOver[1 - own] {
      turn = 1 - own
      pthread_cond_broadcast(changed)
    }
    pthread_mutex_unlock(mutex)
    waitForTurn(own)
    if let failure { throw failure }
  }

  private func waitForTurn(_ own: Int) {
    pthread_mutex_lock(mutex)
    while turn != own { pthread_cond_wait(changed, mutex) }
    pthread_mutex_unlock(mutex)
    if isMetered { KernelMeter.takeOver() }
  }

  private func attempt<Value>(_ body: () throws -> Value) -> Value? {
    do {
      return try body()
    } catch {
      if failure == nil { failure = error }
      return nil
    }
  }

  private func leave(_ own: Int) {
    pthread_mutex_lock(mutex)
    isOver[own] = true
    turn = 1 - own
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }
}
