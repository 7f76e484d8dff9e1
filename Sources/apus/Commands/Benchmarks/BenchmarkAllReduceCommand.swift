// `apus benchmark all-reduce`: how fast gradients can be summed over the ranks it is started on.

import ArgumentParser
import Benchmarks
import Collectives
import Support
import Training

/// Times sums over ranks.
struct BenchmarkAllReduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "all-reduce", abstract: "Time sums of vectors over the ranks of mpirun or srun.",
    discussion: """
      Compares one MPI_Allreduce, the same in buckets of 4 MB, the reproducible sum as it is usually cut, in several
      sizes of pieces and numbers of lanes, and the sum with numbers of two bytes. A time is that of the slowest rank;
      all ways are timed in turn in every repetition, each right after an untimed call of it, and ratios are formed
      within one. The last line names the best size of pieces and number of lanes.
      """)

  @Option(parsing: .upToNextOption, help: ArgumentHelp("Lengths of vectors in bytes.", valueName: "bytes"))
  var bytes = [1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 400 << 20]
  @Option(parsing: .upToNextOption, help: ArgumentHelp("Sizes of pieces in bytes.", valueName: "bytes"))
  var pieceBytes = [1 << 20, 2 << 20, 4 << 20]
  @Option(parsing: .upToNextOption, help: ArgumentHelp("Pieces under way at once.", valueName: "number"))
  var lanes = [1, 2]
  @Option(help: "Timed repetitions at each length.")
  var repeats = 7
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func validate() throws {
    guard repeats > 0 else { throw ValidationError("--repeats must be at least 1, not \(repeats)") }
    guard (bytes + pieceBytes).allSatisfy({ $0 >= 4 }), !bytes.isEmpty, !pieceBytes.isEmpty else {
      throw ValidationError("a vector and a piece have at least 4 bytes")
    }
    guard lanes.allSatisfy({ $0 > 0 }), !lanes.isEmpty else { throw ValidationError("there is at least one lane") }
  }

  func run() throws {
    try runOnRanks { communicator in
      try communicator.together {
        guard communicator.worldSize > 1 else {
          throw Failure(
            .usage, "one rank has nobody to add to", at: "benchmark all-reduce", remedy: "start it by mpirun")
        }
      }
      let benchmark = try AllReduceBenchmark(
        on: communicator, repeats: repeats, pieceBytes: pieceBytes, lanes: lanes)
      let report = try benchmark.run(bytes: bytes)
      guard communicator.rank == 0 else { return .done }
      say(report.text, json: json, lines: true)
      if json { print(try jsonLine(report)) }
      return .done
    }
  }
}
