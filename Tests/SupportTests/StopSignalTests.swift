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
      StopSignals.install()
      exit(StopSignals.pending == nil ? 3 : 4)
    }
  }

  @Test func theUserSignalIsRemembered() async {
    await #expect(processExitsWith: .exitCode(SIGUSR1)) {
      StopSignals.install()
      receive(SIGUSR1)
      exit(StopSignals.pending ?? 0)
    }
  }

  @Test func terminationIsRemembered() async {
    await #expect(processExitsWith: .exitCode(SIGTERM)) {
      StopSignals.install()
      receive(SIGTERM)
      exit(StopSignals.pending ?? 0)
    }
  }

  @Test func interruptionIsRemembered() async {
    await #expect(processExitsWith: .exitCode(SIGINT)) {
      StopSignals.install()
      receive(SIGINT)
      exit(StopSignals.pending ?? 0)
    }
  }

  @Test func theSecondSignalEndsTheProcess() async {
    await #expect(processExitsWith: .exitCode(128 + SIGTERM)) {
      StopSignals.install()
      receive(SIGUSR1)
      receive(SIGTERM)
      exit(0)
    }
  }

  @Test func otherSignalsKeepTheirMeaning() async {
    await #expect(processExitsWith: .signal(SIGUSR2)) {
      StopSignals.install()
      receive(SIGUSR2)
      exit(0)
    }
  }
}
