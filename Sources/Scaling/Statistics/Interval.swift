// Medians and what is known of them from few values: intervals by order statistics, without a distribution.

import Foundation

/// The middle value; between two, their mean.
/// - Precondition: there is a value.
public func median(_ values: some Sequence<Double>) -> Double {
  let sorted = values.sorted()
  precondition(!sorted.isEmpty, "nothing was measured")
  let middle = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// A median with an interval between two of the values.
///
/// Of n independent values of one distribution, the k-th least and the k-th greatest enclose its median with probability
/// 1 - 2 · P(Bin(n, 1/2) < k), whatever the distribution. The interval is the narrowest of these with 95 %; five values
/// reach 93.75 %, six 96.9 %.
///
/// Source: Conover, Practical Nonparametric Statistics, section 3.2; Hoefler and Belli, SC 2015, rule 5.
public struct MedianInterval: Sendable, Equatable {
  /// What an interval is to cover.
  public static let level = 0.95
  /// The fewest values that reach it.
  public static let leastCount = 6

  /// Number of values.
  public let count: Int
  /// Their median.
  public let median: Double
  /// Lower end.
  public let low: Double
  /// Upper end.
  public let high: Double
  /// Probability that the ends enclose the median of the distribution; less than 95 % for fewer than six values.
  public let coverage: Double

  /// Of at least one value.
  public init(_ values: [Double]) {
    let sorted = values.sorted()
    count = sorted.count
    median = Scaling.median(sorted)
    // The outermost pair is all there is where it does not reach the level.
    var (rank, covered) = (1, MedianInterval.coverage(of: 1, among: sorted.count))
    while 2 * (rank + 1) <= sorted.count {
      let next = MedianInterval.coverage(of: rank + 1, among: sorted.count)
      guard next >= MedianInterval.level else { break }
      (rank, covered) = (rank + 1, next)
    }
    (low, high, coverage) = (sorted[rank - 1], sorted[sorted.count - rank], covered)
  }

  /// Half of the interval's width as a share of the median.
  public var halfWidth: Double { median > 0 ? (high - low) / 2 / median : 0 }

  /// Whether there are enough values for the level.
  public var isSound: Bool { coverage >= MedianInterval.level }

  /// Probability that the `rank`-th least and greatest of `count` values enclose the median.
  static func coverage(of rank: Int, among count: Int) -> Double {
    let all = Double(count)
    // Logarithms: the factorials of hundreds of values are beyond Double.
    let outside = (0..<rank).reduce(0.0) { sum, successes in
      let chosen = Double(successes)
      let ways = lgamma(all + 1) - lgamma(chosen + 1) - lgamma(all - chosen + 1)
      return sum + exp(ways - all * log(2))
    }
    return max(0, 1 - 2 * outside)
  }
}
