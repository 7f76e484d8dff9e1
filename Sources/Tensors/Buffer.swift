// Float buffers that come from a pool and go back to it: fresh pages cost more than the arithmetic of small ops.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A block of floats, 64-byte aligned; returns to the pool when the last reference goes.
public final class Buffer: @unchecked Sendable {
  /// First element. Contents are undefined when fresh.
  public let base: UnsafeMutablePointer<Float>
  /// Elements that may be used.
  public let count: Int
  let bytes: Int

  init(base: UnsafeMutablePointer<Float>, count: Int, bytes: Int) {
    self.base = base
    self.count = count
    self.bytes = bytes
  }

  deinit { BufferPool.shared.give(base, bytes) }
}

/// Keeps freed buffers and hands them out again: small ones by size class, large ones as pieces of free memory that
/// grow together again, so that one phase's large buffers serve the next one's of other sizes. Safe to use from any
/// thread.
public final class BufferPool: Sendable {
  /// What the pool did since the process began.
  public struct Statistics: Sendable {
    /// Requests that needed fresh memory.
    public var misses = 0
    /// Requests in all.
    public var requests = 0
    /// Bytes ever taken from the system and kept.
    public var mappedBytes = 0
    /// Bytes handed out now.
    public var bytesInUse = 0
    /// Largest `bytesInUse` so far.
    public var peakBytesInUse = 0
  }

  private struct State: ~Copyable {
    /// Addresses of free small blocks by size class.
    var free = [[UInt]](repeating: [], count: BufferPool.classNumber(BufferPool.large))
    /// Free memory for large blocks.
    var large = FreeMemory()
    var statistics = Statistics()
  }

  /// The process's pool.
  public static let shared = BufferPool()
  private let state = Mutex(State())
  private static let hugePage = 2 << 20
  /// Blocks of so many bytes and more are pieces of larger memory.
  private static let large = 64 << 10
  /// The least that is taken from the system for large blocks.
  private static let region = 8 << 20

  /// Counters so far.
  public var statistics: Statistics { state.withLock { $0.statistics } }

  /// A buffer of at least `count` floats with undefined contents. Where the system has no memory for it, the job ends
  /// with one line and status 70: kernels cannot go on without.
  public func take(_ count: Int) -> Buffer {
    let (base, bytes) = takeBlock(count)
    return Buffer(base: base, count: count, bytes: bytes)
  }

  /// Lends `count` floats with undefined contents to `body`: scratch for one tile, without an object on the heap.
  public func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    let (base, bytes) = takeBlock(count)
    body(base)
    give(base, bytes)
  }

  private func takeBlock(_ count: Int) -> (base: UnsafeMutablePointer<Float>, bytes: Int) {
    guard count < 1 << 58 else { endWithoutMemory(nil, for: "a buffer") }
    let bytes = BufferPool.sizeClass(max(count, 1) * MemoryLayout<Float>.stride)
    let address = state.withLock { state -> UInt in
      state.statistics.requests += 1
      state.statistics.bytesInUse += bytes
      state.statistics.peakBytesInUse = max(state.statistics.peakBytesInUse, state.statistics.bytesInUse)
      let kept =
        bytes < BufferPool.large ? state.free[BufferPool.classNumber(bytes)].popLast() : state.large.take(bytes)
      if let kept { return kept }
      let fresh = bytes < BufferPool.large ? bytes : max(bytes, BufferPool.region)
      state.statistics.misses += 1
      state.statistics.mappedBytes += fresh
      let address = BufferPool.allocate(fresh)
      if fresh > bytes { state.large.give(address + UInt(bytes), fresh - bytes) }
      return address
    }
    guard let base = UnsafeMutablePointer<Float>(bitPattern: address) else {
      preconditionFailure("a pool buffer has no address")
    }
    return (base, bytes)
  }

  fileprivate func give(_ base: UnsafeMutablePointer<Float>, _ bytes: Int) {
    let address = UInt(bitPattern: base)
    state.withLock {
      $0.statistics.bytesInUse -= bytes
      if bytes < BufferPool.large {
        $0.free[BufferPool.classNumber(bytes)].append(address)
      } else {
        $0.large.give(address, bytes)
      }
    }
  }

  /// Rounds up to a class: eighths of a power of two, so that at most an eighth is wasted.
  static func sizeClass(_ bytes: Int) -> Int {
    guard bytes > 512 else { return 512 }
    let power = 1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount)
    let step = max(power / 8, 64)
    return (bytes + step - 1) / step * step
  }

  /// Position of a size class, counted from the smallest.
  private static func classNumber(_ bytes: Int) -> Int {
    let exponent = Int.bitWidth - 1 - bytes.leadingZeroBitCount
    return (exponent - 9) * 8 + (bytes - (1 << exponent)) / (1 << (exponent - 3))
  }

  private static func allocate(_ bytes: Int) -> UInt {
    var memory: UnsafeMutableRawPointer?
    let alignment = bytes >= hugePage ? hugePage : 64
    guard posix_memalign(&memory, alignment, bytes) == 0, let memory else {
      endWithoutMemory(bytes, for: "a buffer")
    }
    requireMemoryReserve(after: bytes, for: "a buffer")
    if bytes >= hugePage { madvise(memory, bytes, MADV_HUGEPAGE) }
    return UInt(bitPattern: memory)
  }
}
