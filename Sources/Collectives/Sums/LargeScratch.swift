// Memory for what comes from other ranks, in large pages.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Floats with undefined contents, freed with the object.
///
/// From 2 MB on they lie in pages of 2 MB where the system has them: a copy between processes looks up every page.
final class LargeScratch {
  /// The first one.
  let base: UnsafeMutablePointer<Float>
  private static let largePage = 2 << 20

  init(_ count: Int) {
    let bytes = max(count * MemoryLayout<Float>.stride, 64)
    let isLarge = bytes >= LargeScratch.largePage
    let alignment = isLarge ? LargeScratch.largePage : 64
    let rounded = (bytes + alignment - 1) / alignment * alignment
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, alignment, rounded) == 0, let memory else {
      endWithoutMemory(rounded, for: "sums over ranks")
    }
    requireMemoryReserve(after: rounded, for: "sums over ranks")
    #if canImport(Glibc)
      if isLarge { madvise(memory, rounded, MADV_HUGEPAGE) }
    #endif
    base = memory.assumingMemoryBound(to: Float.self)
  }

  deinit { free(base) }
}
