// Signals that ask a supervisor to stop, as one request, however many come.

import Foundation
import Support
import Synchronization

/// Where handlers write the number of their signal.
private let wakeUp = Atomic<Int32>(-1)

/// SIGINT, SIGTERM, SIGHUP and SIGUSR1 as one request to save and stop; further ones change nothing. SIGQUIT asks to end
/// without a save.
///
/// A signal that this process was started to ignore stays ignored, such as SIGHUP under `nohup`.
public final class StopRequests: Sendable {
  /// What is asked for.
  enum Request { case save, leave }

  private struct State {
    var first: Int32?
    var leave = false
    var action: (@Sendable (Request) -> Void)?
  }

  private let state = Mutex(State())
  private static let numbers = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGQUIT]
  private static let names = [
    SIGINT: "SIGINT", SIGTERM: "SIGTERM", SIGHUP: "SIGHUP", SIGUSR1: "SIGUSR1", SIGQUIT: "SIGQUIT",
  ]

  /// Starts to catch the signals; called once in a process, before anything is done that one of them should stop.
  /// - Throws: `Failure` 74 if the system has no pipe to give.
  public static func install() throws -> StopRequests {
    let requests = StopRequests()
    let readEnd = try openPipe()
    let ignored = ignoredSignals()
    unblock()
    for number in numbers where !ignored.contains(number) {
      // Libraries may have started threads already, which cannot be told to block a signal: hence a handler.
      signal(number) { number in
        let before = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(wakeUp.load(ordering: .relaxed), &byte, 1)
        errno = before
      }
    }
    Thread.detachNewThread { requests.listen(readEnd) }
    return requests
  }

  private init() {}

  /// Opens the pipe of the handlers. A full one drops what they write: nothing but the first signals matters.
  private static func openPipe() throws -> Int32 {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }),
      fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0
    else {
      throw Failure(.inputOutput, "no pipe for signals: \(String(cString: strerror(errno)))")
    }
    wakeUp.store(ends[1], ordering: .relaxed)
    return ends[0]
  }

  /// This process may have been started from a thread that blocks them.
  private static func unblock() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in numbers { sigaddset(&signals, number) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  private static func ignoredSignals() -> Set<Int32> {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let mask = status.firstMatch(of: /SigIgn:\s*([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) } ?? 0
    return Set(numbers.filter { mask >> UInt64($0 - 1) & 1 == 1 })
  }

  private func listen(_ descriptor: Int32) {
    var byte: UInt8 = 0
    while true {
      let count = read(descriptor, &byte, 1)
      if count == 1 { heard(Int32(byte)) }
      guard count == 1 || errno == EINTR else { return }
    }
  }

  private func heard(_ number: Int32) {
    let (action, request) = state.withLock { state -> ((@Sendable (Request) -> Void)?, Request) in
      let isNew = state.first == nil || number == SIGQUIT && !state.leave
      state.first = state.first ?? number
      if number == SIGQUIT { state.leave = true }
      return (isNew ? state.action : nil, state.leave ? .leave : .save)
    }
    action?(request)
  }

  /// The name of the first signal that asked to stop, or nil.
  public var first: String? { state.withLock { $0.first.flatMap { StopRequests.names[$0] } } }

  /// Runs the action once a stop is asked for, from any thread, or at once where it was; again where a stop without a
  /// save is asked for later. It replaces the former action.
  func whenAsked(_ action: (@Sendable (Request) -> Void)?) {
    let request = state.withLock { state -> Request? in
      state.action = action
      return state.first == nil ? nil : state.leave ? .leave : .save
    }
    if let request { action?(request) }
  }

  /// Waits for some seconds, or until a stop is asked for.
  public func pause(seconds: Double) async {
    let sleeper = Task { try? await Task.sleep(for: .seconds(seconds)) }
    whenAsked { _ in sleeper.cancel() }
    await sleeper.value
    whenAsked(nil)
  }
}
