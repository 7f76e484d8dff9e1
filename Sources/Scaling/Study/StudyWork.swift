// What a study launches: work, launcher, points over rank counts and factors. docs/scaling.md explains every key.

import Benchmarks
import DataParallel
import Recipes
import Support
import Training

/// Where the samples of steps come from.
public enum StudyData: String, SettingChoice {
  /// From memory, the same in every step.
  case synthetic
  /// From the recipe's data sets, by the loader of training.
  case loader
}

/// What every launch of a cell runs.
public struct StudyWork: SettingGroup {
  /// A benchmark case: `b0-256`, `b0-512`, `b5-512`, or `ENCODER-SIDE`.
  public var benchmark = "b0-256"
  /// A recipe in the place of a case.
  public var recipe: String?
  /// Where samples come from.
  public var data = StudyData.synthetic
  /// Class counts of the recipe's source labels, as `apus data index` writes them; else every launch counts.
  public var classIndex: String?
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
    try settings.path("recipe", &recipe)
    try settings.value("data", &data)
    try settings.path("classIndex", &classIndex)
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
  /// Another benchmark case than the study's work.
  public var benchmark: String?
  /// Another recipe than the study's work.
  public var recipe: String?
  /// Another source of samples than the study's.
  public var data: StudyData?
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
    try settings.path("recipe", &recipe)
    try settings.value("data", &data)
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
  /// How the learning rate follows the global batch; empty: as the recipe says, not at all in benchmark cases.
  public var batchRule: [String] = []

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
    let rules = Recipe.BatchRule.allCases.map(\.rawValue)
    try settings.value(
      "batchRule", &batchRule,
      Limit(", each one of \(rules.joined(separator: ", "))", candidates: rules) { $0.allSatisfy(rules.contains) })
  }
}
