// A launch on its ranks: steps are run and timed, everything is gathered on rank 0, which writes one file. What the hidden
// command `apus scaling launch` does.

import Benchmarks
import Collectives
import Foundation
import Kernels
import Recipes
import Storage
import Support
import Tensors
import Training

/// Runs one launch of a study.
public struct LaunchRun {
  /// Steps at the end whose messages are recorded.
  private static let tracedSteps = 3

  let launch: StudyLaunch
  let study: Study
  private let program: String
  private let libraries: [String: String]
  private let countsOperations: Bool
  let communicator: any Communicator
  /// Opens the folder of cached labels that a recipe names; nil where none can be read.
  public var caches: ((String) -> any PseudoLabelStore)?
  /// Saves and loads the state of a run of so large an encoder; nil where that cannot be timed.
  public var timesStorage: ((_ encoder: String) throws -> StorageBenchmarkReport)?

  /// - Parameters:
  ///   - launch: which one.
  ///   - study: its study.
  ///   - program: version and digest of the program.
  ///   - libraries: versions by name, for the record.
  ///   - countsOperations: whether a further step counts operations; ranks that are threads of one process share the
  ///     meter and cannot.
  ///   - communicator: the ranks.
  public init(
    _ launch: StudyLaunch, of study: Study, program: String, libraries: [String: String],
    countsOperations: Bool = true, on communicator: any Communicator
  ) {
    self.launch = launch
    self.study = study
    self.program = program
    self.libraries = libraries
    self.countsOperations = countsOperations
    self.communicator = communicator
  }

  /// What one rank has measured.
  private struct Own {
    var samples: [StepBenchmark.Sample] = []
    var traces: [RankTrace] = []
    var counters = HostCounters()
    var peakMemory = 0
    var operations = 0
    var digest = ""
    var parameters = 0
    var seconds = 0.0
  }

  /// Runs the launch. Called by all ranks.
  /// - Parameter command: the command that repeats it.
  /// - Returns: the record, on rank 0.
  /// - Throws: what building the work and its steps throw.
  public func run(command: String) throws -> LaunchRecord? {
    guard launch.cell.kind.trains else { return try control(command: command) }
    let start = Date.now.formatted(.iso8601)
    let load = systemFileLines("/proc/loadavg").first.flatMap { $0.split(separator: " ").first }.flatMap { Double($0) }
    let own = try measure()
    let places = try gathered(place(own))
    let rows = try steps(own.samples)
    let traces = try gathered(own.traces)
    let gflop = try communicator.gathered([Double(own.operations) / 1e9]).map { $0[0] }
    let memory = try communicator.gathered([own.peakMemory]).map { $0[0] }
    let switches = try communicator.gathered([own.counters.contextSwitches]).map { $0[0] }
    let digests = try communicator.gatherStrings(own.digest)
    guard communicator.rank == 0 else { return nil }
    guard Set(digests).count == 1 else {
      throw Failure(.checkFailed, "ranks ended with different weights", at: launch.name)
    }
    let place = LaunchPlace(places)
    var identity = identity(command: command)
    (identity.start, identity.nature, identity.seconds) = (start, place.nature, own.seconds)
    (identity.studentDigest, identity.parameters) = (own.digest, own.parameters)
    var environment = self.environment
    (environment.load, environment.steal, environment.foreign) = (load ?? 0, place.steal, place.foreign)
    let ranks = places.indices.map { rank in
      var facts = places[rank].facts
      (facts.gflop, facts.peakMemoryBytes, facts.contextSwitches) = (gflop[rank], memory[rank], switches[rank])
      return facts
    }
    return LaunchRecord(
      identity: identity, environment: environment, ranks: ranks, seconds: rows.numbers[0], waiting: rows.numbers[1],
      exposed: rows.numbers[2], underWay: rows.numbers[3],
      phases: Dictionary(uniqueKeysWithValues: zip(StudyPhase.allCases, rows.numbers[4...])),
      bytes: rows.integers[0], messages: rows.integers[1], faults: rows.integers[2],
      traces: RankTrace.joined(traces))
  }

  /// All steps on this rank, from networks to the digest.
  private func measure() throws -> Own {
    let watch = Stopwatch()
    let work = try work()
    var own = Own()
    own.parameters = work.parameterCount
    try communicator.barrier()
    var before = HostCounters.now()
    for step in 0..<launch.cell.steps {
      if step == launch.cell.leastWarmUp { before = HostCounters.now() }
      let isTraced = step >= launch.cell.steps - LaunchRun.tracedSteps && step >= launch.cell.leastWarmUp
      if isTraced { work.listen(true) }
      own.samples.append(try work.once())
      if isTraced, let log = work.listen(false) {
        own.traces.append(RankTrace(step: step, events: log.events, tail: log.secondsSince))
      }
    }
    own.counters = HostCounters.now() - before
    own.digest = work.studentDigest
    own.peakMemory = peakMemoryBytes()
    if countsOperations { own.operations = try work.countedOperations() }
    own.seconds = watch.seconds
    return own
  }

