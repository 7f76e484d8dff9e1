// `apus benchmark`: how fast this build is on this machine, and what holds it back.

import ArgumentParser
import Benchmarks
import DataParallel
import Foundation
import Kernels
import Support
import Tensors
import Training

/// Groups the benchmarks.
struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark", abstract: "Time steps and kernels, and compare them with what the machine can do.",
    subcommands: [
      BenchmarkStepCommand.self, BenchmarkKernelsCommand.self, BenchmarkAllReduceCommand.self,
      BenchmarkStorageCommand.self,
    ])
}

extension StepBenchmarkPart: ExpressibleByArgument {}
extension ConvolutionMethod: ExpressibleByArgument {}
extension OverlapSetting: ExpressibleByArgument {}

/// Times training steps.
struct BenchmarkStepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step", abstract: "Time whole training steps on random images.",
    discussion: """
      A step has one source and one target image: source pass with feature distance, teacher with overlapping windows,
      mixed pass with jitter and blur, AdamW, teacher average; dropout and drop path are on. Timed steps run without the
      meter; shares of kernels come from further steps. Compare runs on an idle machine with equal threads only.
      Under mpirun every rank has a sample, or with --crop-shards every group of so many ranks; rank 0 reports.
      """)

  @Option(
    name: .customLong("case"),
    help: ArgumentHelp("\(StepBenchmarkCase.all.map(\.name).joined(separator: ", ")).", valueName: "name"))
  var caseName: String
  @Option(help: "What is timed.")
  var part = StepBenchmarkPart.step
  @Option(help: "How 3x3 convolutions are computed; see the recipe key of that name.")
  var convolution = ConvolutionMethod.winograd
  @Option(help: "Ranks that share the crops of a sample, as batch.cropShards.")
  var cropShards = 1
  @Flag(help: "Deal out the optimizer's moments over the ranks, as optimizer.shardMoments.")
  var shardMoments = false
  @Option(
    help: "Whether gradients travel during the last backward pass, as communication.overlap; auto needs --warm-up 10.")
  var overlap = OverlapSetting.off
  @Option(help: "Compute threads of a rank; APUS_THREADS, or its share of the cores of its host, if not given.")
  var threads: Int?
  @Option(help: "Steps to time; by default 7, 5 or 3, by the size of the case.")
  var repeats: Int?
  @Option(help: "Steps before the timed ones.")
  var warmUp = 2
  @Option(help: ArgumentHelp("Write the first metered step of all ranks as a Chrome trace.", valueName: "file"))
  var trace: String?
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func validate() throws {
    let names = StepBenchmarkCase.all.map(\.name)
    guard names.contains(caseName) else {
      throw ValidationError("no case \"\(caseName)\"; there are \(names.joined(separator: ", "))")
    }
    let numbers = [
      ("--threads", threads, 1), ("--repeats", repeats, 1), ("--warm-up", warmUp, 0), ("--crop-shards", cropShards, 1),
    ]
    for (name, value, least) in numbers {
      if let value, value < least { throw ValidationError("\(name) is too small") }
    }
  }

  func run() throws {
    startAnewCountingHeapRequests()
    try runOnRanks { communicator in
      try setUpMachine(threads: try threads ?? environmentThreads(), on: communicator)
      ConvolutionMethod.current = convolution
      guard let setting = StepBenchmarkCase.all.first(where: { $0.name == caseName }) else {
        throw Failure(.usage, "no case \"\(caseName)\"", at: "--case")
      }
      var layout = StepBenchmarkLayout()
      (layout.cropShards, layout.shardMoments, layout.overlap) = (cropShards, shardMoments, overlap)
      let benchmark = try StepBenchmark(setting, part: part, layout, on: communicator)
      let (report, spans) = try benchmark.run(warmUp: warmUp, repeats: repeats ?? setting.repeats)
      let merged = trace == nil ? "" : try benchmark.trace(spans)
      guard communicator.rank == 0 else { return .done }
      say(report.text, json: json, lines: true)
      if json { print(try jsonLine(report)) }
      if let trace { try writeTrace(merged, to: trace) }
      return .done
    }
  }
}

/// Times single kernels.
struct BenchmarkKernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "Time single kernels at the sizes of real networks against the machine's limits.",
    discussion: """
      Limits are measured in the same run: the rate of 2048³ matrix products, and that of adding large buffers. A
      kernel's limit is the one that takes longer for its operations and bytes. What stays in cache between calls may
      pass the limit of memory, and an algorithm with fewer operations than the direct one that of arithmetic.
      """)

  @Option(help: ArgumentHelp("Only kernels whose name contains this.", valueName: "text"))
  var filter: String?
  @Option(help: "Compute threads; APUS_THREADS or all cores if not given.")
  var threads: Int?
  @Option(help: "Seconds for each kernel; at least five calls are timed.")
  var seconds = 0.2
  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  /// The JSON object.
  private struct Report: Encodable {
    let threads: Int
    let cpuLevel: String
    let ceilingGflops: Double
    let memoryGigabytesPerSecond: Double
    let kernels: [KernelBenchmarkResult]
  }

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1, not \(threads)") }
  }

  func run() throws {
    try runOnRanks { communicator in
      try communicator.together { try requireOneRank(communicator.worldSize) }
      try setUpMachine(threads: try threads ?? environmentThreads(), on: communicator)
      let chosen = KernelBenchmark.all.filter { filter.map($0.name.localizedCaseInsensitiveContains) ?? true }
      guard !chosen.isEmpty else {
        throw Failure(.usage, "no kernel has a name with \"\(filter ?? "")\"", at: "--filter")
      }
      // The best rates: another program's load must not make a kernel look good.
      let product = Spread(productRates(repeats: 10)).maximum
      let memory = Spread(memoryRates(repeats: 10)).maximum
      say(
        "\(WorkerPool.shared.threads) thread(s), \(CPULevel.current): products \(Int(product / 1e9)) GFLOP/s, memory "
          + "\(Int(memory / 1e9)) GB/s", json: json)
      say(KernelBenchmarkResult.heading, json: json)
      let results = chosen.map { kernel in
        let result = kernel.measure(seconds: seconds, productRate: product, memoryRate: memory)
        say(result.line, json: json)
        return result
      }
      let report = Report(
        threads: WorkerPool.shared.threads, cpuLevel: "\(CPULevel.current)", ceilingGflops: product / 1e9,
        memoryGigabytesPerSecond: memory / 1e9, kernels: results)
      if json { print(try jsonLine(report)) }
      return .done
    }
  }
}

/// Refuses several ranks, whose steps would be timed against each other.
func requireOneRank(_ ranks: Int) throws {
  guard ranks > 1 else { return }
  throw Failure(.usage, "it runs on one rank, not on \(ranks)", at: "benchmark", remedy: "start it without mpirun")
}
