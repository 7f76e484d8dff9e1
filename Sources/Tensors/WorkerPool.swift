// Worker threads for tiles of one kernel call. Tiles are cut by shape; threads only decide who computes a tile, so
// results never depend on the thread count. Every thread begins with a stretch of its own, so that what it wrote in one
// call lies in its cache in the next one, and helps the others when that is done.

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

  /// Threads that compute, the caller included: as many as were asked for, or as the system could give.
  ///
  /// Set before the first call; workers look at it in calls only.
  public private(set) var threads: Int
  private let busy = Atomic<Bool>(false)
  /// The number of the call under way, or of the last one.
  private let call = Atomic<UInt64>(0)
  /// For every thread the call (upper half) and the next tile of its stretch that nobody has claimed (lower half).
  private let tickets: UnsafeMutablePointer<Atomic<UInt64>>
  private let slots: Int
  private let limit = Atomic<Int>(0)
  private let finished = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let sleepers = Atomic<Int>(0)
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  /// Written before a call begins, read by who has claimed a tile of it.
  private var body: TileBody?
  /// A next tile beyond every limit: the call is over.
  private static let closed: UInt64 = 0xffff_ffff

  /// Tickets lie so far apart that threads do not share cache lines.
  private static let ticketStride = 16
  /// How long a worker without work spins before it sleeps: longer than most parts of a step that one thread does
  /// alone, since waking a thread costs more than a small kernel.
  private static let spinSeconds = 1e-3

  /// A pool of `wanted` threads, the caller included, or of fewer where the system has no more to give.
  /// - Precondition: `wanted` is positive.
  public init(threads wanted: Int) {
    precondition(wanted > 0, "a pool needs a thread, not \(wanted)")
    threads = wanted
    slots = wanted * WorkerPool.ticketStride
    tickets = .allocate(capacity: slots)
    for slot in 0..<slots { (tickets + slot).initialize(to: Atomic(0)) }
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    threads = (1..<wanted).first { !start($0) } ?? wanted
  }

  /// Whether there was a thread for the worker of this number.
  private func start(_ number: Int) -> Bool {
    do {
      try SystemThread("apus-worker") { self.work(number) }.detach()
      return true
    } catch {
      return false
    }
  }

  private func stop() {
    // Tiles of a call under way are done first; the pool stays taken for good.
    while !busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged { sched_yield() }
    stopping.store(true, ordering: .releasing)
    begin(call.load(ordering: .relaxed) + 1)
  }

  /// Shows the workers another call and wakes who sleeps.
  private func begin(_ number: UInt64) {
    call.store(number, ordering: .sequentiallyConsistent)
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
  }

  /// Runs `body(tile)` for every tile in `0 ..< tiles`, on all threads; returns when all are done.
  ///
  /// Tiles must not write to the same place. Their order is unspecified. A thread that comes late is not waited for.
  public func run(tiles: Int, _ body: (Int) -> Void) {
    guard threads > 1, tiles > 1, busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for tile in 0..<tiles {
        body(tile)
        BetweenTiles.tileEnded()
      }
      return
    }
    precondition(UInt64(tiles) < WorkerPool.closed, "\(tiles) tiles")
    TileBody.lend(body) { share(tiles: tiles, $0) }
    busy.store(false, ordering: .releasing)
  }

  /// A call on all threads, once the pool is taken.
  private func share(tiles: Int, _ body: TileBody) {
    let number = call.load(ordering: .relaxed) + 1
    self.body = body
    finished.store(0, ordering: .relaxed)
    // Released after the last call was closed: who still works on it may see the new limit but claims nothing.
    limit.store(tiles, ordering: .releasing)
    for thread in 0..<threads { setTicket(of: thread, number, UInt64(firstTile(of: thread, tiles))) }
    begin(number)
    takeTiles(of: number, on: 0)
    var rounds = 0
    while finished.load(ordering: .acquiring) < tiles {
      rounds += 1
      if rounds % 1024 == 0 { sched_yield() } else { ck_pause() }
      BetweenTiles.tileEnded()
    }
    for thread in 0..<threads { setTicket(of: thread, number, WorkerPool.closed) }
    self.body = nil
  }

  /// Where a thread's stretch of tiles begins.
  private func firstTile(of thread: Int, _ tiles: Int) -> Int { tiles * thread / threads }

  private func setTicket(of thread: Int, _ number: UInt64, _ tile: UInt64) {
    tickets[thread * WorkerPool.ticketStride].store((number & 0xffff_ffff) << 32 | tile, ordering: .releasing)
  }

  /// The next tile for a thread: of its own stretch, else of another one; nil if none is left or the call is over.
  private func claim(_ number: UInt64, on thread: Int) -> Int? {
    for distance in 0..<threads {
      let owner = (thread + distance) % threads
      if let tile = claim(number, from: owner) { return tile }
    }
    return nil
  }

  private func claim(_ number: UInt64, from owner: Int) -> Int? {
    let slot = owner * WorkerPool.ticketStride
    var held = tickets[slot].load(ordering: .acquiring)
    while held >> 32 == number & 0xffff_ffff {
      let tile = Int(held & WorkerPool.closed)
      guard tile < firstTile(of: owner + 1, limit.load(ordering: .acquiring)) else { return nil }
      let attempt = tickets[slot].compareExchange(
        expected: held, desired: held + 1, ordering: .acquiringAndReleasing)
      if attempt.exchanged { return tile }
      held = attempt.original
    }
    return nil
  }

  /// Runs tiles until none is left. A claimed tile keeps the call open until it is counted.
  private func takeTiles(of number: UInt64, on thread: Int) {
    guard let tile = claim(number, on: thread) else { return }
    var done = 0
    if thread > 0 {
      KernelMeter.work(on: thread) { done = runTiles(of: number, from: tile, on: thread) }
    } else {
      done = runTiles(of: number, from: tile, on: thread)
    }
    finished.add(done, ordering: .acquiringAndReleasing)
  }

  private func runTiles(of number: UInt64, from first: Int, on thread: Int) -> Int {
    guard let body else { preconditionFailure("a tile without a call") }
    var done = 0
    var next: Int? = first
    while let tile = next {
      body(tile)
      BetweenTiles.tileEnded()
      done += 1
      next = claim(number, on: thread)
    }
    return done
  }

  private func work(_ thread: Int) {
    var seen: UInt64 = 0
    while true {
      seen = waitForCall(after: seen)
      if stopping.load(ordering: .acquiring) { return }
      takeTiles(of: seen, on: thread)
    }
  }

  /// Spins, then sleeps, until another call than `seen` begins or has begun; returns it.
  private func waitForCall(after seen: UInt64) -> UInt64 {
    let watch = Stopwatch()
    repeat {
      for _ in 0..<256 {
        let number = call.load(ordering: .acquiring)
        if number != seen { return number }
        ck_pause()
      }
      sched_yield()
    } while watch.seconds < WorkerPool.spinSeconds
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    defer { sleepers.subtract(1, ordering: .sequentiallyConsistent) }
    while true {
      let number = call.load(ordering: .sequentiallyConsistent)
      if number != seen { return number }
      pthread_cond_wait(wake, mutex)
    }
  }

  deinit {
    pthread_cond_destroy(wake)
    pthread_mutex_destroy(mutex)
    wake.deallocate()
    mutex.deallocate()
    tickets.deinitialize(count: slots)
    tickets.deallocate()
  }
}
