// Worker threads for tiles of one kernel call. Tiles are cut by shape; threads only decide who computes a tile, so
// results never depend on the thread count.

import CKernels
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
  /// Which call is under way (upper half) and its next tile that nobody has claimed (lower half).
  private let ticket = Atomic<UInt64>(0)
  private let limit = Atomic<Int>(0)
  private let finished = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// Written before a ticket is opened, read by who has claimed a tile of it.
  private var body: ((Int) -> Void)?
  /// A next tile beyond every limit: the call is over.
  private static let closed: UInt64 = 0xffff_ffff
  /// How long a worker without work spins before it sleeps: longer than most parts of a step that one thread does
  /// alone, since waking a thread costs more than a small kernel.
  private static let spinSeconds = 1e-3

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
    // Tiles of a call under way are done first; the pool stays taken for good.
    while !busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged { sched_yield() }
    stopping.store(true, ordering: .releasing)
    open(WorkerPool.closed)
  }

  /// Begins the next call with that tile and wakes who sleeps.
  private func open(_ tile: UInt64) {
    let call = WorkerPool.call(ticket.load(ordering: .relaxed)) &+ 1
    ticket.store(call << 32 | tile, ordering: .sequentiallyConsistent)
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  private static func call(_ ticket: UInt64) -> UInt64 { ticket >> 32 }

  /// Runs `body(tile)` for every tile in `0 ..< tiles`, on all threads; returns when all are done.
  ///
  /// Tiles must not write to the same place. Their order is unspecified. A thread that comes late is not waited for.
  public func run(tiles: Int, _ body: (Int) -> Void) {
    guard threads > 1, tiles > 1, busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for tile in 0..<tiles { body(tile) }
      return
    }
    precondition(UInt64(tiles) < WorkerPool.closed, "\(tiles) tiles")
    withoutActuallyEscaping(body) { escaping in
      self.body = escaping
      finished.store(0, ordering: .relaxed)
      // Released after the last call was closed: who still holds its ticket may see the new limit but claims nothing.
      limit.store(tiles, ordering: .releasing)
      open(0)
      let call = WorkerPool.call(ticket.load(ordering: .relaxed))
      if let tile = claim(call) { takeTiles(of: call, from: tile) }
      var rounds = 0
      while finished.load(ordering: .acquiring) < tiles {
        rounds += 1
        if rounds % 1024 == 0 { sched_yield() } else { ck_pause() }
      }
      ticket.store(call << 32 | WorkerPool.closed, ordering: .releasing)
      self.body = nil
    }
    busy.store(false, ordering: .releasing)
  }

  /// The next tile of a call; nil if none is left or the call is over.
  private func claim(_ call: UInt64) -> Int? {
    var held = ticket.load(ordering: .acquiring)
    while WorkerPool.call(held) == call {
      let tile = Int(held & WorkerPool.closed)
      guard tile < limit.load(ordering: .acquiring) else { return nil }
      let attempt = ticket.compareExchange(expected: held, desired: held + 1, ordering: .acquiringAndReleasing)
      if attempt.exchanged { return tile }
      held = attempt.original
    }
    return nil
  }

  /// Runs tiles until none is left, the first of them claimed already. The claimed tile keeps the call open.
  private func takeTiles(of call: UInt64, from first: Int, on worker: Int? = nil) {
    var done = 0
    if let worker {
      KernelMeter.work(on: worker) { done = runTiles(of: call, from: first) }
    } else {
      done = runTiles(of: call, from: first)
    }
    finished.add(done, ordering: .acquiringAndReleasing)
  }

  /// A function of its own, so that nobody holds the body any more when the call ends.
  @inline(never)
  private func runTiles(of call: UInt64, from first: Int) -> Int {
    guard let body else { preconditionFailure("a tile without a call") }
    var done = 0
    var next: Int? = first
    while let tile = next {
      body(tile)
      done += 1
      next = claim(call)
    }
    return done
  }

  private func work(_ number: Int) {
    var seen: UInt64 = 0
    while true {
      seen = waitForCall(after: seen)
      if stopping.load(ordering: .acquiring) { return }
      if let tile = claim(seen) { takeTiles(of: seen, from: tile, on: number) }
    }
  }

  /// Spins, then sleeps, until another call than `seen` begins or has begun; returns it.
  private func waitForCall(after seen: UInt64) -> UInt64 {
    let watch = Stopwatch()
    repeat {
      for _ in 0..<256 {
        let call = WorkerPool.call(ticket.load(ordering: .acquiring))
        if call != seen { return call }
        ck_pause()
      }
      sched_yield()
    } while watch.seconds < WorkerPool.spinSeconds
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    defer { sleepers.subtract(1, ordering: .sequentiallyConsistent) }
    while true {
      let call = WorkerPool.call(ticket.load(ordering: .sequentiallyConsistent))
      if call != seen { return call }
      pthread_cond_wait(wake, mutex)
    }
  }

  deinit {
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    wake.deallocate()
    mutex.deallocate()
  }
}
