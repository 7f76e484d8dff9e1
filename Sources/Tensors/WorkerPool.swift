// Worker threads for tiles of one kernel call. Tiles are cut by shape; threads only decide who computes a tile, so
// results never depend on the thread count.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Spinning worker threads that share the tiles of a kernel call.
///
/// A call from a thread while another call is under way, or from inside a tile, runs its tiles one after the other
/// on the calling thread: nothing waits for a busy pool.
public final class WorkerPool: @unchecked Sendable {
  /// The process's pool: one thread until `configure(threads:)`.
  public static var shared: WorkerPool { current.withLock { $0 } }
  private static let current = Mutex(WorkerPool(threads: 1))

  /// Replaces the process's pool, after the call that it may be running.
  public static func configure(threads: Int) {
    let pool = WorkerPool(threads: threads)
    let old = current.withLock { state in
      defer { state = pool }
      return state
    }
    old.stop()
  }

  /// Threads that compute, the caller included.
  public let threads: Int
  private let busy = Atomic<Bool>(false)
  private let epoch = Atomic<Int>(0)
  private let nextTile = Atomic<Int>(0)
  private let arrived = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var tiles = 0
  private var body: ((Int) -> Void)?
  private static let spins = 20_000

  /// A pool of `threads` threads, the caller included.
  /// - Precondition: `threads` is positive.
  public init(threads: Int) {
    precondition(threads > 0, "a pool needs a thread, not \(threads)")
    self.threads = threads
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    for worker in 1..<max(threads, 1) { start(worker) }
  }

  /// What a new thread is told.
  private final class Worker {
    let pool: WorkerPool
    let number: Int

    init(pool: WorkerPool, number: Int) {
      self.pool = pool
      self.number = number
    }
  }

  private func start(_ number: Int) {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Worker(pool: self, number: number)).toOpaque()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let worker = Unmanaged<Worker>.fromOpaque(argument).takeRetainedValue()
        worker.pool.work(worker.number)
        return nil
      }, argument)
    precondition(status == 0, "cannot start a worker thread: error \(status)")
    pthread_detach(thread)
  }

  private func stop() {
    // A call under way counts on every worker; the pool stays taken for good.
    while !busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged { sched_yield() }
    stopping.store(true, ordering: .releasing)
    epoch.add(1, ordering: .acquiringAndReleasing)
    broadcast()
  }

  private func broadcast() {
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  /// Runs `body(tile)` for every tile in `0 ..< tiles`, on all threads; returns when all are done.
  ///
  /// Tiles must not write to the same place. Their order is unspecified.
  public func run(tiles: Int, _ body: (Int) -> Void) {
    guard threads > 1, tiles > 1, busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for tile in 0..<tiles { body(tile) }
      return
    }
    withoutActuallyEscaping(body) { escaping in
      self.tiles = tiles
      self.body = escaping
      nextTile.store(0, ordering: .relaxed)
      arrived.store(0, ordering: .relaxed)
      epoch.add(1, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { broadcast() }
      takeTiles()
      var rounds = 0
      while arrived.load(ordering: .acquiring) < threads - 1 {
        rounds += 1
        if rounds > WorkerPool.spins { sched_yield() }
      }
      self.body = nil
    }
    busy.store(false, ordering: .releasing)
  }

  private func takeTiles() {
    guard let body else { return }
    while true {
      let tile = nextTile.add(1, ordering: .relaxed).oldValue
      if tile >= tiles { return }
      body(tile)
    }
  }

  private func work(_ number: Int) {
    var seen = 0
    while true {
      waitForEpoch(after: seen)
      seen = epoch.load(ordering: .acquiring)
      if stopping.load(ordering: .acquiring) { return }
      KernelMeter.work(on: number) { takeTiles() }
      arrived.add(1, ordering: .releasing)
    }
  }

  private func waitForEpoch(after seen: Int) {
    for _ in 0..<WorkerPool.spins where epoch.load(ordering: .acquiring) == seen { spinHint() }
    guard epoch.load(ordering: .acquiring) == seen else { return }
    pthread_mutex_lock(mutex)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while epoch.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, mutex) }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }

  @inline(__always)
  private func spinHint() {
    // An empty loop round with an atomic load in it; the load keeps the loop from being removed.
  }

  deinit {
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    wake.deallocate()
    mutex.deallocate()
  }
}
