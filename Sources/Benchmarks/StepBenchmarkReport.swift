// The figures of a step benchmark, as JSON and as text.

import Kernels
import Support
import Tensors
import Training

/// Median and spread of repeated measurements.
public struct Spread: Codable, Sendable {
  /// Least value.
  public let minimum: Double
  /// Value that a quarter of the values do not exceed.
  public let lowerQuartile: Double
  /// Middle value.
  public let median: Double
  /// Value that three quarters of the values do not exceed.
  public let upperQuartile: Double
  /// Greatest value.
  public let maximum: Double

  /// Of at least one value; between two values, quartiles are interpolated.
  public init(_ values: [Double]) {
    precondition(!values.isEmpty, "nothing was measured")
    let sorted = values.sorted()
    func quantile(_ share: Double) -> Double {
      let place = share * Double(sorted.count - 1)
      let below = Int(place)
      let above = min(below + 1, sorted.count - 1)
      return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
    }
    minimum = sorted[0]
    lowerQuartile = quantile(0.25)
    median = quantile(0.5)
    upperQuartile = quantile(0.75)
    maximum = quantile(1)
  }
}

/// What `apus benchmark step` reports. Seconds are wall-clock; figures by step are medians unless said otherwise.
public struct StepBenchmarkReport: Codable, Sendable {
  /// Share of a kernel family or function in a step.
  public struct Kernel: Codable, Sendable {
    /// Seconds a step.
    public let seconds: Double
    /// Share of the metered step.
    public let share: Double
    /// Calls a step.
    public let calls: Int
    /// Requests for heap memory a step; nil where they are not counted.
    public let heapAllocations: Int?
    /// Executed operations a step, in units of 10⁹.
    public let gflop: Double
    /// Rate of its executed operations as a share of the ceiling.
    public let ofCeiling: Double

    /// - Parameters:
    ///   - entries: of metered steps.
    ///   - stepSeconds: of such a step.
    ///   - ceiling: rate, in units of 10⁹ operations a second.
    ///   - countsHeap: whether requests for heap memory were counted.
    init(_ entries: [MeterProfile.Entry], stepSeconds: Double, ceiling: Double, countsHeap: Bool) {
      seconds = Spread(entries.map(\.seconds)).median
      share = seconds / stepSeconds
      calls = entries[0].calls
      heapAllocations = countsHeap ? entries[0].allocations : nil
      let operations = Double(entries[0].operations)
      gflop = operations / 1e9
      ofCeiling = operations / seconds / 1e9 / ceiling
    }
  }

  /// What adding gradients over ranks took on this rank: medians of the timed steps.
  public struct Reduction: Codable, Sendable {
    /// Seconds in backward passes and the sum.
    public let backwardSeconds: Double
    /// Seconds in which sums were under way.
    public let seconds: Double
    /// Seconds the computing thread has spent on them.
    public let exposedSeconds: Double
    /// The part of `seconds` that was not exposed.
    public let hiddenShare: Double
    /// Buckets started before the backward pass had ended.
    public let earlyBuckets: Int
    /// Messages besides gradients.
    public let messages: Int
    /// Bytes of these messages.
    public let messageBytes: Int
    /// Seconds in them, waiting for slower ranks included.
    public let messageSeconds: Double

    init(_ samples: [StepBenchmark.Sample]) {
      backwardSeconds = Spread(samples.map(\.backwardSeconds)).median
      seconds = Spread(samples.map(\.reduction.seconds)).median
      exposedSeconds = Spread(samples.map(\.reduction.exposedSeconds)).median
      hiddenShare = Spread(samples.map(\.reduction.hiddenShare)).median
      earlyBuckets = Int(Spread(samples.map { Double($0.reduction.earlyBuckets) }).median)
      messages = samples[0].messages.messages
      messageBytes = samples[0].messages.bytes
      messageSeconds = Spread(samples.map(\.messages.seconds)).median
    }
  }

