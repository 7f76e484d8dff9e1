// Decoded images and labels kept in memory, up to a bound.

import Synchronization

/// Values by index, kept until their bytes would exceed a bound; then further ones are made anew each time.
///
/// Sampling is uniform within a class, so what is kept first serves as many hits as what was used last, and reading a
/// set in order does not push out what the next pass needs.
final class DecodedCache<Value: Sendable>: Sendable {
  private struct State {
    var kept: [Int: Value] = [:]
    var bytes = 0
  }

  private let limit: Int
  private let state = Mutex(State())

  init(limit: Int) { self.limit = limit }

  /// The kept value, or a new one. Two threads that miss at once both make it; the values are equal.
  func value(_ index: Int, bytes: (Value) -> Int, _ make: () throws -> Value) rethrows -> Value {
    if let kept = state.withLock({ $0.kept[index] }) { return kept }
    let made = try make()
    let size = bytes(made)
    state.withLock { state in
      guard state.kept[index] == nil, state.bytes + size <= limit else { return }
      state.kept[index] = made
      state.bytes += size
    }
    return made
  }
}
