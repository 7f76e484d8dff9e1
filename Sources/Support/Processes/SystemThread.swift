// Threads of the operating system. They are asked for in one place, because a process may get none: its user's limit, its
// control group or the memory for their stacks may be exhausted, and a run of days must neither hang nor trap then.

import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A thread that runs one closure. It is joined or detached, once.
public struct SystemThread: Sendable {
  private let handle: pthread_t

  private final class Body: Sendable {
    let name: String
    let run: @Sendable () -> Void

    init(_ name: String, _ run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }

    /// Without effect where the system is not Linux.
    func takeName() {
      let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
      guard file >= 0 else { return }
      _ = write(file, name, name.utf8.count)
      close(file)
    }
  }

  /// Starts a thread that runs `body`.
  /// - Parameters:
  ///   - name: for debuggers and failures, at most 15 bytes.
  ///   - body: what it does.
  /// - Throws: `Failure` 70 where the system has no thread to give; `body` is not run then.
  public init(_ name: String, _ body: @escaping @Sendable () -> Void) throws {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Body(name, body)).toOpaque()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        body.takeName()
        body.run()
        return nil
      }, argument)
    guard status == 0 else {
      Unmanaged<Body>.fromOpaque(argument).release()
      throw Failure(
        .internal, "the system has no thread left for \(name) (\(String(cString: strerror(status))))",
        remedy: SystemThread.remedy)
    }
    handle = thread
  }

  /// What a user can do where threads are short.
  public static let remedy = "end other processes, ask for fewer threads, or raise the limit on processes (ulimit -u)"

  /// Waits until the thread has ended.
  public func join() { pthread_join(handle, nil) }

  /// Leaves the thread to itself.
  public func detach() { pthread_detach(handle) }
}

/// Pieces of work that are done in order, one at a time, on a thread that lives while there is work. Where the system has
/// no thread to give, whoever hands work over does it.
public final class BackgroundQueue: Sendable {
  private struct State {
    var waiting: [@Sendable () -> Void] = []
    var isWorking = false
  }

  private let name: String
  private let state = Mutex(State())

  /// A queue without work.
  /// - Parameter name: of its threads, at most 15 bytes.
  public init(_ name: String) { self.name = name }

  /// Hands over work. Returns at once, or when it is done where there is no thread for it.
  public func run(_ work: @escaping @Sendable () -> Void) {
    let isFirst = state.withLock { state in
      state.waiting.append(work)
      defer { state.isWorking = true }
      return !state.isWorking
    }
    guard isFirst else { return }
    do {
      try SystemThread(name) { self.workOff() }.detach()
    } catch {
      workOff()
    }
  }

  private func workOff() { while let work = next() { work() } }

  private func next() -> (@Sendable () -> Void)? {
    state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.isWorking = false
        return nil
      }
      return state.waiting.removeFirst()
    }
  }
}