  /// Name of the case.
  public let `case`: String
  /// What was timed.
  public let part: StepBenchmarkPart
  /// Threads that compute.
  public let threads: Int
  /// Level of the vector loops.
  public let cpuLevel: String
  /// Steps before the timed ones.
  public var warmUp = 0
  /// Median of the timed steps.
  public let secondsPerStep: Double
  /// Spread of the timed steps.
  public let spread: Spread
  /// Operations a step as the published algorithm counts them, in units of 10⁹.
  public let gflopReference: Double
  /// Operations a step that matrix products and convolutions executed, in units of 10⁹.
  public let gflopExecuted: Double
  /// The same of every rank.
  public var gflopOfRanks: [Double] = []
  /// Phases of every rank in the first metered step, with what it spent in messages.
  public var phasesOfRanks: [RankPhases] = []
  /// Digest of the student after all steps, metered ones included: equal for layouts of the same global batch.
  public var digest = ""
  /// Rate of 2048³ products in the same run, in units of 10⁹ operations a second.
  public let ceilingGflops: Double
  /// Spread of that rate.
  public let ceilingSpread: Spread
  /// Rate of executed operations as a share of the ceiling.
  public let ofCeiling: Double
  /// Rate of the published algorithm's operations as a share of the ceiling.
  public let referenceOfCeiling: Double
  /// Most memory the process held until the end of the timed steps.
  public var peakMemoryBytes = 0
  /// Requests that the buffer pool could not serve, in all timed steps together.
  public var poolMisses = 0
  /// Bytes the buffer pool took from the system in all timed steps together.
  public var mappedBytes = 0
  /// Minor page faults a step.
  public let pageFaults: Int
  /// Requests for heap memory a step, buffers of the pool left out; nil where they are not counted.
  public let heapAllocations: Int?
  /// Operations recorded on tapes a step.
  public let operations: Int
  /// Seconds a step by phase.
  public let phases: [String: Double]
  /// What adding gradients over ranks took; nil on one rank.
  public let reduction: Reduction?
  /// Seconds of a metered step.
  public let meteredSeconds: Double
  /// By kernel family, from metered steps.
  public let kernels: [String: Kernel]
  /// By kernel function, from metered steps.
  public let functions: [String: Kernel]

  init(
    _ benchmark: StepBenchmark, _ samples: [StepBenchmark.Sample],
    _ metered: [(seconds: Double, profile: MeterProfile)],
    ceiling rates: [Double]
  ) {
    `case` = benchmark.setting.name
    part = benchmark.part
    threads = WorkerPool.shared.threads
    cpuLevel = "\(CPULevel.current)"
    spread = Spread(samples.map(\.seconds))
    secondsPerStep = spread.median
    let profiles = metered.map(\.profile)
    let executed = profiles[0].families.values.reduce(0) { $0 + $1.operations }
    gflopReference = benchmark.referenceOperations / 1e9
    gflopExecuted = Double(executed) / 1e9
    ceilingSpread = Spread(rates.map { $0 / 1e9 })
    ceilingGflops = ceilingSpread.median
    ofCeiling = gflopExecuted / secondsPerStep / ceilingGflops
    referenceOfCeiling = gflopReference / secondsPerStep / ceilingGflops
    pageFaults = Int(Spread(samples.map { Double($0.pageFaults) }).median)
    let counted = samples.compactMap(\.heapAllocations).map(Double.init)
    heapAllocations = counted.isEmpty ? nil : Int(Spread(counted).median)
    operations = samples[0].operations
    phases = StepBenchmarkReport.phases(samples)
    reduction = samples[0].reduction.bytes > 0 ? Reduction(samples) : nil
    let whole = Spread(metered.map(\.seconds)).median
    meteredSeconds = whole
    let (ceiling, isCounted) = (ceilingGflops, !counted.isEmpty)
    func kernel(_ entries: [MeterProfile.Entry]) -> Kernel {
      Kernel(entries, stepSeconds: whole, ceiling: ceiling, countsHeap: isCounted)
    }
    kernels = Dictionary(
      uniqueKeysWithValues: profiles[0].families.keys.map { family in
        (family.rawValue, kernel(profiles.compactMap { $0.families[family] }))
      })
    functions = Dictionary(
      uniqueKeysWithValues: profiles[0].functions.keys.map { name in
        (name, kernel(profiles.compactMap { $0.functions[name] }))
      })
  }

