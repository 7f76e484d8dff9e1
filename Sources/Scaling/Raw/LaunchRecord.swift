// What one launch leaves behind, and its form as tables: n steps, P ranks, F phases, m traced steps, I events of a rank.
// docs/scaling.md describes the file.

import Collectives
import Storage
import Support

/// Phases of a step as studies tell them apart.
public enum StudyPhase: String, Sendable, CaseIterable {
  case data, source, teacher, mixed, extra, reduction, optimizer, gather, checkpoint, rest

  /// The phase that a phase of a training step belongs to.
  init(ofStep name: String) {
    switch name {
    case "teacher average": self = .optimizer
    case "pseudo-labels": self = .rest
    default: self = StudyPhase(rawValue: name) ?? .extra
    }
  }
}

/// Numbers of every step and rank, `[n, P]` row-major.
public struct StepTable<Value: Sendable & Equatable>: Sendable, Equatable {
  /// Number of ranks.
  public let ranks: Int
  /// All values.
  public let values: [Value]

  /// From values in order of steps, those of a step in order of ranks.
  public init(ranks: Int, _ values: [Value]) {
    precondition(ranks > 0 && values.count.isMultiple(of: ranks), "\(values.count) values of \(ranks) ranks")
    self.ranks = ranks
    self.values = values
  }

  /// From the values of each rank, in order of steps.
  init(byRank rows: [[Value]]) {
    self.init(ranks: rows.count, (rows.first ?? []).indices.flatMap { step in rows.map { $0[step] } })
  }

  /// Number of steps.
  public var steps: Int { values.count / ranks }
  /// Values of all ranks in a step.
  public subscript(step: Int) -> ArraySlice<Value> { values[step * ranks..<(step + 1) * ranks] }
}

/// Which launch it was and what it computed.
public struct LaunchIdentity: Sendable, Equatable {
  /// Digest of the study's settings that decide launches.
  public var study = ""
  /// Name of the cell.
  public var cell = ""
  /// What the cell is for.
  public var kind = CellKind.weak
  /// Block, from 0.
  public var block = 0
  /// Place in the order of the block.
  public var place = 0
  /// Compute threads of a rank.
  public var threads = 1
  /// Samples of all ranks together; of a copy, its own.
  public var globalBatch = 1
  /// Ranks that share the crops of a sample.
  public var cropShards = 1
  /// Whether moments were dealt out.
  public var shardMoments = false
  /// The benchmark case, or the recipe by name.
  public var benchmark = ""
  /// What the recipe says, as a digest; empty for a benchmark case.
  public var recipe = ""
  /// Where samples came from.
  public var data = StudyData.synthetic
  /// What it was worth, from where the ranks really ran.
  public var nature = CellNature.measured
  /// Version and digest of the program.
  public var program = ""
  /// The command that repeats it.
  public var command = ""
  /// UTC, ISO 8601.
  public var start = ""
  /// Seconds from the start of the ranks' work to its end.
  public var seconds = 0.0
  /// Steps at the start that belong to the warm-up in any case.
  public var leastWarmUp = 0
  /// Digest of the student after all steps; that of copy 0.
  public var studentDigest = ""
  /// Parameters of the student.
  public var parameters = 0

  /// An identity to fill in.
  public init() {}
}

/// Where and among whom a launch ran.
public struct LaunchEnvironment: Sendable, Equatable {
  /// Texts by name: `cpu`, `kernel`, `governor`, `libraries`, `openmpi`, `level`.
  public var texts: [String: String] = [:]
  /// Runnable processes of the first rank's host before the launch, over a minute.
  public var load = 0.0
  /// Share of the cores' time that the machine below took, on the worst host.
  public var steal = 0.0
  /// Share of the cores' time that other programs used, on the worst host.
  public var foreign = 0.0

  /// Nothing known.
  public init() {}
}

/// What a rank was and took.
public struct LaunchRank: Sendable, Equatable {
  /// Name of its host.
  public var host = ""
  /// Cores it may use.
  public var cores = 0
  /// Operations of products and convolutions of one step, in units of 10⁹.
  public var gflop = 0.0
  /// Most memory it held.
  public var peakMemoryBytes = 0
  /// Times it lost its core to another thread during the kept steps.
  public var contextSwitches = 0

  /// A rank to fill in.
  public init() {}
}

/// The messages of a step, by rank, with what ranks computed between them.
public struct TracedStep: Sendable, Equatable {
  /// Number of the step in the launch.
  public let step: Int
  /// Events of every rank.
  public let events: [[MessageEvent]]
  /// Seconds that every rank computed after its last event.
  public let tail: [Double]

