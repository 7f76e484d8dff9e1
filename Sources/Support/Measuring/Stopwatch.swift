// Wall-clock time, and seconds by phase of a step.

/// Seconds since it was made.
public struct Stopwatch: Sendable {
  private let start = ContinuousClock.now

  /// Starts at once.
  public init() {}

  /// Elapsed wall-clock seconds.
  public var seconds: Double {
    let elapsed = ContinuousClock.now - start
    return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
  }
}

/// Accumulated seconds by phase name, in order of first use.
public struct PhaseTimes: Sendable {
  /// Phases and their seconds.
  public private(set) var seconds: [(name: String, seconds: Double)] = []

  /// No phases yet.
  public init() {}

  /// Runs `body` and adds its time to the phase; a listening `KernelMeter` and `Activity` learn of it too.
  public mutating func measure<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    let watch = Stopwatch()
    defer { add(name, watch.seconds) }
    Activity.enter(name)
    return try KernelMeter.phase(name, body)
  }

  /// Adds seconds to a phase.
  public mutating func add(_ name: String, _ value: Double) {
    if let index = seconds.firstIndex(where: { $0.name == name }) {
      seconds[index].seconds += value
    } else {
      seconds.append((name, value))
    }
  }
}
