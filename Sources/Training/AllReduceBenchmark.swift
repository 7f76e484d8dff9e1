// Times sums of vectors over ranks: ours in several sizes of pieces, the MPI library's, and our half-width one. What
// `apus benchmark all-reduce` runs.

import Collectives
import DataParallel
import Support
import Tensors

/// One way of summing that is timed.
public struct AllReduceWay: Sendable, Equatable, Codable {
  /// How ranks are added.
  public let method: String
  /// Bytes of one call or, for ours, of one piece; nil: the whole vector in one call.
  public let pieceBytes: Int?
  /// Pieces under way at once; nil for the library's.
  public let lanes: Int?
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
      let size = result.way.pieceBytes.map { "\($0 >> 10) KB" + (result.way.lanes.map { " x \($0)" } ?? "") } ?? "whole"
      let columns = [
        "\(rounded(Double(result.bytes) / 1e6, 1)) MB", result.way.method, size,
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
        "best pieces: \((best.pieceBytes ?? 0) >> 10) KB x \(best.lanes ?? 0), \(rounded(bestRatio, 3)) of MPI_Allreduce"
      ]).joined(separator: "\n")
  }
}

/// The benchmark. All ways are timed in turn in every repetition, so that the machine's moods meet all alike; each is
/// called once untimed right before, so that none pays for the cache another one left.
public struct AllReduceBenchmark {
  private let communicator: any Communicator
  private let repeats: Int
  private let ways: [(way: AllReduceWay, reduction: GradientReduction)]

  /// - Parameters:
  ///   - communicator: the ranks.
  ///   - repeats: timed repetitions at each length.
  ///   - pieceBytes: sizes of pieces to compare.
  ///   - lanes: numbers of lanes to compare.
  public init(on communicator: any Communicator, repeats: Int, pieceBytes: [Int], lanes: [Int]) throws {
    self.communicator = communicator
    self.repeats = repeats
    let whole = 1 << 40
    let native = try [whole, 4 << 20].map { bytes in
      (
        AllReduceWay(method: "native", pieceBytes: bytes == whole ? nil : bytes, lanes: nil),
        try GradientReduction(on: communicator, method: .native, bucketBytes: bytes)
      )
    }
    func own(_ method: ReductionMethod, _ bytes: Int, _ lanes: Int) throws -> (AllReduceWay, GradientReduction) {
      (
        AllReduceWay(method: method.rawValue, pieceBytes: bytes, lanes: lanes),
        try GradientReduction(on: communicator, method: method, bucketBytes: whole, pieceBytes: bytes, lanes: lanes)
      )
    }
    let reproducible = try pieceBytes.flatMap { bytes in try lanes.map { try own(.reproducible, bytes, $0) } }
    ways =
      native + reproducible + [
        try own(.bf16, PiecewiseSum.usualPieceBytes, PiecewiseSum.usualLanes(on: communicator))
      ]
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
        _ = try ways[index].reduction.sum(values)
        try communicator.barrier()
        let watch = Stopwatch()
        _ = try ways[index].reduction.sum(values)
        let slowest = try communicator.allMaximum(Int64(watch.seconds * 1e9))
        seconds[index].append(Double(slowest) * 1e-9)
      }
    }
    return seconds
  }
}
