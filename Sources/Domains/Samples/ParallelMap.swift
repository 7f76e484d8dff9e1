// Work on many images at once.

import Support
import Synchronization
import Tensors

/// Results of `body` for 0 ..< `count`, in order, computed on the worker pool.
/// - Throws: the failure of the lowest index that failed.
func parallelMap<Element: Sendable>(_ count: Int, _ body: (Int) throws -> Element) throws -> [Element] {
  let slots = Mutex([Result<Element, any Error>?](repeating: nil, count: count))
  WorkerPool.shared.run(tiles: count) { index in
    let result = Result { try body(index) }
    slots.withLock { $0[index] = result }
  }
  return try slots.withLock { $0 }.map { slot in
    guard let slot else { preconditionFailure("a tile did not run") }
    return try slot.get()
  }
}
