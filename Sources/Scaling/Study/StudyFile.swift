// A study as its file describes it: what is run, on how many ranks, how often, and what spoils a launch. docs/scaling.md
// explains every key. Read by the recipes' reader; StudyPlan makes cells of it.

import Benchmarks
import DataParallel
import Foundation
import Recipes
import Support
import Training

/// What every launch of a cell runs.
public struct StudyWork: SettingGroup {
  /// A benchmark case: `b0-256`, `b0-512`, `b5-512`, or `ENCODER-SIDE`.
  public var benchmark = "b0-256"
  /// Steps of a launch, warm-up included.
  public var steps = 20

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    let isCase = Limit<String>(
      ": a benchmark case such as b0-256, or ENCODER-SIDE with a side of 64 to 1024 in steps of 64",
      candidates: StepBenchmarkCase.all.map(\.name)
    ) { StepBenchmarkCase(named: $0) != nil }
    try settings.value("case", &benchmark, isCase)
    try settings.value("steps", &steps, .from(4, to: 100_000))
  }
}

/// How ranks are started.
public enum LaunchMethod: String, SettingChoice {
  /// Launch/mpirun: on this host, on the hosts of a file, or in a Slurm allocation.
  case mpirun
  /// Launch/local-cluster: hosts that this machine plays, which must be up.
  case cluster
  /// One job of Slurm for each launch.
  case slurm
}

/// What ranks are bound to.
public enum Binding: String, SettingChoice {
  case core, socket, none
}

/// How launches are started.
public struct StudyLaunching: SettingGroup {
  /// The launcher.
  public var method = LaunchMethod.mpirun
  /// Host file of `Launch/mpirun`; nil: this host, or those of the Slurm job.
  public var hosts: String?
  /// Ranks on each host; nil leaves that to the launcher.
  public var ranksPerNode: Int?
  /// Cores of a host; nil: those of this one.
  public var cores: Int?
  /// What ranks are bound to.
  public var bind = Binding.none
  /// Interface or network between hosts.
  public var interface: String?
  /// Further options of sbatch.
  public var options: [String] = []

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("by", &method)
    try settings.path("hosts", &hosts)
    try settings.value("ranksPerNode", &ranksPerNode, .ifGiven(.atLeast(1)))
    try settings.value("cores", &cores, .ifGiven(.atLeast(1)))
    try settings.value("bind", &bind)
    try settings.value("interface", &interface)
    try settings.value("options", &options)
  }
}

/// What grows with the ranks.
public enum ScalingKind: String, SettingChoice {
  /// The batch grows with the ranks.
  case weak
  /// The batch stays.
  case strong
}

/// A line of points over rank counts.
public struct StudyPoint: SettingGroup {
  /// What grows with the ranks.
  public var kind = ScalingKind.weak
  /// Numbers of ranks.
  public var ranks = [1, 2]
  /// Weak scaling: samples of a rank, or of each group of `cropShards` ranks.
  public var samplesPerRank = 1
  /// Strong scaling: samples of all ranks together.
  public var globalBatch: Int?
  /// Ranks that share the crops of a sample.
  public var cropShards = [1]
  /// Another benchmark case than the study's.
  public var benchmark: String?
  /// Another number of steps than the study's.
  public var steps: Int?

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("kind", &kind)
    try settings.value("ranks", &ranks, .someEach(.from(1, to: 1 << 20)))
    try settings.value("samplesPerRank", &samplesPerRank, .from(1, to: 4096))
    try settings.value("globalBatch", &globalBatch, .ifGiven(.from(1, to: 1 << 24)))
    try settings.value("cropShards", &cropShards, .someEach(.atLeast(1)))
    try settings.value(
      "case", &benchmark, .ifGiven(Limit(": a case as in work") { StepBenchmarkCase(named: $0) != nil }))
    try settings.value("steps", &steps, .ifGiven(.from(4, to: 100_000)))
  }
}

/// What else varies: every combination is a cell.
public struct StudyFactors: SettingGroup {
  /// Compute threads of a rank.
  public var threads = [1]
  /// Whether gradients travel during the backward pass.
  public var overlap = ["auto"]
  /// Whether moments are dealt out over the ranks.
  public var shardMoments = [false]
  /// Micro-batches of a step.
  public var accumulate = [1]

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("threads", &threads, .someEach(.from(1, to: 4096)))
    let words = OverlapSetting.allCases.map(\.rawValue)
    try settings.value(
      "overlap", &overlap,
      Limit(", each one of \(words.joined(separator: ", "))", candidates: words) {
        !$0.isEmpty && $0.allSatisfy(words.contains)
      })
    try settings.value("shardMoments", &shardMoments, .someEach(.none))
    try settings.value("accumulate", &accumulate, .someEach(.from(1, to: 4096)))
  }
}

