// What the ranks of a `LoopbackCommunicator` share: a mailbox per pair of ranks, and the knowledge of who waits, who
// is done and whether a rank has failed, so that a broken test ends with a message and never hangs.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Mailboxes between the ranks of one process. Safe to use from any thread.
final class LoopbackWorld: @unchecked Sendable {
  /// The operation a message belongs to; ranks that call different operations are told so.
  enum Operation: String {
    case message, broadcast, barrier, sum
  }

  /// A way from one rank to another; channel 0 is that of the blocking operations.
  struct Mailbox: Hashable {
    let source: Int
    let destination: Int
    var channel = 0
    var lane = 0
  }

  private enum Activity: Equatable {
    case running
    case waiting(Mailbox)
    case finished
  }

  private struct Message {
    let operation: Operation
    let bytes: [UInt8]
  }

  let ranks: Int
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// One for each rank: hundreds of them would wake each other for nothing.
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var mailboxes: [Mailbox: [Message]] = [:]
  private var activities: [Activity]
  /// Ranks that neither wait for an empty mailbox nor are done.
  private var running: Int
  private var firstFailure: (rank: Int, error: any Error)?

  init(ranks: Int) {
    self.ranks = ranks
    activities = Array(repeating: .running, count: ranks)
    running = ranks
    changed = .allocate(capacity: ranks)
    pthread_mutex_init(mutex, nil)
    for rank in 0..<ranks { pthread_cond_init(changed + rank, nil) }
  }

  deinit {
    for rank in 0..<ranks { pthread_cond_destroy(changed + rank) }
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  /// What the first rank that failed has thrown.
  var failure: (any Error)? { locked { firstFailure?.error } }

  /// Notes that a rank has thrown: every waiting rank wakes with an error.
  func fail(_ rank: Int, _ error: any Error) {
    locked {
      if firstFailure == nil { firstFailure = (rank, error) }
      end(rank)
    }
  }

  /// Notes that a rank has returned.
  func finish(_ rank: Int) { locked { end(rank) } }

  /// Who waits for a rank that is done, or for anybody when nobody is left to run, waits in vain and must learn it.
  private func end(_ rank: Int) {
    if activities[rank] == .running { running -= 1 }
    activities[rank] = .finished
    for other in 0..<ranks { pthread_cond_signal(changed + other) }
  }

  /// Leaves a copy of the bytes; never waits.
  func post(_ bytes: UnsafeRawBufferPointer, _ operation: Operation, _ mailbox: Mailbox) throws {
    check(mailbox)
    try locked {
      try throwIfFailed()
      mailboxes[mailbox, default: []].append(Message(operation: operation, bytes: Array(bytes)))
      let destination = mailbox.destination
      guard activities[destination] == .waiting(mailbox) else { return }
      activities[destination] = .running
      running += 1
      pthread_cond_signal(changed + destination)
    }
  }

  /// Waits for the next message and copies it out.
  func take(_ bytes: UnsafeMutableRawBufferPointer, _ operation: Operation, _ mailbox: Mailbox) throws {
    check(mailbox)
    let rank = mailbox.destination
    let message = try locked {
      while isEmpty(mailbox) {
        try throwIfFailed()
        if activities[rank] == .running {
          activities[rank] = .waiting(mailbox)
          running -= 1
        }
        try throwIfHopeless(mailbox)
        pthread_cond_wait(changed + rank, mutex)
      }
      return mailboxes[mailbox, default: []].removeFirst()
    }
    try deliver(message, to: bytes, operation, mailbox)
  }

  /// Copies the next message out if there is one; says whether there was.
  func takeIfThere(_ bytes: UnsafeMutableRawBufferPointer, _ operation: Operation, _ mailbox: Mailbox) throws -> Bool {
    check(mailbox)
    let message: Message? = try locked {
      try throwIfFailed()
      guard !isEmpty(mailbox) || activities[mailbox.source] != .finished else {
        throw Failure(
          .internal, "polls for rank \(mailbox.source), which is done", at: "rank \(mailbox.destination)")
      }
      return isEmpty(mailbox) ? nil : mailboxes[mailbox, default: []].removeFirst()
    }
    guard let message else { return false }
    try deliver(message, to: bytes, operation, mailbox)
    return true
  }

  private func check(_ mailbox: Mailbox) {
    let (source, destination) = (mailbox.source, mailbox.destination)
    precondition(destination >= 0 && destination < ranks, "no rank \(destination) among \(ranks)")
    precondition(source >= 0 && source < ranks, "no rank \(source) among \(ranks)")
  }

  private func isEmpty(_ mailbox: Mailbox) -> Bool { mailboxes[mailbox]?.isEmpty ?? true }

  private func deliver(
    _ message: Message, to bytes: UnsafeMutableRawBufferPointer, _ operation: Operation, _ mailbox: Mailbox
  ) throws {
    let (rank, source) = (mailbox.destination, mailbox.source)
    guard message.operation == operation else {
      throw Failure(
        .internal, "called \(operation.rawValue) where rank \(source) called \(message.operation.rawValue)",
        at: "rank \(rank)")
    }
    guard message.bytes.count == bytes.count else {
      throw Failure(
        .internal, "rank \(source) sent \(message.bytes.count) bytes where \(bytes.count) are expected",
        at: "rank \(rank)")
    }
    bytes.copyBytes(from: message.bytes)
  }

  private func throwIfFailed() throws {
    guard let firstFailure else { return }
    throw Failure(.internal, "rank \(firstFailure.rank) failed: \(firstFailure.error)")
  }

  /// A rank that waits for a finished one, or with all others, would wait for ever.
  private func throwIfHopeless(_ mailbox: Mailbox) throws {
    let (rank, source) = (mailbox.destination, mailbox.source)
    if activities[source] == .finished {
      throw Failure(.internal, "waits for rank \(source), which is done", at: "rank \(rank)")
    }
    if running == 0 { throw Failure(.internal, "every rank waits for another", at: "rank \(rank)") }
  }

  private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }
}
