// apus train: from a recipe to a run directory.

import ArgumentParser
import Collectives
import DataParallel
import Foundation
import Kernels
import Recipes
import StorageHDF5
import Support
import Tensors
import Training

/// Options that every command with a recipe takes.
struct RecipeOptions: ParsableArguments {
  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp("Override a recipe value; may repeat.", valueName: "key.path=value"))
  var overrides: [String] = []

  /// Reads the recipe on every rank; a failure is thrown on all.
  func read(_ path: String, on communicator: any Communicator) throws -> Recipe {
    try communicator.together { try Recipe.read(path, overrides: overrides, catalogue: .standard) }
  }
}

/// Sets up threads and the instruction-set level of this rank. Called by all ranks.
///
/// Threads not given are the cores this process may use, by affinity and by its control group's quota, shared with the
/// other ranks of its host. All ranks use the lowest level that one of them has, or that `APUS_CPU_LEVEL` asks for.
/// - Returns: the highest level that this rank may use.
/// - Throws: on all ranks, `Failure` 64 for a number of threads or a level that cannot be, 70 where the system does not
///   give a rank its threads.
@discardableResult
func setUpMachine(threads: Int, on communicator: any Communicator) throws -> CPULevel {
  let hosts = try communicator.gatherStrings(communicator.hostName)
  let neighbours = hosts.filter { $0 == communicator.hostName }.count
  try communicator.together {
    try startThreads(threads > 0 ? threads : max(1, Int(clamping: usableCores()) / neighbours))
  }
  let wanted = try communicator.together { () throws -> CPULevel in
    guard let name = ProcessInfo.processInfo.environment["APUS_CPU_LEVEL"], !name.isEmpty else { return .supported }
    guard let level = CPULevel(named: name) else {
      let names = CPULevel.allCases.map(\.description)
      let hint = nearestSpelling(to: name, among: names).map { "did you mean \($0)?" }
      throw Failure(
        .usage, "no CPU level \"\(name)\"", at: "APUS_CPU_LEVEL",
        remedy: hint ?? "use one of \(names.joined(separator: ", "))")
    }
    return level
  }
  let own = min(wanted.rawValue, CPULevel.supported.rawValue)
  let lowest = try communicator.allMinimum(Int64(own))
  try communicator.together { _ = try CPULevel.use(CPULevel(rawValue: Int(lowest)) ?? .portable) }
  return CPULevel(rawValue: own) ?? .portable
}

private func startThreads(_ count: Int) throws {
  guard count <= 4096 else {
    throw Failure(.usage, "\(count) threads are too many", at: "threads", remedy: "a rank may have up to 4096")
  }
  WorkerPool.configure(threads: count)
  let given = WorkerPool.shared.threads
  guard given == count else {
    throw Failure(
      .internal, "the system gives this process \(given) of \(count) compute threads", at: "threads",
      remedy: SystemThread.remedy)
  }
}

/// Prints who takes part, where there are several ranks, and what makes them slow. Called by all ranks.
func showRanks(_ level: CPULevel, on communicator: any Communicator) throws {
  let table = try RankTable(RankFacts(host: communicator.hostName, level: level), on: communicator)
  guard communicator.rank == 0 else { return }
  for line in (communicator.worldSize > 1 ? table.lines : []) + table.warnings { say(line) }
}

/// The threads that `APUS_THREADS` asks for, else 0.
func environmentThreads() throws -> Int {
  guard let text = ProcessInfo.processInfo.environment["APUS_THREADS"], !text.isEmpty else { return 0 }
  guard let threads = Int(text), threads >= 0 else {
    throw Failure(.usage, "\"\(text)\" is no number of threads", at: "APUS_THREADS", remedy: "give a whole number")
  }
  return threads
}

