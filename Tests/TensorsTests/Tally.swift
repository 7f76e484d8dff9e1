// Counts that many threads add to.

import Synchronization

/// One count per index, safe to add to from any thread.
final class Tally: Sendable {
  private let values: Mutex<[Int]>

  /// Zeros.
  init(_ count: Int) { values = Mutex([Int](repeating: 0, count: count)) }

  /// Adds one at an index.
  func add(_ index: Int) { values.withLock { $0[index] += 1 } }

  /// The counts so far.
  var counts: [Int] { values.withLock { $0 } }
}
