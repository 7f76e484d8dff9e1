// Times messages and sums by their size on the ranks at hand: what a network gives, apart from any network to train.

import Support

/// Seconds of messages and sums by size. K sizes, D distances, R repetitions.
public struct LinkTimes: Sendable, Equatable {
  /// Bytes of a message, or of a vector on every rank: [K].
  public var bytes: [Int]
  /// Distances between ranks of an exchange: [D].
  public var distances: [Int]
  /// Seconds in which every rank sends so many bytes to the rank at a distance and receives as many: [D, K, R].
  public var exchange: [Double]
  /// Seconds of our sum, as a step calls it for that size: [K, R].
  public var sum: [Double]
  /// Seconds of the MPI library's sum: [K, R].
  public var native: [Double]
  /// Repetitions.
  public var repeats: Int

  /// From its parts.
  /// - Precondition: shapes as above.
  public init(
    bytes: [Int], distances: [Int], exchange: [Double], sum: [Double], native: [Double], repeats: Int
  ) {
    precondition(
      exchange.count == distances.count * bytes.count * repeats && sum.count == bytes.count * repeats
        && native.count == sum.count, "\(exchange.count), \(sum.count), \(native.count) times of \(bytes.count) sizes")
    (self.bytes, self.distances, self.repeats) = (bytes, distances, repeats)
    (self.exchange, self.sum, self.native) = (exchange, sum, native)
  }
}

/// The benchmark.
///
/// A time lasts from the moment at which the last rank begins to that at which the last one ends, on rank 0's clock: not
/// from a barrier, which ranks leave one after the other. Short ones are repeated within a time. All sizes take turns in
/// every repetition.
///
/// Source: Hunold, Carpen-Amarie, Reproducible MPI Benchmarking Is Still Not as Easy as You Think, IEEE TPDS 2016.
public final class LinkBenchmark {
  /// Sizes of vectors and messages in bytes, ascending.
  public static let sizes = [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20]
  /// Up to this size a sum goes as the small sums of a step, from there on as gradients.
  public static let smallBytes = 16 << 10

  private let communicator: any Communicator
  private let sums: PiecewiseSum
  private let shift: Int64

  /// Opens a channel and compares clocks. Called by all ranks.
  public init(on communicator: any Communicator) throws {
    self.communicator = communicator
    sums = try PiecewiseSum(on: communicator)
    shift = try communicator.clockShift()
  }

  /// Times all sizes. Called by all ranks; the same on all.
  public func run(sizes: [Int] = LinkBenchmark.sizes, repeats: Int) throws -> LinkTimes {
    let world = communicator.worldSize
    let distances = (0..<max(1, Int.bitWidth - (world - 1).leadingZeroBitCount)).map { 1 << $0 }.filter { $0 < world }
    // Zeros stay zeros: values that grew with every sum would end as infinities.
    let count = (sizes.max() ?? 0) / MemoryLayout<Float>.stride
    let (values, incoming) = (LargeScratch(count), LargeScratch(count))
    values.base.update(repeating: 0, count: count)
    var times = [[[Double]]](repeating: [], count: distances.count + 2)
    for index in times.indices { times[index] = [[Double]](repeating: [], count: sizes.count) }
    for _ in 0..<repeats {
      for (place, bytes) in sizes.enumerated() {
        for (index, distance) in distances.enumerated() {
          times[index][place].append(try time(bytes) { try exchange(bytes, distance, values, incoming) })
        }
        let vector = UnsafeMutableBufferPointer(start: values.base, count: bytes / MemoryLayout<Float>.stride)
        times[distances.count][place].append(try time(bytes) { try sum(vector) })
        times[distances.count + 1][place].append(try time(bytes) { try communicator.nativeSum(vector) })
      }
    }
    return LinkTimes(
      bytes: sizes, distances: distances, exchange: times.dropLast(2).flatMap { $0.flatMap { $0 } },
      sum: times[distances.count].flatMap { $0 }, native: times[distances.count + 1].flatMap { $0 }, repeats: repeats)
  }

  private func exchange(_ bytes: Int, _ distance: Int, _ values: LargeScratch, _ incoming: LargeScratch) throws {
    let (rank, world) = (communicator.rank, communicator.worldSize)
    try communicator.exchange(
      sending: UnsafeRawBufferPointer(start: values.base, count: bytes), to: (rank + distance) % world,
      receiving: UnsafeMutableRawBufferPointer(start: incoming.base, count: bytes),
      from: (rank + world - distance) % world)
  }

  private func sum(_ vector: UnsafeMutableBufferPointer<Float>) throws {
    guard vector.count * MemoryLayout<Float>.stride > LinkBenchmark.smallBytes, let base = vector.baseAddress else {
      return try sumTree(vector, on: communicator)
    }
    try sums.start(0..<vector.count, of: base)
    try sums.wait()
  }

  /// Seconds of one call, after one that is not timed.
  private func time(_ bytes: Int, _ body: () throws -> Void) throws -> Double {
    let calls = max(1, min(20, (256 << 10) / max(1, bytes)))
    try body()
    try communicator.barrier()
    let begin = KernelMeter.now() + shift
    for _ in 0..<calls { try body() }
    let end = KernelMeter.now() + shift
    let last = try communicator.allMaximum([begin, end])
    return Double(last[1] - last[0]) * 1e-9 / Double(calls)
  }
}