/// What is measured besides, to tell causes apart.
public struct StudyControls: SettingGroup {
  /// Unlinked copies of one rank's work at once: what a full host costs without any message.
  public var copies = true

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("copies", &copies)
  }
}

/// How often cells are launched.
public struct StudyRepeat: SettingGroup {
  /// Launches of a measured cell in any case.
  public var least = 6
  /// Launches of a measured cell at most.
  public var most = 30
  /// A cell has enough launches once half of its interval is this share of its median.
  public var halfWidth = 0.02
  /// Hours of launches after which no further block begins.
  public var hours = 6.0
  /// Launches of a functional cell: they show that the bits agree, and are no measurement.
  public var functional = 2

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("least", &least, .from(1, to: 10_000))
    try settings.value("most", &most, .from(1, to: 10_000))
    try settings.value("halfWidth", &halfWidth, .above(0))
    try settings.value("hours", &hours, .above(0))
    try settings.value("functional", &functional, .from(0, to: 10_000))
  }
}

/// The order of launches.
public struct StudyOrder: SettingGroup {
  /// Seed of the permutations.
  public var seed: UInt64 = 1

  /// The default.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws { try settings.value("seed", &seed) }
}

/// What spoils a launch: never its value, always a cause.
public struct StudyLimits: SettingGroup {
  /// Share of the cores' time that the machine below took away during the steps.
  public var steal = 0.01
  /// Share of the cores' time that other programs used during the steps.
  public var foreign = 0.05

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("steal", &steal, .from(0, to: 1))
    try settings.value("foreign", &foreign, .from(0, to: 1))
  }
}

/// What ratios are of.
public struct StudyReference: SettingGroup {
  /// Ranks of the cells that others are divided by.
  public var ranks = 1

  /// The default.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("ranks", &ranks, .atLeast(1))
  }
}

/// A scaling study.
public struct Study: SettingGroup {
  /// Its name: that of its folder.
  public var name = "study"
  /// What launches run.
  public var work = StudyWork()
  /// How they are started.
  public var launch = StudyLaunching()
  /// Over which numbers of ranks.
  public var points = [StudyPoint()]
  /// What else varies.
  public var factors = StudyFactors()
  /// What is measured besides.
  public var controls = StudyControls()
  /// How often.
  public var `repeat` = StudyRepeat()
  /// In which order.
  public var order = StudyOrder()
  /// What spoils a launch.
  public var drop = StudyLimits()
  /// What ratios are of.
  public var reference = StudyReference()

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("study", &name, Limit(": the name of a folder") { faultOfFileName($0) == nil })
    try settings.group("work", &work)
    try settings.group("launch", &launch)
    try settings.groups("points", &points)
    try settings.group("factors", &factors)
    try settings.group("controls", &controls)
    try settings.group("repeat", &`repeat`)
    try settings.group("order", &order)
    try settings.group("drop", &drop)
    try settings.group("reference", &reference)
  }

  /// The complete study as YAML, every default written out.
  public var resolvedYAML: String { SettingsText(self).yaml }

  /// SHA-256 of what decides launches and their order, in hexadecimal. How often they are repeated, what drops them and
  /// what they are divided by may change while a study goes on.
  public var digest: String { SettingsText(self).digest(of: Study.decidesLaunches) }

  /// The first setting that decides launches and has another value in `other`: its key and both values.
  public func firstChange(in other: Study) -> (key: String, old: String, new: String)? {
    let new = Dictionary(uniqueKeysWithValues: SettingsText(other).lines.map { ($0.key, $0.text) })
    let old = Dictionary(uniqueKeysWithValues: SettingsText(self).lines.map { ($0.key, $0.text) })
    let keys = SettingsText(self).lines.map(\.key) + SettingsText(other).lines.map(\.key)
    guard let key = keys.first(where: { Study.decidesLaunches($0) && old[$0] != new[$0] }) else { return nil }
    return (key, old[key] ?? "(none)", new[key] ?? "(none)")
  }

  private static func decidesLaunches(_ key: String) -> Bool {
    !["repeat.", "drop.", "reference."].contains { key.hasPrefix($0) }
  }
}

extension Limit {
  /// A list that is not empty, whose elements keep to `limit`.
  static func someEach<Element>(_ limit: Limit<Element>) -> Limit where Value == [Element] {
    Limit(" of at least one element" + (limit.words.isEmpty ? "" : ", each\(limit.words)")) {
      !$0.isEmpty && $0.allSatisfy(limit.allows)
    }
  }
}