  /// What the steps are of.
  private func work() throws -> any TimedSteps {
    let ranks: any Communicator = launch.cell.kind == .copies ? SoloCommunicator() : communicator
    if let recipe = try communicator.together({ try launch.cell.resolvedRecipe() }) {
      return try RecipeSteps(
        recipe, loads: launch.cell.data == .loader, classIndex: study.work.classIndex, caches: caches, on: ranks)
    }
    guard let setting = StepBenchmarkCase(named: launch.cell.benchmark) else {
      throw Failure(.badData, "no case \"\(launch.cell.benchmark)\"", at: launch.name)
    }
    return try StepBenchmark(setting, launch.cell.layout, on: ranks)
  }

  private func place(_ own: Own) -> LaunchPlace.Rank { place(own.counters) }

  /// Where this rank is, and what was counted there.
  func place(_ counters: HostCounters) -> LaunchPlace.Rank {
    let facts = RankFacts(host: communicator.hostName, level: .current)
    return LaunchPlace.Rank(
      host: facts.host, kernel: HostCounters.kernelIdentity, allowed: facts.cores, usable: usableCores(),
      threads: facts.threads, cores: HostCounters.cores, busy: counters.busy, stolen: counters.stolen,
      own: counters.own, clock: counters.clock)
  }

  /// A value of every rank, in their order, on all ranks.
  func gathered<Value: Codable>(_ own: Value) throws -> [Value] {
    let text = try communicator.together { try jsonLine(own) }
    let texts = try communicator.gatherStrings(text)
    return try communicator.together {
      try texts.map { try JSONDecoder().decode(Value.self, from: Foundation.Data($0.utf8)) }
    }
  }

  /// Seconds, waiting, exposed, under way and phases; bytes, messages and faults of every step and rank.
  private func steps(
    _ samples: [StepBenchmark.Sample]
  ) throws -> (numbers: [StepTable<Double>], integers: [StepTable<Int>]) {
    let phases = samples.map(LaunchRun.phases)
    var columns: [[Double]] = [
      samples.map(\.seconds), samples.map(\.messages.seconds), samples.map(\.reduction.exposedSeconds),
      samples.map(\.reduction.seconds),
    ]
    columns += StudyPhase.allCases.map { phase in phases.map { $0[phase] ?? 0 } }
    let counts = [samples.map(\.reduction.bytes), samples.map(\.messages.messages), samples.map(\.pageFaults)]
    return (
      try columns.map { StepTable(byRank: try communicator.gathered($0)) },
      try counts.map { StepTable(byRank: try communicator.gathered($0)) }
    )
  }

  /// Seconds of a step by phase; what no phase has is the rest.
  private static func phases(of sample: StepBenchmark.Sample) -> [StudyPhase: Double] {
    var seconds: [StudyPhase: Double] = [:]
    for phase in sample.phases.seconds { seconds[StudyPhase(ofStep: phase.name), default: 0] += phase.seconds }
    let named = sample.phases.seconds.reduce(0) { $0 + $1.seconds }
    seconds[.rest, default: 0] += max(0, sample.seconds - named)
    return seconds
  }

  /// What is known of the launch beforehand.
  func identity(command: String) -> LaunchIdentity {
    let cell = launch.cell
    var identity = LaunchIdentity()
    (identity.study, identity.cell, identity.kind) = (study.digest, cell.name, cell.kind)
    (identity.block, identity.place, identity.threads) = (launch.block, launch.place, WorkerPool.shared.threads)
    (identity.globalBatch, identity.cropShards) = (cell.globalBatch, cell.cropShards)
    (identity.shardMoments, identity.benchmark) = (cell.shardMoments, cell.benchmark)
    (identity.recipe, identity.data, identity.leastWarmUp) = (cell.recipeDigest, cell.data, cell.leastWarmUp)
    (identity.program, identity.command) = (program, command)
    return identity
  }

  /// What launches run on, but for loads.
  var environment: LaunchEnvironment {
    var environment = LaunchEnvironment()
    let cpu = systemFileLines("/proc/cpuinfo").first { $0.hasPrefix("model name") }
    let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    // What mpirun tells its ranks of itself is no setting.
    let settings = ["btl", "coll", "pml", "mtl", "osc", "mpi_", "oob_tcp", "hwloc"].map { "OMPI_MCA_\($0)" }
    let openmpi = ProcessInfo.processInfo.environment.filter { entry in
      settings.contains { entry.key.hasPrefix($0) }
    }
    environment.texts = [
      "cpu": cpu?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown",
      "kernel": systemFileLines("/proc/sys/kernel/osrelease").first ?? "unknown",
      "governor": systemFileLines(governor).first ?? "unknown", "level": "\(CPULevel.current)",
      "libraries": libraries.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "),
      "openmpi": openmpi.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " "),
    ]
    return environment
  }
}

/// A traced step of one rank on its way to rank 0.
private struct RankTrace: Codable {
  let step: Int
  let events: [MessageEvent]
  let tail: Double

  /// Steps with the events of all ranks, from the steps of every rank.
  static func joined(_ ranks: [[RankTrace]]) -> [TracedStep] {
    (ranks.first ?? []).indices.map { index in
      TracedStep(
        step: ranks[0][index].step, events: ranks.map { $0[index].events }, tail: ranks.map { $0[index].tail })
    }
  }
}
