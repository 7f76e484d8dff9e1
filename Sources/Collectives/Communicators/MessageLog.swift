// What a rank did between its messages, and whom each of them waited for: enough to say how long a step would take if
// messages cost nothing.

import Support

/// A message of one rank, or a meeting of several.
public struct MessageEvent: Sendable, Equatable, Codable {
  /// Who waits for whom. Ranks are those of the world.
  public enum Kind: Sendable, Equatable, Codable {
    /// Bytes to one rank and from one, at once.
    case exchange(to: Int, from: Int)
    /// Bytes to a rank.
    case send(to: Int)
    /// Bytes from a rank.
    case receive(from: Int)
    /// The root's bytes, for all ranks.
    case broadcast(from: Int)
    /// Nobody leaves before all are there.
    case meeting(of: [Int])
    /// No message: a part of the step ends here, to which belongs all since the last such event.
    case end(ofUnit: String)
  }

  /// Who waits for whom.
  public let kind: Kind
  /// Bytes of the longer direction; 0 where they are not known.
  public let bytes: Int
  /// Seconds since the event before, or since the log began: what the rank computed.
  public let computing: Double
  /// Seconds in it.
  public let seconds: Double

  /// From its parts.
  public init(_ kind: Kind, bytes: Int = 0, computing: Double, seconds: Double = 0) {
    self.kind = kind
    self.bytes = bytes
    self.computing = computing
    self.seconds = seconds
  }
}

/// The events of a rank in order. An event inside another, such as a message of a meeting, is a part of the outer one.
public struct MessageLog: Sendable {
  /// What belongs to no part of the step that has a name.
  public static let rest = "rest"

  /// Events until now.
  public private(set) var events: [MessageEvent] = []
  private var watch = Stopwatch()
  private var depth = 0
  private var computing = 0.0
  private var unit = MessageLog.rest

  /// Starts the clock.
  public init() {}

  /// Seconds since the last event: what the rank computed after all messages.
  public var secondsSince: Double { watch.seconds }

  /// What comes belongs to a part of the step.
  /// - Returns: the part that what came before belongs to.
  @discardableResult
  mutating func turns(to unit: String) -> String {
    precondition(depth == 0, "the part \(unit) of a step begins in a message")
    defer { self.unit = unit }
    events.append(MessageEvent(.end(ofUnit: self.unit), computing: watch.seconds))
    watch = Stopwatch()
    return self.unit
  }

  mutating func begins() {
    depth += 1
    guard depth == 1 else { return }
    computing = watch.seconds
    watch = Stopwatch()
  }

  mutating func ended(_ kind: MessageEvent.Kind, bytes: Int) {
    depth -= 1
    guard depth == 0 else { return }
    events.append(MessageEvent(kind, bytes: bytes, computing: computing, seconds: watch.seconds))
    watch = Stopwatch()
  }
}
