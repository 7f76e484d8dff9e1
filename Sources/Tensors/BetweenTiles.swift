// Something small that a thread does while it computes: between the tiles of its kernels, at a bounded rate.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a thread does between tiles, such as moving messages on, which wait for nothing but a call.
public final class BetweenTiles {
  /// Threads that do something; with none, a tile costs one relaxed load.
  private static let users = Atomic<Int>(0)
  /// Each thread's own, if it does something.
  private static let key = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key, nil)
    precondition(status == 0, "no memory of a thread's own: error \(status)")
    return key
  }()

  private let action: () -> Void
  private let pause: Int64
  private var last: Int64 = 0

  private init(_ action: @escaping () -> Void, pause: Int64) {
    self.action = action
    self.pause = pause
  }

  /// Runs `body`; between the tiles of kernels that the calling thread runs meanwhile, at most once in `seconds`, it
  /// does `action`, which must be short and run no kernels. Worker threads never do it.
  /// - Precondition: no other call of this thread is under way.
  public static func run<Result>(
    _ action: @escaping () -> Void, every seconds: Double, during body: () throws -> Result
  ) rethrows -> Result {
    precondition(pthread_getspecific(key) == nil, "this thread already does something between tiles")
    let own = BetweenTiles(action, pause: Int64(seconds * 1e9))
    return try withExtendedLifetime(own) {
      pthread_setspecific(key, Unmanaged.passUnretained(own).toOpaque())
      users.add(1, ordering: .relaxed)
      defer {
        users.subtract(1, ordering: .relaxed)
        pthread_setspecific(key, nil)
      }
      return try body()
    }
  }

  /// Called by the pool after every tile, on every thread.
  @inline(__always)
  static func tileEnded() {
    guard users.load(ordering: .relaxed) > 0, let own = pthread_getspecific(key) else { return }
    Unmanaged<BetweenTiles>.fromOpaque(own).takeUnretainedValue().tileEnded()
  }

  private func tileEnded() {
    let now = KernelMeter.now()
    guard now - last >= pause else { return }
    action()
    last = KernelMeter.now()
  }
}
