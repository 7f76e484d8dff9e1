// `apus scaling`: studies over rank counts, from launches to a page.

import ArgumentParser
import Benchmarks
import Collectives
import CollectivesMPI
import Foundation
import Kernels
import Launching
import Recipes
import Scaling
import StorageHDF5
import Support
import Training

/// Groups the commands of scaling studies.
struct ScalingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scaling", abstract: "Run scaling studies over rank counts and report on them.",
    discussion: "docs/scaling.md explains the study file, every figure of the report, and what must not be concluded.",
    subcommands: [ScalingRunCommand.self, ScalingReportCommand.self, ScalingLaunchCommand.self])
}

/// Runs a study.
struct ScalingRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run the launches of a study that are missing.",
    discussion: """
      Every cell of the study is proved possible before anything starts. Blocks follow each other, each with every cell
      once, in an order drawn from the seed; a launch leaves one file. After a kill, a lost host or a stop (75) the same
      command goes on. It ends with 1 as soon as two launches that must compute the same have other weights.
      SIGINT, SIGTERM, SIGHUP and SIGUSR1 end the launch under way, which then is repeated.
      """)

  @Argument(help: ArgumentHelp("The study, a YAML file.", valueName: "study.yaml"))
  var study: String
  @Option(help: ArgumentHelp("Folder of the launches; Checkpoints/NAME if not given.", valueName: "dir"))
  var directory: String?
  @Flag(help: "Go on after the study or the program has changed; former launches are set aside.")
  var acceptChanges = false
  @Flag(name: .customLong("print"), help: "List the commands of all launches that may come, and run none.")
  var prints = false

  func run() throws {
    let stop = Result { try StopRequests.install() }
    signal(SIGPIPE, SIG_IGN)
    try runAlone {
      let file = try SettingsFile<Study>(study, called: "study")
      let plan = try StudyPlan(file, at: try StudyPlace(file.group.launch))
      let path = directory ?? "Checkpoints/\(file.group.name)"
      let folder = StudyFolder(URL(fileURLWithPath: path).standardizedFileURL.path)
      let launcher = try StudyLauncher(file.group.launch, folder: folder, program: try programFile())
      guard !prints else {
        for line in commands(plan, launcher) { print(line) }
        return .done
      }
      lineBufferOutput()
      var setting = StudyRunner.Setting(
        program: try programIdentity(), store: HDF5TableStore(), stop: try stop.get(), say: { say($0) })
      setting.acceptsChanges = acceptChanges
      let runner = StudyRunner(file, in: folder, plan, launcher, setting)
      let status = try waitFor {
        var runner = runner
        return try await runner.run()
      }
      if status == .done { say("apus scaling report \(path) makes the page") }
      return status
    }
  }

  /// One line for each launch, in order; those after `least` come only where an interval is too wide.
  private func commands(_ plan: StudyPlan, _ launcher: StudyLauncher) -> [String] {
    let limits = plan.study.repeat
    return (0..<max(limits.least, limits.functional)).flatMap { block in
      plan.launches(ofBlock: block)
        .filter { block < ($0.cell.nature == .functional ? limits.functional : limits.least) }
        .map { launcher.line($0) }
    }
  }
}

/// Makes the page of a study.
struct ScalingReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Make report.html, figures and tables from a study's launches.",
    discussion: """
      Everything is made anew from the files of the launches: report.html, which needs nothing else, figures/*.svg for
      print, and every number as *.csv.
      """)

  @Argument(help: ArgumentHelp("Folder of the study.", valueName: "dir"))
  var directory: String

  func run() throws {
    try runAlone {
      let folder = StudyFolder(URL(fileURLWithPath: directory).standardizedFileURL.path)
      let report = try ScalingReport(folder, HDF5TableStore())
      try report.write()
      for line in report.verdict { say(line) }
      say("\(directory)/report.html")
      return .done
    }
  }
}

