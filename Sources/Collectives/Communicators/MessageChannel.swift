// Messages that travel while a rank computes: started, polled, done. Gradients have a channel of their own, so that
// they never meet the blocking operations of a `Communicator`.

/// A way for messages beside a communicator's own operations.
///
/// A channel has lanes. On one lane, messages from one rank to another arrive in the order in which they were sent, and
/// both ranks must name equal lengths; lanes do not wait for each other. Nothing moves unless somebody polls. All calls
/// come from the training thread. Lengths are 64-bit.
public protocol MessageChannel: AnyObject {
  /// Number of lanes.
  var lanes: Int { get }
  /// Starts sending. The bytes must stay as they are until the lane is done.
  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int, lane: Int) throws
  /// Starts receiving. The bytes are undefined until the lane is done.
  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int, lane: Int) throws
  /// Moves messages on and says whether everything started on the lane is done. Never waits.
  /// - Throws: `Failure` where lengths disagree or another rank is gone.
  func poll(lane: Int) throws -> Bool
}

/// The channel of a rank that is alone: nobody to send to.
final class SoloChannel: MessageChannel {
  let lanes: Int

  init(lanes: Int) { self.lanes = lanes }

  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int, lane: Int) throws {
    preconditionFailure("rank 0 is alone: nobody receives \(bytes.count) bytes as rank \(destination)")
  }

  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int, lane: Int) throws {
    preconditionFailure("rank 0 is alone: nobody sends \(bytes.count) bytes as rank \(source)")
  }

  func poll(lane: Int) throws -> Bool { true }
}

/// A channel whose ranks are some of another one's, numbered anew: for groups of ranks.
public final class GroupChannel: MessageChannel {
  /// Number of lanes.
  public var lanes: Int { inner.lanes }
  private let inner: any MessageChannel
  private let ranks: [Int]

  /// - Parameters:
  ///   - inner: opened by all ranks of the world, this group's or not.
  ///   - ranks: rank in the world of each rank of the group.
  public init(_ inner: any MessageChannel, ranks: [Int]) {
    self.inner = inner
    self.ranks = ranks
  }

  /// Sends to a rank of the group.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int, lane: Int) throws {
    try inner.send(bytes, to: ranks[destination], lane: lane)
  }

  /// Receives from a rank of the group.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int, lane: Int) throws {
    try inner.receive(bytes, from: ranks[source], lane: lane)
  }

  /// As the inner one.
  public func poll(lane: Int) throws -> Bool { try inner.poll(lane: lane) }
}
