// The buffer pool: kept memory, size classes, alignment, and use from many threads. Counters belong to the process, so
// these tests expect to run alone.

import Tensors
import Testing

@Suite(.serialized) struct BufferPoolTests {
  private static let pool = BufferPool.shared

  private static func bytes(of count: Int) -> Int {
    let before = pool.statistics.bytesInUse
    let buffer = pool.take(count)
    defer { withExtendedLifetime(buffer) {} }
    return pool.statistics.bytesInUse - before
  }

  /// A round of requests as of one step: some live together, some one after the other.
  private static func round() {
    var kept: [Buffer] = []
    for count in [1, 100, 1000, 5000, 5001, 70_000, 300_000, 1_000_003] {
      kept.append(pool.take(count))
      _ = pool.take(count)
      kept.append(pool.take(count / 2))
    }
    withExtendedLifetime(kept) {}
  }

  @Test func laterRoundsFindEverythingInThePool() {
    BufferPoolTests.round()
    let first = BufferPoolTests.pool.statistics
    for _ in 0..<5 { BufferPoolTests.round() }
    let last = BufferPoolTests.pool.statistics
    #expect(last.misses == first.misses && last.mappedBytes == first.mappedBytes)
    #expect(last.requests == first.requests + 5 * 24)
    #expect(last.bytesInUse == first.bytesInUse && last.peakBytesInUse == first.peakBytesInUse)
  }

  @Test func freshMemoryIsCounted() {
    let before = BufferPoolTests.pool.statistics
    // Nobody else asks for this size: a gigabyte and some, never touched.
    let buffer = BufferPoolTests.pool.take(300_000_001)
    let after = BufferPoolTests.pool.statistics
    #expect(after.requests == before.requests + 1 && after.misses == before.misses + 1)
    #expect(after.mappedBytes - before.mappedBytes >= 4 * buffer.count)
    #expect(after.bytesInUse - before.bytesInUse == after.mappedBytes - before.mappedBytes)
    #expect(after.peakBytesInUse >= after.bytesInUse)
  }

  @Test func classesWasteAtMostAnEighth() {
    for count in [129, 200, 1000, 1024, 1025, 4097, 65_537, 100_000, 262_144, 262_145, 999_999] {
      let bytes = BufferPoolTests.bytes(of: count)
      #expect(bytes >= 4 * count && Double(bytes) <= 4 * Double(count) * 1.125 + 64, "\(count) floats: \(bytes) bytes")
    }
    #expect(BufferPoolTests.bytes(of: 0) == BufferPoolTests.bytes(of: 128))
    #expect(BufferPoolTests.bytes(of: 1024) == 4096)
  }

  @Test func sizesOfOneClassShareTheirMemory() {
    func address(_ count: Int) -> UInt { UInt(bitPattern: BufferPoolTests.pool.take(count).base) }
    let first = address(10_000)
    #expect(address(10_050) == first)
    #expect(address(15_000) != first)
    #expect(address(10_000) == first)
  }

  @Test(arguments: [1, 100, 1001, 77_777, 600_001, 5_000_000]) func buffersAreAligned(count: Int) {
    let buffer = BufferPoolTests.pool.take(count)
    #expect(UInt(bitPattern: buffer.base) % 64 == 0)
    #expect(buffer.count == count)
    buffer.base[count - 1] = 1
  }

  @Test func buffersOfManyThreadsNeverOverlap() {
    let before = BufferPoolTests.pool.statistics.bytesInUse
    let clashes = Tally(4)
    onThreads(4) { thread in
      for round in 0..<400 {
        let mark = Float(thread * 1000 + round)
        let tensors = [10, 700, 900, 4000].map { Tensor(repeating: mark, [$0 + round % 7]) }
        if !tensors.allSatisfy({ $0.values.allSatisfy { $0 == mark } }) { clashes.add(thread) }
      }
    }
    #expect(clashes.counts == [0, 0, 0, 0])
    #expect(BufferPoolTests.pool.statistics.bytesInUse == before)
  }

  @Test func buffersComeBackFromOtherThreads() {
    let before = BufferPoolTests.pool.statistics
    onThreads(3) { _ in _ = Tensor(repeating: 1, [123_457]) }
    let misses = BufferPoolTests.pool.statistics.misses - before.misses
    _ = Tensor(zeros: [123_457])
    #expect(BufferPoolTests.pool.statistics.misses - before.misses == misses)
    #expect(BufferPoolTests.pool.statistics.bytesInUse == before.bytesInUse)
  }
}
