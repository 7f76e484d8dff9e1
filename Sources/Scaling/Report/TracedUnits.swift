// Where a traced step goes by its named parts, and whether the parts add up to it.

import Collectives

/// The parts of the traced steps of a cell.
public struct TracedUnits: Sendable, Equatable {
  /// A part.
  public struct Part: Sendable, Equatable {
    /// Its name, that of a phase.
    public let name: String
    /// Seconds that a rank computes in it: mean over ranks, median over steps.
    public let computing: Double
    /// Seconds that a rank is in messages and meetings in it, alike.
    public let messages: Double
  }

  /// Parts in order of their first end; what has no name is last.
  public let parts: [Part]
  /// All parts of a rank by the seconds of its step, which another clock timed: median over ranks and steps.
  public let sumByStep: Double
  /// The same of the rank and step that is farthest from one.
  public let farthest: Double

  /// Of launches that were traced; nil if none was.
  public init?(_ launches: [LaunchRecord]) {
    let steps = launches.flatMap { record in
      record.traces.filter { $0.step < record.seconds.steps }.map { (record, $0) }
    }
    guard !steps.isEmpty else { return nil }
    let sums = steps.map { TracedUnits.sums($1) }
    let names = sums.flatMap { $0.flatMap { $0.map(\.name) } }.reduce(into: [String]()) { names, name in
      if !names.contains(name), name != MessageLog.rest { names.append(name) }
    }
    parts = (names + [MessageLog.rest]).map { name in
      func middle(_ value: (Part) -> Double) -> Double {
        median(
          sums.map { ranks in
            ranks.reduce(0.0) { $0 + ($1.first { $0.name == name }.map(value) ?? 0) } / Double(ranks.count)
          })
      }
      return Part(name: name, computing: middle(\.computing), messages: middle(\.messages))
    }
    let ratios = zip(steps, sums).flatMap { step, ranks in
      zip(ranks, step.0.seconds[step.1.step]).map { parts, seconds in
        parts.reduce(0) { $0 + $1.computing + $1.messages } / seconds
      }
    }
    sumByStep = median(ratios)
    farthest = ratios.max { abs($0 - 1) < abs($1 - 1) } ?? 1
  }

  /// Parts of each rank in a step.
  public static func sums(_ step: TracedStep) -> [[Part]] {
    zip(step.events, step.tail).map { events, tail in
      var parts: [Part] = []
      func add(_ name: String, _ computing: Double, _ messages: Double) {
        let former = parts.firstIndex { $0.name == name }
        let (before, said) = former.map { (parts[$0].computing, parts[$0].messages) } ?? (0, 0)
        let part = Part(name: name, computing: before + computing, messages: said + messages)
        if let former { parts[former] = part } else { parts.append(part) }
      }
      var (computing, messages) = (0.0, 0.0)
      for event in events {
        computing += event.computing
        messages += event.seconds
        guard case .end(let name) = event.kind else { continue }
        add(name, computing, messages)
        (computing, messages) = (0, 0)
      }
      add(MessageLog.rest, computing + tail, messages)
      return parts
    }
  }
}
