// From commands, which are synchronous, to work that is not.

import Foundation
import Synchronization

/// Runs an asynchronous body to its end while this thread waits.
func waitFor<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
  let outcome = Outcome<Value>()
  Task.detached {
    do {
      outcome.end(.success(try await body()))
    } catch {
      outcome.end(.failure(error))
    }
  }
  return try outcome.value()
}

/// What a body ends with, handed from thread to thread.
private final class Outcome<Value: Sendable>: Sendable {
  private let result = Mutex<Result<Value, any Error>?>(nil)
  private let isThere = DispatchSemaphore(value: 0)

  func end(_ end: Result<Value, any Error>) {
    result.withLock { $0 = end }
    isThere.signal()
  }

  func value() throws -> Value {
    isThere.wait()
    guard let result = result.withLock({ $0 }) else { preconditionFailure("an outcome was signalled but is not there") }
    return try result.get()
  }
}
