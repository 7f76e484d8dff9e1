// Something small that a thread does while it computes: between the tiles of its kernels, at a bounded rate.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What one thread does between tiles, such as moving messages on, which wait for nothing but a call.
public final class BetweenTiles: @unchecked Sendable {
  private static let shared = BetweenTiles()
  private static let isInUse = Atomic<Bool>(false)
  private var owner = pthread_self()
  private var action: (() -> Void)?
  private var pause: Int64 = 0
  private var last: Int64 = 0

  private init() {}

  /// Runs `body`; between the tiles of kernels that the calling thread runs meanwhile, at most once in `seconds`, it
  /// does `action`, which must be short and run no kernels.
  /// - Precondition: no other call is under way in the process.
  public static func run<Result>(
    _ action: @escaping () -> Void, every seconds: Double, during body: () throws -> Result
  ) rethrows -> Result {
    precondition(!isInUse.load(ordering: .relaxed), "two threads, or one twice, want something done between tiles")
    shared.owner = pthread_self()
    shared.action = action
    shared.pause = Int64(seconds * 1e9)
    shared.last = 0
    isInUse.store(true, ordering: .releasing)
    defer {
      isInUse.store(false, ordering: .relaxed)
      shared.action = nil
    }
    return try body()
  }

  /// Called by the pool after every tile, on every thread.
  @inline(__always)
  static func tileEnded() {
    guard isInUse.load(ordering: .acquiring) else { return }
    shared.tileEnded()
  }

  private func tileEnded() {
    guard pthread_equal(owner, pthread_self()) != 0, let action else { return }
    let now = KernelMeter.now()
    guard now - last >= pause else { return }
    action()
    last = KernelMeter.now()
  }
}
