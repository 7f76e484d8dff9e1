// What this machine can do at best: the rates that kernels are compared with.

import CKernels
import Support
import Tensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Rates of large matrix products through the same door as every kernel's, in operations a second, one for each of
/// `repeats` products `side`³.
///
/// Rows are cut so that every thread of the pool has as much to do: this is a yardstick, and no result depends on it.
/// Memory comes from the system and goes back to it, so that the process's peak stays that of its own work.
public func productRates(side: Int = 2048, repeats: Int) -> [Double] {
  let count = side * side
  let memory = FreshMemory(floats: 3 * count)
  for index in 0..<3 * count { memory.base[index] = Float(index % 17) * 0.125 - 1 }
  let (a, b, result) = (memory.base, memory.base + count, memory.base + 2 * count)
  let tiles = Tiles(of: side, size: (side + WorkerPool.shared.threads - 1) / WorkerPool.shared.threads)
  func product() {
    WorkerPool.shared.run(tiles: tiles.number) { tile in
      let rows = tiles[tile]
      multiply(
        MatrixView(a + rows.lowerBound * side, stride: side), MatrixView(b, stride: side),
        into: result + rows.lowerBound * side, stride: side, rows: rows.count, columns: side, depth: side)
    }
  }
  product()
  return (0..<repeats).map { _ in
    let watch = Stopwatch()
    product()
    return 2 * Double(side) * Double(count) / watch.seconds
  }
}

/// Rates of adding one large buffer to another, in bytes read and written a second, one for each of `repeats`.
///
/// What is written was read before, so that no transfer goes uncounted, as it would in a copy through the caches.
public func memoryRates(megabytes: Int = 128, repeats: Int) -> [Double] {
  let count = megabytes << 18
  let memory = FreshMemory(floats: 2 * count)
  let (source, target) = (memory.base, memory.base + count)
  source.update(repeating: 1, count: 2 * count)
  let tiles = Tiles(of: count, size: 32768)
  return (0..<repeats).map { _ in
    let watch = Stopwatch()
    WorkerPool.shared.run(tiles: tiles.number) { tile in
      ck_add_in_place(target + tiles[tile].lowerBound, source + tiles[tile].lowerBound, tiles[tile].count)
    }
    return 12 * Double(count) / watch.seconds
  }
}

/// Memory straight from the system, given back at the end of its life.
private final class FreshMemory {
  let base: UnsafeMutablePointer<Float>
  private let block: UnsafeMutableRawPointer
  private let bytes: Int

  init(floats: Int) {
    bytes = floats * MemoryLayout<Float>.stride
    let mapped = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { preconditionFailure("no memory for \(bytes) bytes") }
    madvise(mapped, bytes, MADV_HUGEPAGE)
    block = mapped
    base = mapped.bindMemory(to: Float.self, capacity: floats)
  }

  deinit { munmap(block, bytes) }
}
