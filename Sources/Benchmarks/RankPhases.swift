// What every rank does in the phases of a step, and how long it waits for others there.

import Collectives
import Foundation
import Support

/// The phases of a metered step on one rank.
public struct RankPhases: Codable, Sendable {
  /// One phase.
  public struct Phase: Codable, Sendable {
    /// Its name.
    public let name: String
    /// Seconds.
    public var seconds: Double
    /// Seconds of them in messages, waiting for other ranks included.
    public var messageSeconds: Double
    /// Messages other than those of sums of gradients over ranks.
    public var messages: Int
  }

  /// Phases in order of their begin.
  public private(set) var phases: [Phase] = []

  /// Adds up the spans of the computing thread, in which a phase comes before what it encloses.
  public init(_ spans: [MeterSpan]) {
    var current = 0
    var end = Int64.min
    for span in spans {
      switch span.label {
      case .phase(let name):
        end = span.end
        current = phases.firstIndex { $0.name == name } ?? phases.count
        if current == phases.count { phases.append(Phase(name: name, seconds: 0, messageSeconds: 0, messages: 0)) }
        phases[current].seconds += span.seconds
      case .communication where span.end <= end:
        phases[current].messageSeconds += span.seconds
        phases[current].messages += 1
      default: break
      }
    }
  }

  /// Seconds in messages, waiting included.
  public var messageSeconds: Double { phases.reduce(0) { $0 + $1.messageSeconds } }

  /// Those of all ranks. Called by all of them.
  func ofRanks(on communicator: any Communicator) throws -> [RankPhases] {
    let own = try communicator.together { try jsonLine(self) }
    let texts = try communicator.gatherStrings(own)
    return try communicator.together {
      try texts.map { try JSONDecoder().decode(RankPhases.self, from: Foundation.Data($0.utf8)) }
    }
  }

  /// A heading, and a line for each phase with the seconds of every rank and its seconds in messages.
  static func table(_ ranks: [RankPhases]) -> [String] {
    guard ranks.count > 1 else { return [] }
    let names = ranks[0].phases.map(\.name)
    let heading = ranks.indices.map { cell("rank \($0)") + cell("messages") }.joined()
    return ["  \(leftColumn("", 28))\(heading)"]
      + names.map { name in
        let cells = ranks.map { rank -> String in
          guard let phase = rank.phases.first(where: { $0.name == name }) else { return cell("-") + cell("-") }
          return cell(rounded(phase.seconds, 3)) + cell(rounded(phase.messageSeconds, 3))
        }
        return "  \(leftColumn(name, 28))\(cells.joined())"
      }
  }
}