  /// From its parts.
  public init(step: Int, events: [[MessageEvent]], tail: [Double]) {
    precondition(events.count == tail.count, "\(events.count) ranks with events, \(tail.count) ends")
    self.step = step
    self.events = events
    self.tail = tail
  }
}

/// One launch.
public struct LaunchRecord: Sendable, Equatable {
  /// Which one, and what it computed.
  public var identity: LaunchIdentity
  /// Where it ran.
  public var environment: LaunchEnvironment
  /// Its ranks.
  public var ranks: [LaunchRank]
  /// Wall-clock seconds.
  public var seconds: StepTable<Double>
  /// Seconds in messages other than sums of gradients, waiting included.
  public var waiting: StepTable<Double>
  /// Seconds that the computing thread spent on sums of gradients.
  public var exposed: StepTable<Double>
  /// Seconds in which sums were under way.
  public var underWay: StepTable<Double>
  /// Seconds by phase, in the order of `StudyPhase.allCases`.
  public var phases: [StudyPhase: StepTable<Double>]
  /// Bytes of gradients and parameters sent.
  public var bytes: StepTable<Int>
  /// Messages other than those of gradients.
  public var messages: StepTable<Int>
  /// Minor page faults.
  public var faults: StepTable<Int>
  /// The last steps in detail.
  public var traces: [TracedStep]
  /// Messages and sums by size; nil but for the control of links.
  public var links: LinkTimes?
  /// Figures of saving and loading by name; empty but for the control of storage.
  public var storage: [String: Double] = [:]

  /// From its parts.
  /// - Precondition: all tables are of as many steps and ranks.
  public init(
    identity: LaunchIdentity, environment: LaunchEnvironment, ranks: [LaunchRank], seconds: StepTable<Double>,
    waiting: StepTable<Double>, exposed: StepTable<Double>, underWay: StepTable<Double>,
    phases: [StudyPhase: StepTable<Double>], bytes: StepTable<Int>, messages: StepTable<Int>, faults: StepTable<Int>,
    traces: [TracedStep] = [], links: LinkTimes? = nil, storage: [String: Double] = [:]
  ) {
    let numbers = [seconds, waiting, exposed, underWay] + phases.values
    precondition(
      numbers.allSatisfy { $0.ranks == ranks.count && $0.steps == seconds.steps }
        && [bytes, messages, faults].allSatisfy { $0.ranks == ranks.count && $0.steps == seconds.steps },
      "tables of other than \(seconds.steps) steps and \(ranks.count) ranks")
    self.identity = identity
    self.environment = environment
    self.ranks = ranks
    self.seconds = seconds
    self.waiting = waiting
    self.exposed = exposed
    self.underWay = underWay
    self.phases = phases
    self.bytes = bytes
    self.messages = messages
    self.faults = faults
    self.traces = traces
    self.links = links
    self.storage = storage
  }

  /// A launch of which only the seconds of its repetitions are known.
  init(identity: LaunchIdentity, environment: LaunchEnvironment, ranks: [LaunchRank], seconds: StepTable<Double>) {
    let nothing = StepTable(ranks: ranks.count, [Double](repeating: 0, count: seconds.values.count))
    let none = StepTable(ranks: ranks.count, [Int](repeating: 0, count: seconds.values.count))
    self.init(
      identity: identity, environment: environment, ranks: ranks, seconds: seconds, waiting: nothing, exposed: nothing,
      underWay: nothing, phases: Dictionary(uniqueKeysWithValues: StudyPhase.allCases.map { ($0, nothing) }),
      bytes: none, messages: none, faults: none)
  }

  /// Name of the launch.
  public var name: String { StudyLaunch.name(cell: identity.cell, block: identity.block) }
  /// Number of ranks.
  public var rankCount: Int { ranks.count }
  /// Seconds of the slowest rank in every step.
  public var slowest: [Double] { (0..<seconds.steps).map { seconds[$0].max() ?? 0 } }
  /// Steps left out at the start.
  public var warmUp: Int { WarmUp.steps(slowest, least: identity.leastWarmUp) }
  /// Steps that count.
  public var kept: Range<Int> { min(warmUp, seconds.steps)..<seconds.steps }
  /// Seconds of the slowest rank in the steps that count.
  public var keptSeconds: [Double] { Array(slowest[kept]) }
  /// The launch's time: the median step that counts.
  public var median: Double { Scaling.median(keptSeconds) }
}
