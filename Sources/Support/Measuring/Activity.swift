// What this process is doing right now: told by the training thread, read by the watchdog's.

import Synchronization

/// The place in the run where the training thread is. One for the process; safe to use from any thread.
public enum Activity {
  /// What kind of work it is: how long a piece of it may take depends on that.
  public enum Kind: Int, Sendable {
    /// It comes before the first step: reading data, building networks, going on from a checkpoint.
    case startUp
    /// A training step, whose duration is known from the steps before.
    case step
    /// Work beside training steps, such as an evaluation, whose duration nobody knows beforehand.
    case beside
  }

  /// A place in the run.
  public struct Place: Sendable, Equatable {
    /// The step under way, as the log will count it; 0 before the first.
    public var step = 0
    /// What is being done, such as `mixed` or `evaluation`.
    public var phase = "start"
    /// The kind of work it belongs to.
    public var kind = Kind.startUp
    /// How many phases have begun: ranks that have come equally far have equally many.
    public var phases = 0
    /// How often the thread has told anything, ticks included: as long as this grows, work goes on. Ranks that share out
    /// images tick differently often.
    public var marks = 0
    /// Whether the thread waits for other ranks.
    public var isWaiting = false

    /// A place.
    public init(
      step: Int = 0, phase: String = "start", kind: Kind = .startUp, phases: Int = 0, marks: Int = 0,
      isWaiting: Bool = false
    ) {
      self.step = step
      self.phase = phase
      self.kind = kind
      self.phases = phases
      self.marks = marks
      self.isWaiting = isWaiting
    }
  }

  private static let current = Mutex(Place())

  /// Where the training thread is.
  public static var place: Place { current.withLock { $0 } }

  /// A training step begins, with its data.
  public static func begin(step: Int) {
    enter("data", .step) { _ in step }
  }

  /// A part of the preparations for the first step begins.
  public static func prepare(_ phase: String) {
    enter(phase, .startUp) { _ in 0 }
  }

  /// Work beside training steps begins, such as an evaluation, whose duration nobody knows beforehand.
  public static func beside(_ phase: String) {
    enter(phase, .beside) { $0 }
  }

  /// The next phase of what is under way begins.
  public static func enter(_ phase: String) {
    current.withLock {
      $0.phase = phase
      $0.phases += 1
      $0.marks += 1
    }
  }

  private static func enter(_ phase: String, _ kind: Kind, step: (Int) -> Int) {
    current.withLock {
      $0 = Place(step: step($0.step), phase: phase, kind: kind, phases: $0.phases + 1, marks: $0.marks + 1)
    }
  }

  /// A piece of long work is done, such as one image of an evaluation.
  public static func tick() { current.withLock { $0.marks += 1 } }

  /// Runs `body`, which waits for other ranks.
  public static func waiting<Result>(_ body: () throws -> Result) rethrows -> Result {
    current.withLock { $0.isWaiting = true }
    defer { current.withLock { $0.isWaiting = false } }
    return try body()
  }
}
