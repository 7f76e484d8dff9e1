// Intervals of ratios, such as speed-up and efficiency: a hierarchical bootstrap, since steps of a launch, and launches of
// a block, are more alike than others.

import Foundation
import Support

/// An estimate with an interval.
public struct Estimate: Sendable, Equatable {
  /// The estimate from all values.
  public let value: Double
  /// Lower end of the interval.
  public let low: Double
  /// Upper end of the interval.
  public let high: Double

  /// From its parts.
  public init(value: Double, low: Double, high: Double) {
    self.value = value
    self.low = low
    self.high = high
  }

  /// The estimate and its ends multiplied by a positive number.
  public func scaled(by factor: Double) -> Estimate {
    Estimate(value: value * factor, low: low * factor, high: high * factor)
  }
}

/// Launches of two cells in one block: the steps of each, in seconds.
public struct PairedLaunches: Sendable {
  /// Steps of the first cell's launch.
  public let numerator: [Double]
  /// Steps of the second cell's launch.
  public let denominator: [Double]

  /// From the steps of two launches of one block.
  public init(_ numerator: [Double], _ denominator: [Double]) {
    self.numerator = numerator
    self.denominator = denominator
  }
}

/// The ratio of two cells' median launches with a bias-corrected and accelerated (BCa) interval.
///
/// A draw takes blocks with replacement, and of each launch in them steps with replacement; a launch is the median of its
/// steps. Acceleration comes from leaving out one block at a time.
///
/// Source: Efron, Better Bootstrap Confidence Intervals, JASA 1987, sections 2 and 6; Davison and Hinkley, Bootstrap
/// Methods and their Application, section 3.8 (hierarchical data).
public struct RatioBootstrap: Sendable {
  /// Draws.
  public let draws: Int
  /// Probability that the interval encloses the ratio.
  public let level: Double
  private let seed: UInt64

  /// The usual: 10,000 draws, 95 %.
  public init(draws: Int = 10_000, level: Double = 0.95, seed: UInt64 = 1) {
    self.draws = draws
    self.level = level
    self.seed = seed
  }

  /// The ratio of numerator to denominator over blocks in which both were measured; nil without any. With fewer than six
  /// blocks, the ends are the ratio itself: there is no interval.
  public func ratio(_ blocks: [PairedLaunches]) -> Estimate? {
    guard !blocks.isEmpty, blocks.allSatisfy({ !$0.numerator.isEmpty && !$0.denominator.isEmpty }) else { return nil }
    let launches = blocks.map { (median($0.numerator), median($0.denominator)) }
    let value = RatioBootstrap.ratio(launches)
    // A bootstrap of fewer would claim what they cannot know.
    guard blocks.count >= MedianInterval.leastCount else { return Estimate(value: value, low: value, high: value) }
    let drawn = sampled(blocks)
    // Half of the draws that equal the estimate count: with few blocks, many do.
    let below = Double(drawn.count { $0 < value }) + Double(drawn.count { $0 == value }) / 2
    let share = min(max(below / Double(draws), 1 / Double(2 * draws)), 1 - 1 / Double(2 * draws))
    let bias = normalQuantile(share)
    let acceleration = RatioBootstrap.acceleration(launches)
    func end(_ probability: Double) -> Double {
      let z = bias + normalQuantile(probability)
      let corrected = normalProbability(bias + z / max(1e-9, 1 - acceleration * z))
      let place = corrected * Double(draws - 1)
      let lower = min(max(Int(place), 0), draws - 1)
      let upper = min(lower + 1, draws - 1)
      return drawn[lower] + (place - Double(lower)) * (drawn[upper] - drawn[lower])
    }
    return Estimate(value: value, low: end((1 - level) / 2), high: end((1 + level) / 2))
  }

  /// Ratios of all draws, ascending.
  private func sampled(_ blocks: [PairedLaunches]) -> [Double] {
    var stream = DrawStream(seed: seed)
    func resampled(_ steps: [Double]) -> Double {
      median((0..<steps.count).map { _ in steps[stream.index(below: steps.count)] })
    }
    return (0..<draws).map { _ in
      RatioBootstrap.ratio(
        blocks.map { _ in
          let block = blocks[stream.index(below: blocks.count)]
          return (resampled(block.numerator), resampled(block.denominator))
        })
    }.sorted()
  }

  private static func ratio(_ launches: [(Double, Double)]) -> Double {
    median(launches.map(\.0)) / median(launches.map(\.1))
  }

  private static func acceleration(_ launches: [(Double, Double)]) -> Double {
    let without = launches.indices.map { left in ratio(launches.indices.filter { $0 != left }.map { launches[$0] }) }
    let mean = without.reduce(0, +) / Double(without.count)
    let squares = without.reduce(0) { $0 + (mean - $1) * (mean - $1) }
    let cubes = without.reduce(0) { $0 + (mean - $1) * (mean - $1) * (mean - $1) }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0
  }
}

/// Random places, two for each block of Philox.
private struct DrawStream {
  private let key: UInt64
  private var counter: UInt64 = 0
  private var kept: UInt64?

  init(seed: UInt64) { key = seed ^ Purpose("scaling", "bootstrap").code }

  /// Uniform in 0 ..< count; the bias of 64 bits is below 2⁻⁵⁰ for any study.
  mutating func index(below count: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(count)).high) }

  private mutating func next() -> UInt64 {
    if let kept {
      self.kept = nil
      return kept
    }
    let block = philox4x32(
      counter: RandomBlock(
        UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32), 0, 0), key: key)
    counter += 1
    kept = UInt64(block.third) << 32 | UInt64(block.fourth)
    return UInt64(block.first) << 32 | UInt64(block.second)
  }
}

/// Probability that a standard normal variable is at most `z`.
func normalProbability(_ z: Double) -> Double { erfc(-z / 2.0.squareRoot()) / 2 }

/// The value that a standard normal variable does not exceed with this probability: bisection on `normalProbability`,
/// exact to rounding.
/// - Precondition: the probability is between 0 and 1.
func normalQuantile(_ probability: Double) -> Double {
  precondition(probability > 0 && probability < 1, "no quantile at \(probability)")
  var (low, high) = (-40.0, 40.0)
  for _ in 0..<200 {
    let middle = (low + high) / 2
    if normalProbability(middle) < probability { low = middle } else { high = middle }
  }
  return (low + high) / 2
}
