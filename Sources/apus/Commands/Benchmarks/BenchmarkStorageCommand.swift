// `apus benchmark storage`: what a checkpoint costs training, and how near to the disk it is written and read.

import ArgumentParser
import Benchmarks
import Foundation
import StorageHDF5
import Support
import Training

/// Times saving and loading checkpoints.
struct BenchmarkStorageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage", abstract: "Time saving and loading a checkpoint against memory and disk.",
    discussion: """
      A checkpoint holds student, teacher and both moments. In turn: a plain copy of as many bytes in memory; the time
      that a training step waits while a checkpoint is saved; the time until it is on disk; a plain file of as many
      bytes, written and flushed; both files read again, after the system was asked to forget them. Folders in memory
      (tmpfs) show the cost of digests alone.
      """)

  @Option(help: ArgumentHelp("Encoder of the networks, such as b0 or b5.", valueName: "name"))
  var encoder = "b5"
  @Option(help: ArgumentHelp("Where files are written for the time being.", valueName: "dir"))
  var directory = "."
  @Option(help: "Compute threads; APUS_THREADS or all cores if not given.")
  var threads: Int?
  @Option(help: "Times that are counted.")
  var repeats = 3
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func validate() throws {
    for (name, value) in [("--threads", threads), ("--repeats", repeats)] {
      if let value, value < 1 { throw ValidationError("\(name) must be at least 1, not \(value)") }
    }
  }

  func run() throws {
    try runOnRanks { communicator in
      try communicator.together { try requireOneRank(communicator.worldSize) }
      try setUpMachine(threads: try threads ?? environmentThreads(), on: communicator)
      let folder = "\(directory)/apus-benchmark-\(ProcessInfo.processInfo.processIdentifier)"
      defer { try? FileManager.default.removeItem(atPath: folder) }
      let plain = PlainFileTimes(write: PlainFile.write, read: PlainFile.read, forget: PlainFile.forget)
      let report = try StorageBenchmark(
        encoder: encoder, store: HDF5CheckpointStore(folder: folder), plain: plain
      ).run(repeats: repeats)
      say(report.text, json: json, lines: true)
      if json { print(try jsonLine(report)) }
      return .done
    }
  }
}