  /// The median seconds of every phase.
  private static func phases(_ samples: [StepBenchmark.Sample]) -> [String: Double] {
    Dictionary(
      uniqueKeysWithValues: samples[0].phases.seconds.map { phase in
        let all = samples.compactMap { sample in sample.phases.seconds.first { $0.name == phase.name }?.seconds }
        return (phase.name, Spread(all).median)
      })
  }

  /// The report for people.
  public var text: String {
    let memory = rounded(Double(peakMemoryBytes) / Double(1 << 20), 0)
    var lines = [
      "\(`case`) \(part.rawValue), \(threads) thread\(threads == 1 ? "" : "s"), \(cpuLevel)",
      "seconds \(rounded(secondsPerStep, 3))  (least \(rounded(spread.minimum, 3)), quartiles "
        + "\(rounded(spread.lowerQuartile, 3)) to \(rounded(spread.upperQuartile, 3)))",
      "GFLOP reference \(rounded(gflopReference, 1)), executed \(rounded(gflopExecuted, 1))",
      gflopOfRanks.count > 1 ? "  by rank \(gflopOfRanks.map { rounded($0, 1) }.joined(separator: ", "))" : "",
      "ceiling \(rounded(ceilingGflops, 1)) GFLOP/s (best \(rounded(ceilingSpread.maximum, 1))); reached: executed \(sharePercent(ofCeiling)), "
        + "reference \(sharePercent(referenceOfCeiling))",
      "peak memory \(memory) MB; pool misses \(poolMisses), newly mapped bytes \(mappedBytes)",
      "a step: \(operations) tape operations, \(heapAllocations.map(String.init) ?? "uncounted") heap allocations, \(pageFaults) minor page faults",
    ]
    if let reduction {
      lines.append(
        "backward passes and sum over ranks \(rounded(reduction.backwardSeconds, 3)) s; sums \(rounded(reduction.seconds, 3)) s, "
          + "exposed \(rounded(reduction.exposedSeconds, 3)) s: \(sharePercent(reduction.hiddenShare)) hidden, "
          + "\(reduction.earlyBuckets) early bucket\(reduction.earlyBuckets == 1 ? "" : "s")")
      lines.append(
        "\(reduction.messages) other messages of \(reduction.messageBytes >> 10) KB together take "
          + "\(rounded(reduction.messageSeconds, 3)) s")
    }
    lines.append("phases:")
    lines += phases.sorted { $0.value > $1.value }.map { "  \(leftColumn($0.key, 28))\(cell(rounded($0.value, 3)))" }
    lines += phasesOfRanks.count > 1 ? ["phases of ranks, and their seconds in messages, waiting included:"] : []
    lines += RankPhases.table(phasesOfRanks)
    lines.append("kernel families, of \(rounded(meteredSeconds, 3)) metered seconds:")
    lines += table(kernels)
    let inside = kernels.values.reduce(0) { $0 + $1.seconds }
    lines.append(
      "  \(leftColumn("outside kernels", 28))\(cell(rounded(meteredSeconds - inside, 3)))"
        + cell(sharePercent(1 - inside / meteredSeconds)))
    lines.append("functions:")
    return (lines.filter { !$0.isEmpty } + table(functions) + ["student \(digest)"]).joined(separator: "\n")
  }

  private func table(_ kernels: [String: Kernel]) -> [String] {
    let head = "  \(leftColumn("", 28))" + ["seconds", "share", "calls", "heap", "GFLOP", "ceiling"].map(cell).joined()
    return [head]
      + kernels.sorted { $0.value.seconds > $1.value.seconds }.map { name, kernel in
        "  \(leftColumn(name, 28))"
          + [
            rounded(kernel.seconds, 3), sharePercent(kernel.share), "\(kernel.calls)",
            kernel.heapAllocations.map(String.init) ?? "-",
            kernel.gflop > 0 ? rounded(kernel.gflop, 1) : "-", kernel.gflop > 0 ? sharePercent(kernel.ofCeiling) : "-",
          ].map(cell).joined()
      }
  }
}

/// A share in percent.
func sharePercent(_ share: Double) -> String { "\(rounded(100 * share, 1)) %" }

/// A text at the left of a column.
func leftColumn(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(1, width - text.count))
}

/// A text at the right of a column.
func cell(_ text: String) -> String { String(repeating: " ", count: max(1, 10 - text.count)) + text }
