// Memory in which HDF5 builds a file ("core" driver), owned by us. The library never touches the disk while writing,
// so a full disk cannot leave it in a state from which it crashes at exit, and the bytes can be hashed as they are.

import CHDF5
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A growing block of memory that holds an HDF5 file under construction.
public final class FileImage: @unchecked Sendable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  /// Bytes of the file so far.
  public private(set) var count = 0

  /// An empty image with room for `bytes` before it has to grow.
  public init(capacity bytes: Int) { startAnew(capacity: bytes) }

  /// Forgets the file, keeps the memory and sees to room for `bytes`.
  func startAnew(capacity bytes: Int) {
    count = 0
    _ = reserve(max(bytes, 1 << 16))
  }

  deinit { free(base) }

  /// The file's bytes, valid while the image lives and does not grow.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// The same, for filling in values whose place in the file is known.
  var mutableBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }

  private func reserve(_ bytes: Int) -> Bool {
    guard bytes > capacity else { return true }
    let hugePage = 2 << 20
    let wanted = (max(bytes, capacity + capacity / 4) + hugePage - 1) / hugePage * hugePage
    guard let moved = realloc(base, wanted) else { return false }
    let aligned = moved.alignedUp(toMultipleOf: 1 << 12)
    madvise(aligned, wanted - (aligned - moved), MADV_HUGEPAGE)
    base = moved
    capacity = wanted
    return true
  }

  private func resize(_ bytes: Int) -> UnsafeMutableRawPointer? {
    guard reserve(bytes) else { return nil }
    count = bytes
    return base
  }

  /// Makes a file access list build the file in this image.
  func attach(to accessList: hid_t, _ site: Site) throws {
    // An increment of one byte makes the image exactly as long as the file; growing is cheap, since room is reserved.
    try site.check(H5Pset_fapl_core(accessList, 1, false), "build a file in memory", status: .internal)
    var callbacks = H5FD_file_image_callbacks_t()
    callbacks.image_realloc = { _, size, _, context in
      guard let context else { return nil }
      return Unmanaged<FileImage>.fromOpaque(context).takeUnretainedValue().resize(size)
    }
    callbacks.image_malloc = { size, _, context in
      guard let context else { return nil }
      return Unmanaged<FileImage>.fromOpaque(context).takeUnretainedValue().resize(size)
    }
    callbacks.image_memcpy = { destination, source, size, _, _ in
      guard let destination, let source else { return nil }
      return memcpy(destination, source, size)
    }
    callbacks.image_free = { _, _, _ in 0 }
    callbacks.udata_copy = { $0 }
    callbacks.udata_free = { _ in 0 }
    callbacks.udata = Unmanaged.passUnretained(self).toOpaque()
    try site.check(H5Pset_file_image_callbacks(accessList, &callbacks), "build a file in memory", status: .internal)
  }
}
