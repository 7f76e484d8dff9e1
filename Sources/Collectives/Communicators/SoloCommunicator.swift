// The world of one rank: every exchange is with itself.

import Support

/// One process alone. Sums, broadcasts and barriers have nothing to do.
public final class SoloCommunicator: Communicator {
  /// Always 0.
  public let rank = 0
  /// Always 1.
  public let worldSize = 1
  /// Name of this host.
  public let hostName = currentHostName()
  /// The failure last agreed on.
  public var agreedFailure: Failure?

  /// A world of one rank.
  public init() {}

  /// Copies `outgoing` to `incoming`.
  /// - Precondition: both ranks are 0.
  public func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    precondition(destination == 0 && source == 0, "rank 0 is alone: no rank \(destination) or \(source)")
    guard outgoing.count == incoming.count else {
      throw Failure(.internal, "\(outgoing.count) bytes were sent where \(incoming.count) are expected", at: "rank 0")
    }
    incoming.copyMemory(from: outgoing)
  }

  /// Refused: nobody would receive.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws {
    preconditionFailure("rank 0 is alone: nobody receives \(bytes.count) bytes as rank \(destination)")
  }

  /// Refused: nobody would have sent.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws {
    preconditionFailure("rank 0 is alone: nobody sends \(bytes.count) bytes as rank \(source)")
  }

  /// Nothing to do.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    precondition(root == 0, "rank 0 is alone: no rank \(root)")
  }

  /// Nothing to do.
  public func barrier() throws {}

  /// Nothing to do.
  public func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws {}

  /// None: ranks of one process live and end together.
  public func heartbeatChannel() throws -> (any HeartbeatChannel)? { nil }

  /// A channel without anybody at its other end.
  public func openChannel(lanes: Int) throws -> any MessageChannel { SoloChannel(lanes: lanes) }

  /// Writes the reason and ends the process.
  public func abort(_ reason: String, status: Int32) -> Never { leaveProcess(reason, status: status) }
}
