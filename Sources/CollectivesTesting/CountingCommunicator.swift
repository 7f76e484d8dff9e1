// Counts what a rank says, operation by operation: how the number of messages grows with the ranks is a property of the
// code, and needs no cluster to be seen.

import Collectives
import Support

/// A communicator that passes everything on and counts operations by their kind.
public final class CountingCommunicator: Communicator {
  /// Operations of a rank.
  public enum Operation: String, Sendable, CaseIterable {
    /// Bytes to one rank and from one.
    case exchange
    /// Bytes to a rank.
    case send
    /// Bytes from a rank.
    case receive
    /// The library's; itself O(log P) messages.
    case broadcast
    /// The library's; itself O(log P) messages.
    case barrier
    /// The library's own sum.
    case nativeSum
    /// Bytes to a rank on a channel.
    case channel
  }

  /// How often each was called since the last reset.
  public private(set) var counts: [Operation: Int] = [:]
  private let inner: any Communicator

  /// Counts from 0.
  public init(_ inner: any Communicator) { self.inner = inner }

  /// Counts from 0 again.
  public func reset() { counts = [:] }

  /// The inner one's rank.
  public var rank: Int { inner.rank }
  /// The inner one's number of ranks.
  public var worldSize: Int { inner.worldSize }
  /// The inner one's host.
  public var hostName: String { inner.hostName }
  /// The inner one's.
  public var agreedFailure: Failure? {
    get { inner.agreedFailure }
    set { inner.agreedFailure = newValue }
  }

  /// Passed on.
  public func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    count(.exchange)
    try inner.exchange(sending: outgoing, to: destination, receiving: incoming, from: source)
  }

  /// Passed on.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws {
    count(.send)
    try inner.send(bytes, to: destination)
  }

  /// Passed on.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws {
    count(.receive)
    try inner.receive(bytes, from: source)
  }

  /// Passed on.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    count(.broadcast)
    try inner.broadcast(bytes, from: root)
  }

  /// Passed on.
  public func barrier() throws {
    count(.barrier)
    try inner.barrier()
  }

  /// Passed on.
  public func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    count(.nativeSum)
    try inner.nativeSum(values)
  }

  /// A channel whose sends are counted.
  public func openChannel(lanes: Int) throws -> any MessageChannel {
    CountingChannel(try inner.openChannel(lanes: lanes)) { [unowned self] in count(.channel) }
  }

  /// The inner one's: heartbeats are not counted.
  public func heartbeatChannel() throws -> (any HeartbeatChannel)? { try inner.heartbeatChannel() }

  /// Passed on.
  public func abort(_ reason: String, status: Int32) -> Never { inner.abort(reason, status: status) }

  private func count(_ operation: Operation) { counts[operation, default: 0] += 1 }
}

private final class CountingChannel: MessageChannel {
  var lanes: Int { inner.lanes }
  private let inner: any MessageChannel
  private let sent: () -> Void

  init(_ inner: any MessageChannel, _ sent: @escaping () -> Void) {
    self.inner = inner
    self.sent = sent
  }

  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int, lane: Int) throws {
    sent()
    try inner.send(bytes, to: destination, lane: lane)
  }

  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int, lane: Int) throws {
    try inner.receive(bytes, from: source, lane: lane)
  }

  func poll(lane: Int) throws -> Bool { try inner.poll(lane: lane) }
}