/// Trains a recipe.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a recipe, alone or on the ranks of mpirun or srun.")

  @Argument(help: ArgumentHelp("The recipe, a YAML file.", valueName: "recipe"))
  var recipe: String
  @Option(help: ArgumentHelp("Where the run goes; Checkpoints/<recipe name> if not given.", valueName: "dir"))
  var runDirectory: String?
  @Flag(help: "Go on from the newest complete checkpoint in the run directory, on any number of ranks.")
  var resume = false
  @Option(help: "Stop once this many steps are complete in total; schedule.steps stays as it is.")
  var steps: Int?
  @Flag(help: "Write the first steps to trace.json in the run directory, as trace: true in the recipe does.")
  var trace = false
  @Option(
    help: ArgumentHelp(
      "Summary of a source-only run, whose scores are put beside this run's.", valueName: "file"))
  var sourceOnlySummary: String?
  @Option(
    help: ArgumentHelp(
      "Class counts of the source labels, by `apus data index` or from another run's directory; saves counting them.",
      valueName: "file"))
  var classIndex: String?
  @OptionGroup var settings: RecipeOptions

  mutating func validate() throws {
    if let steps, steps < 1 { throw ValidationError("--steps must be at least 1, not \(steps)") }
    if trace { settings.overrides.append("trace=true") }
  }

  /// Where a run of the recipe goes.
  func path(of recipe: Recipe) -> String { runDirectory ?? "Checkpoints/\(recipe.name)" }

  /// What it comes to: how it ended, and the summary on rank 0 if it was not stopped.
  typealias Ending = (status: ExitStatus, summary: Summary?)

  func run() throws {
    // From the beginning: a signal while the run is being prepared means its first step.
    try runHere {
      try StopSignals.install()
      return .done
    }
    try runOnRanks { communicator in
      // Ranks that were told other things would wait for each other at other places.
      try ReplicaAgreement(on: communicator, interval: 0).compare(
        [("--resume", "\(resume)"), ("--steps", steps.map(String.init) ?? "not given")],
        remedy: "give all ranks the same options")
      // Progress must reach a file or a pipe line by line.
      lineBufferOutput()
      if let chain = try communicator.together({ try chain() }) {
        try showRanks(try setUpMachine(threads: chain.stages[0].recipe.threads, on: communicator), on: communicator)
        return try train(chain, on: communicator)
      }
      let recipe = try settings.read(self.recipe, on: communicator)
      return try recipe.watch.watching(on: communicator) {
        try showRanks(try setUpMachine(threads: recipe.threads, on: communicator), on: communicator)
        return try train(
          recipe, in: path(of: recipe), until: steps ?? recipe.schedule.steps, on: communicator, $0
        ).status
      }
    }
  }

  /// Trains a recipe in a folder until a number of steps. A collective.
  /// - Parameter earlier: folders of the runs that came before in a chain.
  func train(
    _ recipe: Recipe, in path: String, after earlier: [String] = [], until steps: Int,
    on communicator: any Communicator, _ watchdog: Watchdog?
  ) throws -> Ending {
    let isRoot = communicator.rank == 0
    let sourceOnly = try communicator.together {
      isRoot ? try sourceOnlySummary.map { try Summary(contentsOf: $0).student } : nil
    }
    let checkpoints = HDF5CheckpointStore(folder: RunLayout(path).checkpoints)
    // Before a folder is made for it.
    _ = try communicator.together { try recipe.shardPlan(on: communicator) }
    let look = DataLook(folder: isRoot ? path : nil) { say($0) }
    let data = try RunData(
      recipe, on: communicator, say: { say($0) }, caches: { HDF5PseudoLabelStore(folder: $0) })
    let found = try communicator.together { isRoot && resume ? try checkpoints.steps() : [] }
    let (directory, former) = try communicator.together {
      isRoot ? try take(path, recipe, data, checkpoints, found) : (nil, nil)
    }
    let counting = ClassCounting(keptIn: directory, former: former, earlier: earlier, orReadFrom: classIndex) {
      say($0)
    }
    let experiment = try Experiment(
      recipe, on: communicator, data: data, counting: counting,
      startingWith: try communicator.orBits(found.isEmpty ? 0 : 1) == 0 ? checkpoints : nil, look: look)
    if let directory { look.save(in: directory) }
    let trainer = Trainer(
      experiment, directory: directory, store: checkpoints,
      pseudoLabels: HDF5PseudoLabelStore(folder: RunLayout(path).pseudoLabels)
    ) { say($0) }
    try trainer.prepare(resume: resume)
    let outcome = try trainer.run(until: steps, watchdog)
    let told = try communicator.together {
      try directory.flatMap { try write(outcome, of: trainer, beside: sourceOnly, into: $0) }
    }
    directory?.release()
    return (outcome.status, told)
  }

  /// Writes summary and report of a run that was not stopped. On rank 0 only.
  private func write(
    _ outcome: RunOutcome, of trainer: Trainer, beside sourceOnly: Scores?, into directory: RunDirectory
  ) throws -> Summary? {
    guard var summary = outcome.summary else { return nil }
    summary.sourceOnly = sourceOnly
    try directory.write(try jsonText(summary), to: directory.layout.summary)
    try directory.write(try trainer.report(summary, log: directory.layout.log), to: directory.layout.report)
    say("report: \(directory.layout.report)")
    return summary
  }

  /// Takes the run's folder and tells what has changed since its newest checkpoint. On rank 0 only.
  private func take(
    _ path: String, _ recipe: Recipe, _ data: RunData, _ checkpoints: HDF5CheckpointStore, _ steps: [Int]
  ) throws -> (RunDirectory?, DataComparison?) {
    // Which checkpoint can be trusted is found out later. Data are compared before their labels are counted, for hours.
    let newest = steps.reversed().lazy.compactMap { try? checkpoints.outline(file: checkpoints.file(step: $0)).run }
      .first
    let (directory, former, notes) = try RunDirectory.take(
      path, resume: resume, recipe: recipe, overrides: settings.overrides, data: data.identities, checkpoint: newest)
    let layout = directory.layout
    let warnings = readyForWriting([layout.checkpoints, layout.pseudoLabels, layout.path])
    for note in notes + warnings { say(note) }
    return (directory, former)
  }
}
