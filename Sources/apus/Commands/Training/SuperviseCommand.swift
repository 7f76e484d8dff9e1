// apus supervise: starts a training run again until it is done.

import ArgumentParser
import Foundation
import Launching
import Recipes
import StorageHDF5
import Support
import Training

/// Keeps a training run going.
struct SuperviseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "supervise",
    abstract: "Start a training run again until it is done.",
    usage: "apus supervise [OPTIONS] -- Launch/mpirun [...] train RECIPE --resume [...]",
    discussion: """
      The command is started again from the newest good checkpoint after a stop, a dead rank, a lost host or a stall.
      Exit status 64, 65, 66 or 73 is not tried again. SIGINT, SIGTERM, SIGHUP and SIGUSR1 are passed on once, as a
      request to save: supervision ends with the status of the run, or with 75 where nothing ran. SIGQUIT does not wait
      for the save. Each start is told in supervise.log in the run directory.
      """)

  @Option(help: ArgumentHelp("Restarts in a row without a newer checkpoint.", valueName: "n"))
  var maxRestarts = 5
  @Option(
    help: ArgumentHelp("Pause before the second of them; doubles each time up to 300.", valueName: "seconds"))
  var backoff = 5
  @Option(
    help: ArgumentHelp(
      "A host is left out once it failed so often; needs --hosts after Launch/mpirun.", valueName: "n"))
  var hostFailures = 2
  @Flag(help: "An earlier start of this same job, now over, may have left the lock of the run directory.")
  var releaseLock = false
  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("What starts the ranks, such as Launch/mpirun -n 8 train recipe.yaml --resume."))
  var command: [String] = []

  mutating func validate() throws {
    for (name, value) in [("max-restarts", maxRestarts), ("host-failures", hostFailures), ("backoff", backoff)]
    where !(0...1_000_000).contains(value) {
      throw ValidationError("--\(name) is a whole number from 0 to 1000000, not \(value)")
    }
    // Everything from the first word that is no option here belongs to the command.
    if ["-h", "--help"].contains(command.first) { throw CleanExit.helpRequest(self) }
    if command.first == "--" { command.removeFirst() }
    guard let first = command.first else { throw ValidationError("no command to supervise") }
    guard !first.hasPrefix("-") else { throw ValidationError("unknown option \(first)") }
  }

  func run() throws {
    // First of all: a signal that comes while the run is being prepared means that it shall not start.
    let stop = Result { try StopRequests.install() }
    signal(SIGPIPE, SIG_IGN)
    var status: Int32 = 0
    try runAlone {
      let supervisor = try makeSupervisor(stop.get())
      status = try waitFor {
        var supervisor = supervisor
        return try await supervisor.run()
      }
      return .done
    }
    guard status == 0 else { throw ExitCode(status) }
  }

  /// The supervisor of the run directory that the command will train in.
  private func makeSupervisor(_ stop: StopRequests) throws -> Supervisor {
    guard let command = RankCommand(command) else { throw usage("only apus train can be supervised") }
    let train = try trainCommand(command.trainArguments)
    guard train.resume else { throw usage("a restart goes on with --resume; add it after train") }
    let (layout, runs) = try folders(train)
    var limits = Supervisor.Limits()
    (limits.restarts, limits.backoff, limits.hostFailures) = (maxRestarts, backoff, hostFailures)
    return try Supervisor(
      command, folder: layout.path, lock: layout.lock, limits: limits, release: releaseLock, stop: stop
    ) {
      // Of a chain the last stage that has one: any other name means that the run has come further.
      let newest = try runs.reversed().lazy.compactMap { run in
        try HDF5CheckpointStore(folder: run.checkpoints).steps().last.map { run.checkpoint($0) }
      }.first
      return newest.map { path in runs.count > 1 ? path : URL(fileURLWithPath: path).lastPathComponent }
    }
  }

  /// The folder that is supervised, and those of the runs in it.
  private func folders(_ train: TrainCommand) throws -> (layout: RunLayout, runs: [RunLayout]) {
    if let chain = try train.chain() {
      let runs = chain.stages.filter { $0.work == .training }.map { RunLayout($0.folder) }
      return (RunLayout(chain.folder), runs)
    }
    let recipe = try Recipe.read(train.recipe, overrides: train.settings.overrides, catalogue: .standard)
    let layout = RunLayout(train.path(of: recipe))
    return (layout, [layout])
  }

  /// What `apus train` will make of its words.
  private func trainCommand(_ words: [String]) throws -> TrainCommand {
    do {
      return try TrainCommand.parse(words)
    } catch {
      guard TrainCommand.exitCode(for: error) == .validationFailure else {
        throw usage("only apus train can be supervised")
      }
      throw Failure(.usage, TrainCommand.message(for: error), at: "train", remedy: "see apus train --help")
    }
  }

  private func usage(_ what: String) -> Failure { Failure(.usage, what, remedy: "see apus supervise --help") }
}
