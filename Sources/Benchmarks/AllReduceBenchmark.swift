// Times sums of vectors over ranks: ours as trained with and in several sizes of pieces, the MPI library's, and our
// half-width one. What `apus benchmark all-reduce` runs.

import Collectives
import DataParallel
import Support
import Tensors
import Training

/// One way of summing that is timed.
public struct AllReduceWay: Sendable, Equatable, Codable {
  /// How ranks are added.
  public let method: String
  /// Bytes of one call or, for ours, of one piece; nil: the whole vector in one call, or our usual pieces.
  public let pieceBytes: Int?
  /// Pieces under way at once; nil for the library's.
  public let lanes: Int?

  /// In words.
  fileprivate var size: String {
    let bytes = pieceBytes.map { "\($0 >> 10) KB" } ?? (lanes == nil ? "whole" : "usual")
    return bytes + (lanes.map { " x \($0)" } ?? "")
  }
}

/// The time of one way at one length.
public struct AllReduceResult: Sendable, Codable {
  /// Bytes of the vector on each rank.
  public let bytes: Int
  /// What was timed.
  public let way: AllReduceWay
  /// Median over repetitions of the slowest rank's seconds.
  public let seconds: Double
  /// Half the distance between the quartiles, as a part of the median.
  public let spread: Double
  /// Median over repetitions of this way's seconds by those of one `MPI_Allreduce` in the same repetition.
  public let ratioToNative: Double
  /// The same by those of `MPI_Allreduce` called for 4 MB at a time.
  public let ratioToBuckets: Double
}

/// What the benchmark found.
public struct AllReduceReport: Sendable, Codable {
  /// Number of ranks.
  public let ranks: Int
  /// Their hosts, in rank order.
  public let hosts: [String]
  /// All figures.
  public let results: [AllReduceResult]
  /// The reproducible way with the smallest geometric mean of ratios over all lengths.
  public let best: AllReduceWay
  /// That mean.
  public let bestRatio: Double

  /// A table for people.
  public var text: String {
    let lines = results.map { result in
      let columns = [
        "\(rounded(Double(result.bytes) / 1e6, 1)) MB", result.way.method, result.way.size,
        "\(rounded(result.seconds * 1e3, 2)) ms", "± \(rounded(result.spread * 100, 0)) %",
        rounded(result.ratioToNative, 3), rounded(result.ratioToBuckets, 3),
      ]
      return zip(columns, [12, 14, 14, 12, 8, 8, 8]).map { text, width in
        text + String(repeating: " ", count: max(1, width - text.count))
      }.joined()
    }
    return
      (["\(ranks) ranks; last columns: time by that of one MPI_Allreduce, and of MPI_Allreduce in buckets of 4 MB"]
      + lines + [
        "best pieces: \(best.size), \(rounded(bestRatio, 3)) of MPI_Allreduce"
      ]).joined(separator: "\n")
  }
}

/// The benchmark. All ways are timed in turn in every repetition, so that the machine's moods meet all alike; each is
/// called once untimed right before, so that none pays for the cache another one left.
public struct AllReduceBenchmark {
  private let communicator: any Communicator
  private let repeats: Int
  private let ways: [(way: AllReduceWay, sum: (Tensor) throws -> Void)]

  /// - Parameters:
  ///   - communicator: the ranks.
  ///   - repeats: timed repetitions at each length.
  ///   - pieceBytes: sizes of pieces to compare.
  ///   - lanes: numbers of lanes to compare.
  public init(on communicator: any Communicator, repeats: Int, pieceBytes: [Int], lanes: [Int]) throws {
    self.communicator = communicator
    self.repeats = repeats
    func native(_ bytes: Int?) throws -> (AllReduceWay, (Tensor) throws -> Void) {
      let reduction = try GradientReduction(on: communicator, method: .native, bucketBytes: bytes ?? 1 << 40)
      return (AllReduceWay(method: "native", pieceBytes: bytes, lanes: nil), { _ = try reduction.sum($0) })
    }
    let usualLanes = try PiecewiseSum.usualLanes(on: communicator)
    func own(_ method: ReductionMethod, _ bytes: Int? = nil, lanes: Int? = nil) throws -> (
      AllReduceWay, (Tensor) throws -> Void
    ) {
      let sums = try PiecewiseSum(
        on: communicator, wire: method == .bf16 ? .bfloat16 : .float32,
        pieceBytes: bytes ?? PiecewiseSum.usualPieceBytes, lanes: lanes ?? usualLanes,
        wholeBytes: bytes == nil ? nil : 0)
      return (
        AllReduceWay(method: method.rawValue, pieceBytes: bytes, lanes: lanes ?? usualLanes),
        { values in
          try sums.start(0..<values.count, of: values.pointer)
          try sums.wait()
        }
      )
    }
    let pieces = try pieceBytes.flatMap { bytes in try lanes.map { try own(.reproducible, bytes, lanes: $0) } }
    ways = try [native(nil), native(4 << 20), own(.reproducible)] + pieces + [own(.bf16)]
  }

  /// Times vectors of these lengths. Called by all ranks.
  public func run(bytes: [Int]) throws -> AllReduceReport {
    var results: [AllReduceResult] = []
    for bytes in bytes {
      let seconds = try times(count: bytes / MemoryLayout<Float>.stride)
      for (index, way) in ways.map(\.way).enumerated() {
        let own = Spread(seconds[index])
        let ratios = [0, 1].map { native in Spread(zip(seconds[index], seconds[native]).map { $0 / $1 }).median }
        results.append(
          AllReduceResult(
            bytes: bytes, way: way, seconds: own.median,
            spread: (own.upperQuartile - own.lowerQuartile) / 2 / own.median,
            ratioToNative: ratios[0], ratioToBuckets: ratios[1]))
      }
    }
    let means = ways.map(\.way).map { way in
      results.reduce(1.0) { $1.way == way ? $0 * $1.ratioToNative : $0 }.power(1 / Double(bytes.count))
    }
    let best = ways.indices.filter { ways[$0].way.method == "reproducible" }.min { means[$0] < means[$1] } ?? 0
    return AllReduceReport(
      ranks: communicator.worldSize, hosts: try communicator.gatherStrings(communicator.hostName), results: results,
      best: ways[best].way, bestRatio: means[best])
  }

  /// Seconds of the slowest rank by way and repetition.
  private func times(count: Int) throws -> [[Double]] {
    // Zeros stay zeros: values that grew with every sum would end as infinities.
    let values = Tensor(zeros: [1, count])
    var seconds = [[Double]](repeating: [], count: ways.count)
    for _ in 0..<repeats {
      for index in ways.indices {
        try ways[index].sum(values)
        try communicator.barrier()
        let watch = Stopwatch()
        try ways[index].sum(values)
        let slowest = try communicator.allMaximum(Int64(watch.seconds * 1e9))
        seconds[index].append(Double(slowest) * 1e-9)
      }
    }
    return seconds
  }
}