/// One launch, on the ranks it was started with.
struct ScalingLaunchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "launch", abstract: "Run one launch of a study; apus scaling run --print lists them.",
    shouldDisplay: false)

  @Argument(help: ArgumentHelp("Folder of the study.", valueName: "dir"))
  var directory: String
  @Option(help: "Name of the cell.")
  var cell: String
  @Option(help: "Number of the block, from 0.")
  var block: Int
  @Option(help: "Place in the order of the block.")
  var place: Int

  func run() throws {
    try runOnRanks { communicator in
      let folder = StudyFolder(directory)
      let study = try communicator.together { () throws -> Study in
        guard let file = try folder.storedStudy() else {
          throw Failure(.missingInput, "the folder holds no study", at: directory, remedy: "apus scaling run makes it")
        }
        return file.group
      }
      let launch = try communicator.together { try namedLaunch(folder, ranks: communicator.worldSize) }
      let lock = try communicator.together { () throws -> LaunchLock? in
        communicator.rank == 0 ? try LaunchLock(folder) : nil
      }
      defer { withExtendedLifetime(lock) {} }
      try setUpMachine(threads: launch.cell.threads, on: communicator)
      let program = try communicator.together { () throws -> String in
        communicator.rank == 0 ? try programIdentity() : ""
      }
      let libraries = arithmeticLibraryVersions.merging(["MPI": mpiLibraryVersion()]) { own, _ in own }
      var run = LaunchRun(launch, of: study, program: program, libraries: libraries, on: communicator)
      run.caches = { HDF5PseudoLabelStore(folder: $0) }
      run.timesStorage = { try storageTimes(encoder: $0, in: directory) }
      let command = try communicator.together { () throws -> String in
        guard communicator.rank == 0 else { return "" }
        return try StudyLauncher(study.launch, folder: folder, program: try programFile()).line(launch)
      }
      let record = try run.run(command: command)
      try communicator.together {
        guard let record else { return }
        try HDF5TableStore().write(record.tables, to: folder.run(launch.name))
      }
      return .done
    }
  }

  /// Finds the cell, whatever this host's cores would make of it.
  private func namedLaunch(_ folder: StudyFolder, ranks: Int) throws -> StudyLaunch {
    guard let file = try folder.storedStudy() else { throw Failure(.missingInput, "the folder holds no study") }
    let plan = try StudyPlan(file, at: .anywhere)
    guard let found = plan.cell(named: cell) else {
      throw Failure(
        .usage, "the study has no cell \"\(cell)\"", at: "--cell",
        remedy: nearestSpelling(to: cell, among: plan.cells.map(\.name)).map { "did you mean \($0)?" })
    }
    guard found.ranks == ranks else {
      throw Failure(.usage, "the cell \(cell) is for \(found.ranks) ranks, not \(ranks)", at: "--cell")
    }
    return StudyLaunch(cell: found, block: block, place: place)
  }
}

/// Times saving and loading where a study keeps its files.
private func storageTimes(encoder: String, in directory: String) throws -> StorageBenchmarkReport {
  let folder = "\(directory)/storage-\(ProcessInfo.processInfo.processIdentifier)"
  defer { try? FileManager.default.removeItem(atPath: folder) }
  let plain = PlainFileTimes(write: PlainFile.write, read: PlainFile.read, forget: PlainFile.forget)
  return try StorageBenchmark(encoder: encoder, store: HDF5CheckpointStore(folder: folder), plain: plain).run(
    repeats: 3)
}

/// The file of this program.
func programFile() throws -> String {
  let file = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
  guard file != "/proc/self/exe" else { throw Failure(.internal, "the system does not tell this program's file") }
  return file
}

/// Version of this program and the beginning of its file's digest: launches of other builds are not compared.
func programIdentity() throws -> String {
  let hash = SHA256()
  guard let file = FileHandle(forReadingAtPath: try programFile()) else {
    throw Failure(.inputOutput, "this program's file cannot be read")
  }
  while let piece = try file.read(upToCount: 4 << 20), !piece.isEmpty { hash.update(Array(piece)) }
  return "\(programVersion) \(hash.hexadecimal().prefix(12))"
}
