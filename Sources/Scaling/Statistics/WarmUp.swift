// Which steps of a launch belong to its start, and whether the rest moves on.

import Foundation

/// Where the steady part of a launch begins: by a rule, then by the data.
public enum WarmUp {
  /// Steps that choose something: overlap and size of buckets are settled in the first ten.
  public static func least(choosesOverlap: Bool) -> Int { choosesOverlap ? 12 : 3 }

  /// Number of steps to leave out at the start.
  ///
  /// MSER-5 cuts where the standard error of the mean of what is left, over groups of five, is least. It may cut up to
  /// half; with fewer than two groups left, the rule alone decides.
  /// - Parameters:
  ///   - seconds: every step of a launch in order.
  ///   - least: steps that go in any case.
  /// - Returns: at most all but one.
  ///
  /// Source: White, Cobb, Spratt, A comparison of five steady-state truncation heuristics for simulation, WSC 2000.
  public static func steps(_ seconds: [Double], least: Int) -> Int {
    let kept = Array(seconds.dropFirst(least))
    let groups = kept.count / 5
    guard groups >= 2 else { return min(least, max(0, seconds.count - 1)) }
    let means = (0..<groups).map { group in kept[group * 5..<(group + 1) * 5].reduce(0, +) / 5 }
    // Steps that are equal but for rounding are steady: no cut is better than another by so little.
    let rounding = 1e-18 * means[0] * means[0]
    var best = (cut: 0, error: Double.infinity)
    for cut in 0...groups / 2 {
      let rest = means[cut...]
      let mean = rest.reduce(0, +) / Double(rest.count)
      let squares = rest.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      let error = squares / Double(rest.count * rest.count)
      if error + rounding < best.error { best = (cut, error) }
    }
    return least + best.cut * 5
  }
}

/// Whether the steps of a launch become slower or quicker.
public enum Drift {
  /// A shift that is told, as a share of the median.
  public static let limit = 0.02

  /// The shift from the first to the last third, as a share of the median: the Hodges–Lehmann estimate, the median of all
  /// differences. Nil for fewer than six steps.
  ///
  /// Source: Hodges and Lehmann, Estimates of location based on rank tests, Ann. Math. Statist. 1963.
  public static func shift(_ seconds: [Double]) -> Double? {
    let third = seconds.count / 3
    guard third >= 2 else { return nil }
    let differences = seconds.suffix(third).flatMap { late in seconds.prefix(third).map { late - $0 } }
    return median(differences) / median(seconds)
  }
}
