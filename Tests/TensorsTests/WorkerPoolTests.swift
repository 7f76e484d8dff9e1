// The worker pool: every tile exactly once, whatever the thread count, the callers and the changes of the pool.

import Foundation
import Support
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct WorkerPoolTests {
  private static let tileCounts = [0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 257, 1000]

  /// How often each tile was run in one call.
  fileprivate static func runs(tiles: Int) -> [Int] {
    let tally = Tally(tiles)
    WorkerPool.shared.run(tiles: tiles) { tally.add($0) }
    return tally.counts
  }

  fileprivate static func once(_ tiles: Int) -> [Int] { [Int](repeating: 1, count: tiles) }

  /// Some arithmetic, so that tiles overlap in time.
  private static func work(_ tile: Int) -> Double {
    (0..<2000).reduce(Double(tile)) { ($0 * 1.000_1 + Double($1)).truncatingRemainder(dividingBy: 1000) }
  }

  @Test(arguments: 1...4) func everyTileRunsOnce(threads: Int) {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: threads)
    #expect(WorkerPool.shared.threads == threads)
    for _ in 0..<50 {
      for tiles in WorkerPoolTests.tileCounts {
        #expect(WorkerPoolTests.runs(tiles: tiles) == WorkerPoolTests.once(tiles), "\(tiles) tiles")
      }
    }
  }

  @Test func allThreadsTakePart() {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 3)
    let seen = ThreadNames()
    WorkerPool.shared.run(tiles: 3) { _ in
      seen.add()
      // Holds this tile until every thread has one; a pool that lends no threads would wait in vain.
      let deadline = Date(timeIntervalSinceNow: 20)
      while seen.count < 3, Date() < deadline { Thread.sleep(forTimeInterval: 0.001) }
    }
    #expect(seen.count == 3)
  }

  @Test func resultsDoNotDependOnThreads() {
    defer { WorkerPool.configure(threads: 1) }
    let results = (1...4).map { threads -> [Float] in
      WorkerPool.configure(threads: threads)
      let result = Tensor(uninitialized: [300])
      WorkerPool.shared.run(tiles: 300) { result.pointer[$0] = Float(WorkerPoolTests.work($0)) }
      return result.values
    }
    #expect(results.allSatisfy { $0 == results[0] })
    #expect(results[0] == (0..<300).map { Float(WorkerPoolTests.work($0)) })
  }

  @Test(arguments: 1...4) func nestedCallsRunEveryTile(threads: Int) {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: threads)
    let tally = Tally(12 * 9)
    for _ in 0..<20 {
      WorkerPool.shared.run(tiles: 12) { outer in
        WorkerPool.shared.run(tiles: 9) { tally.add(outer * 9 + $0) }
      }
    }
    #expect(tally.counts == [Int](repeating: 20, count: 108))
  }

  @Test(arguments: 1...4) func concurrentCallersAllFinish(threads: Int) {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: threads)
    let wrong = Tally(5)
    onThreads(5) { caller in
      for round in 0..<300 {
        let tiles = 1 + (caller * 31 + round) % 40
        if WorkerPoolTests.runs(tiles: tiles) != WorkerPoolTests.once(tiles) { wrong.add(caller) }
      }
    }
    #expect(wrong.counts == [0, 0, 0, 0, 0])
  }

  @Test func changingThePoolUnderLoadLosesNothing() {
    defer { WorkerPool.configure(threads: 1) }
    let wrong = Tally(3)
    onThreads(4) { thread in
      guard thread < 3 else {
        for round in 0..<150 { WorkerPool.configure(threads: 1 + round % 4) }
        return
      }
      for round in 0..<400 {
        let tiles = 1 + (thread * 17 + round) % 50
        if WorkerPoolTests.runs(tiles: tiles) != WorkerPoolTests.once(tiles) { wrong.add(thread) }
      }
    }
    #expect(wrong.counts == [0, 0, 0])
  }

  @Test func aReplacedPoolStillRunsItsTiles() {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 3)
    let old = WorkerPool.shared
    WorkerPool.configure(threads: 2)
    let tally = Tally(20)
    old.run(tiles: 20) { tally.add($0) }
    #expect(tally.counts == WorkerPoolTests.once(20))
  }

  @Test func workersWakeAfterIdling() {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 4)
    for _ in 0..<20 {
      Thread.sleep(forTimeInterval: 0.01)
      #expect(WorkerPoolTests.runs(tiles: 50) == WorkerPoolTests.once(50))
    }
  }

  @Test func idleWorkersSleep() {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 4)
    _ = WorkerPoolTests.runs(tiles: 50)
    Thread.sleep(forTimeInterval: 0.1)
    let before = processSeconds()
    Thread.sleep(forTimeInterval: 0.4)
    // A single spinning worker would use 0.4 s; what remains is the test runner's own.
    #expect(processSeconds() - before < 0.1)
  }

  #if os(Linux)
    @Test func sharedCallsAskForNoHeapMemory() async {
      await countingHeapRequests {
        await #expect(processExitsWith: .exitCode(50)) {
          WorkerPool.configure(threads: 2)
          let tally = Tally(64)
          // Others in this process may ask for memory meanwhile, so the least of many rounds counts.
          let requests = (0..<50).map { _ in
            let before = heapAllocations() ?? 0
            for _ in 0..<20 { WorkerPool.shared.run(tiles: 64) { tally.add($0) } }
            return heapAllocations().map { $0 - before } ?? 1
          }
          let isRight = requests.min() == 0 && tally.counts == [Int](repeating: 1000, count: 64)
          exit(isRight ? Int32(requests.count) : 1)
        }
      }
    }
  #endif

  @Test func bodiesWithoutAndWithCapturesAreCalled() {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: 2)
    WorkerPool.shared.run(tiles: 8) { precondition($0 >= 0 && $0 < 8) }
    let (first, second) = (Tally(8), Tally(8))
    func through(_ body: (Int) -> Void) { WorkerPool.shared.run(tiles: 8) { body(7 - $0) } }
    through { tile in
      first.add(tile)
      for _ in 0..<tile { second.add(tile) }
    }
    #expect(first.counts == WorkerPoolTests.once(8))
    #expect(second.counts == Array(0..<8))
  }

  @Test func poolWithoutThreadsIsRefused() async {
    await #expect(processExitsWith: .failure) { WorkerPool.configure(threads: 0) }
  }
}

/// Processor time of all threads of this process, in seconds.
private func processSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// The set of threads that were here.
private final class ThreadNames: @unchecked Sendable {
  private let lock = NSLock()
  private var names: Set<UInt> = []

  func add() {
    lock.withLock { _ = names.insert(UInt(pthread_self())) }
  }

  var count: Int { lock.withLock { names.count } }
}

extension WorkerPoolTests {
  @Test(arguments: [1, 3]) func somethingIsDoneBetweenTilesOnTheCallersThreadAlone(threads: Int) {
    defer { WorkerPool.configure(threads: 1) }
    WorkerPool.configure(threads: threads)
    let caller = Thread.current
    var (done, elsewhere) = (0, 0)
    let act = {
      done += 1
      if Thread.current != caller { elsewhere += 1 }
    }
    BetweenTiles.run(act, every: 0) { #expect(Self.runs(tiles: 64) == Self.once(64)) }
    #expect(done > 0 && elsewhere == 0)
    if threads == 1 { #expect(done == 64) }
    let before = done
    #expect(Self.runs(tiles: 64) == Self.once(64))
    BetweenTiles.run(act, every: 1e6) { _ = Self.runs(tiles: 64) }
    #expect(done <= before + 1)
  }
}
