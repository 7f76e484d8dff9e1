// Requests to stop, each in a process of its own: handlers and what they remember belong to the process.

import Foundation
import Support
import Testing

/// Sends a signal to this thread and returns once it was handled. Threads of a test may block all signals.
private func receive(_ number: Int32) {
  var none = sigset_t()
  sigemptyset(&none)
  pthread_sigmask(SIG_SETMASK, &none, nil)
  raise(number)
}

@Suite struct StopSignalTests {
  @Test func nothingIsPendingBeforeASignal() async {
    await #expect(processExitsWith: .exitCode(3)) {
      try StopSignals.install()
      exit(StopSignals.pending == nil ? 3 : 4)
    }
  }

  @Test func theUserSignalIsRemembered() async {
    await #expect(processExitsWith: .exitCode(SIGUSR1)) {
      try StopSignals.install()
      receive(SIGUSR1)
      exit(StopSignals.pending ?? 0)
    }
  }

  @Test func terminationIsRemembered() async {
    await #expect(processExitsWith: .exitCode(SIGTERM)) {
      try StopSignals.install()
      receive(SIGTERM)
      exit(StopSignals.pending ?? 0)
    }
  }

  @Test func interruptionIsRemembered() async {
    await #expect(processExitsWith: .exitCode(SIGINT)) {
      try StopSignals.install()
      receive(SIGINT)
      exit(StopSignals.pending ?? 0)
    }
  }

  /// Slurm sends SIGUSR1, then SIGTERM; a user may press Ctrl-C again.
  @Test func furtherSignalsAskForTheSame() async {
    await #expect(processExitsWith: .exitCode(SIGINT)) {
      try StopSignals.install()
      for number in [SIGUSR1, SIGTERM, SIGINT, SIGTERM, SIGINT] { receive(number) }
      exit(StopSignals.pending ?? 0)
    }
  }

  @Test func quittingEndsTheProcess() async {
    await #expect(processExitsWith: .signal(SIGQUIT)) {
      try StopSignals.install()
      receive(SIGUSR1)
      receive(SIGQUIT)
      exit(0)
    }
  }

  @Test func otherSignalsKeepTheirMeaning() async {
    await #expect(processExitsWith: .signal(SIGUSR2)) {
      try StopSignals.install()
      receive(SIGUSR2)
      exit(0)
    }
  }

  /// Kernels must not be interrupted by a handler, see `StopSignals.install`.
  @Test func thisThreadAndLaterOnesHandleNoSignals() async {
    await #expect(processExitsWith: .exitCode(SIGUSR1)) {
      try StopSignals.install()
      let done = DispatchSemaphore(value: 0)
      let later = Thread {
        if blocked() != [SIGUSR1, SIGTERM, SIGINT] { exit(101) }
        done.signal()
      }
      later.start()
      done.wait()
      if blocked() != [SIGUSR1, SIGTERM, SIGINT] { exit(102) }
      kill(getpid(), SIGUSR1)
      while StopSignals.pending == nil { usleep(1000) }
      exit(StopSignals.pending ?? 0)
    }
  }
}

/// Which of the signals that ask to stop this thread leaves to others.
private func blocked() -> [Int32] {
  var mask = sigset_t()
  pthread_sigmask(SIG_BLOCK, nil, &mask)
  return [SIGUSR1, SIGTERM, SIGINT].filter { sigismember(&mask, $0) == 1 }
}
