// Counts and times what passes through a communicator: the small messages of a step, apart from gradients, which have a
// channel of their own.

import Support

/// What was said, and how long it took.
public struct MessageFigures: Sendable, Equatable, Codable {
  /// Exchanges, sends, receipts and collective operations of this rank.
  public var messages: Int
  /// Bytes this rank has brought to them or taken from them.
  public var bytes: Int
  /// Seconds in them, waiting for slower ranks included.
  public var seconds: Double

  /// Given figures, or none.
  public init(messages: Int = 0, bytes: Int = 0, seconds: Double = 0) {
    self.messages = messages
    self.bytes = bytes
    self.seconds = seconds
  }

  /// What was added since earlier figures.
  public static func - (now: MessageFigures, before: MessageFigures) -> MessageFigures {
    MessageFigures(
      messages: now.messages - before.messages, bytes: now.bytes - before.bytes, seconds: now.seconds - before.seconds)
  }
}

/// A communicator that passes everything on to another one and keeps count.
public final class MeteredCommunicator: Communicator {
  /// The one that does the work.
  public let inner: any Communicator
  /// What has passed so far. With one rank there is nobody to talk to and nothing is counted.
  public private(set) var figures = MessageFigures()
  private var log: MessageLog?

  /// Counts from 0.
  public init(_ inner: any Communicator) { self.inner = inner }

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

  /// Passed on; the longer direction counts.
  public func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    try count("exchange", max(outgoing.count, incoming.count), .exchange(to: destination, from: source)) {
      try inner.exchange(sending: outgoing, to: destination, receiving: incoming, from: source)
    }
  }

  /// Passed on.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws {
    try count("send", bytes.count, .send(to: destination)) { try inner.send(bytes, to: destination) }
  }

  /// Passed on.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws {
    try count("receive", bytes.count, .receive(from: source)) { try inner.receive(bytes, from: source) }
  }

  /// Passed on.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try count("broadcast", bytes.count, .broadcast(from: root)) { try inner.broadcast(bytes, from: root) }
  }

  /// Passed on.
  public func barrier() throws { try count("barrier", 0, everybody) { try inner.barrier() } }

  /// Passed on.
  public func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try count("sum", values.count * MemoryLayout<Float>.stride, everybody) { try inner.nativeSum(values) }
  }

  /// The inner one's channel: what passes through it is not counted here.
  public func openChannel(lanes: Int) throws -> any MessageChannel { try inner.openChannel(lanes: lanes) }

  /// The inner one's: heartbeats are not counted.
  public func heartbeatChannel() throws -> (any HeartbeatChannel)? { try inner.heartbeatChannel() }

  /// Passed on.
  public func abort(_ reason: String, status: Int32) -> Never { inner.abort(reason, status: status) }

  /// Starts a log of what passes, or ends it.
  /// - Returns: the log until now, if there was one.
  @discardableResult
  public func listen(_ listens: Bool) -> MessageLog? {
    defer { log = listens ? MessageLog() : nil }
    return log
  }

  /// Noted as a meeting; nothing is counted.
  public func noting<Result>(meetingOf ranks: [Int], _ body: () throws -> Result) rethrows -> Result {
    guard ranks.count > 1 else { return try body() }
    log?.begins()
    defer { log?.ended(.meeting(of: ranks), bytes: 0) }
    return try inner.noting(meetingOf: ranks, body)
  }

  /// Noted as a unit of the step; nothing is counted.
  public func noting<Result>(unit name: String, _ body: () throws -> Result) rethrows -> Result {
    let former = log?.turns(to: name)
    defer { if let former { log?.turns(to: former) } }
    return try inner.noting(unit: name, body)
  }

  private var everybody: MessageEvent.Kind { .meeting(of: Array(0..<worldSize)) }

  private func count<Result>(
    _ name: String, _ bytes: Int, _ kind: MessageEvent.Kind, _ body: () throws -> Result
  ) rethrows -> Result {
    guard worldSize > 1 else { return try body() }
    log?.begins()
    defer { log?.ended(kind, bytes: bytes) }
    let watch = Stopwatch()
    defer {
      figures.messages += 1
      figures.bytes += bytes
      figures.seconds += watch.seconds
    }
    return try Activity.waiting { try KernelMeter.communication(name, body) }
  }
}
