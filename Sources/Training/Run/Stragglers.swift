// Who computes slowest: one small sum over ranks at logged steps.

import Collectives

/// The slowest rank of a step and what it costs the others.
public struct Straggler: Codable, Sendable, Equatable {
  /// The rank that computed longest.
  public var rank: Int
  /// Its seconds without waiting for others.
  public var seconds: Double
  /// Those seconds divided by the mean over ranks: 1 where all are equally fast.
  public var ratio: Double

  /// From seconds by rank; the lowest rank among equals.
  public init(_ seconds: [Double]) {
    let longest = seconds.max() ?? 0
    rank = seconds.firstIndex(of: longest) ?? 0
    self.seconds = longest
    let mean = seconds.reduce(0, +) / Double(max(seconds.count, 1))
    ratio = mean > 0 ? longest / mean : 1
  }

  /// Compares ranks by this rank's seconds of computing in a step. Called by all ranks; eight bytes a rank.
  public init(_ computing: Double, on communicator: any Communicator) throws {
    var places = [Int64](repeating: 0, count: communicator.worldSize)
    places[communicator.rank] = Int64(max(computing, 0) * 1e6)
    self.init(try communicator.sumIntegers(places).map { Double($0) / 1e6 })
  }
}
