// One background thread that makes numbered values a little ahead of their use.

import Foundation
import Support

/// Makes value n+1 … n+`depth` in the background while value n is used.
///
/// A value is a function of its number, so what is made ahead is what would be made on demand. A failure belongs to
/// its number and is thrown when that is taken. Where the system has no thread to give, values are made when taken.
final class Prefetcher<Value: Sendable>: Sendable {
  private final class Queue: @unchecked Sendable {
    let condition = NSCondition()
    var wanted = 0..<0
    var made: [Int: Result<Value, any Error>] = [:]
    var isStopping = false

    /// The next number to make, after waiting for one; nil when the thread is to end.
    func next() -> Int? {
      condition.lock()
      defer { condition.unlock() }
      while !isStopping {
        if let number = wanted.first(where: { made[$0] == nil }) { return number }
        condition.wait()
      }
      return nil
    }

    func put(_ number: Int, _ result: Result<Value, any Error>) {
      condition.lock()
      if wanted.contains(number) { made[number] = result }
      condition.broadcast()
      condition.unlock()
    }
  }

  private let queue = Queue()
  private let depth: Int
  /// Makes a value where there is no thread for it.
  private let makeHere: (@Sendable (Int) throws -> Value)?

  /// Starts the thread; it waits until a value is taken.
  init(depth: Int, _ make: @escaping @Sendable (Int) throws -> Value) {
    precondition(depth > 0, "a prefetcher makes at least one value ahead, not \(depth)")
    self.depth = depth
    do {
      try SystemThread("apus-data") { [queue] in
        while let number = queue.next() { queue.put(number, Result { try make(number) }) }
      }.detach()
      makeHere = nil
    } catch {
      makeHere = make
    }
  }

  /// Value `number`; waits for it if it is not made yet. Values before it are forgotten.
  /// - Throws: what making it threw.
  func take(_ number: Int) throws -> Value {
    if let makeHere { return try makeHere(number) }
    queue.condition.lock()
    queue.wanted = number..<number + 1 + depth
    queue.made = queue.made.filter { queue.wanted.contains($0.key) }
    queue.condition.broadcast()
    var result = queue.made[number]
    while result == nil {
      queue.condition.wait()
      result = queue.made[number]
    }
    queue.made[number] = nil
    queue.wanted = number + 1..<number + 1 + depth
    queue.condition.unlock()
    guard let result else { preconditionFailure("value \(number) was not made") }
    return try result.get()
  }

  deinit {
    queue.condition.lock()
    queue.isStopping = true
    queue.condition.broadcast()
    queue.condition.unlock()
  }
}
