// Intervals, warm-up, drift and the bootstrap, against tables, enumeration and known distributions.

import Foundation
import Scaling
import Support
import Testing

@Suite struct StatisticsTests {
  /// Conover, table A3: n, rank, coverage by the binomial distribution.
  @Test(
    "an interval of order statistics covers what it says",
    arguments: [
      (5, 1, 0.9375), (6, 1, 0.96875), (7, 1, 0.984375), (9, 2, 0.9609375), (12, 3, 0.961426), (20, 6, 0.958611),
    ]) func coverage(count: Int, rank: Int, coverage: Double)
  {
    let interval = MedianInterval((1...count).map(Double.init))
    #expect(interval.low == Double(rank) && interval.high == Double(count + 1 - rank))
    #expect(abs(interval.coverage - coverage) < 1e-5)
    #expect(interval.isSound == (count >= MedianInterval.leastCount))
  }

  @Test("an interval of hundreds of values is finite") func manyValues() {
    let interval = MedianInterval((0..<2001).map(Double.init))
    #expect(interval.median == 1000)
    // Normal approximation: 1.96 · sqrt(n) / 2 places from the middle.
    #expect(abs(interval.low - (1000 - 1.96 * 2001.0.squareRoot() / 2)) < 2)
    #expect(interval.coverage >= 0.95 && interval.coverage < 0.955)
    #expect(MedianInterval([3]).coverage == 0)
  }

  @Test("an interval of a skewed distribution covers its median as often as it says") func coveredOften() {
    var stream = RandomStream(seed: 7, step: 0, sample: nil, purpose: Purpose("test", "coverage"))
    let trials = 4000
    let hits = (0..<trials).count { _ in
      let values = (0..<6).map { _ in -log(1 - Double(stream.nextUniform())) }
      let interval = MedianInterval(values)
      return interval.low <= log(2) && log(2) <= interval.high
    }
    #expect(abs(Double(hits) / Double(trials) - 0.96875) < 0.012)
  }

  @Test("a ratio has the interval of a normal one where values are many") func ratioOfMany() throws {
    var stream = RandomStream(seed: 3, step: 0, sample: nil, purpose: Purpose("test", "ratio"))
    let blocks = (0..<40).map { _ in
      PairedLaunches([2 * (1 + 0.02 * stream.nextNormal())], [1 + 0.02 * stream.nextNormal()])
    }
    let ratio = try #require(RatioBootstrap(draws: 4000).ratio(blocks))
    #expect(abs(ratio.value - 2) < 0.03)
    #expect(ratio.low < 2 && 2 < ratio.high)
    // Medians of 40: standard error 1.2533 · 0.02 / sqrt(40) each, the ratio's sqrt(2) of that, twice 1.96.
    let expected = 2 * 1.96 * 2 * 1.2533 * 0.02 / 40.0.squareRoot() * 2.0.squareRoot()
    #expect((0.6...1.6).contains((ratio.high - ratio.low) / expected))
  }

  @Test("blocks that drift together do not widen a ratio") func pairedBlocks() throws {
    let blocks = (0..<8).map { block in
      PairedLaunches([3 * (1 + 0.1 * Double(block))], [1.5 * (1 + 0.1 * Double(block))])
    }
    let ratio = try #require(RatioBootstrap(draws: 2000).ratio(blocks))
    #expect(abs(ratio.value - 2) < 1e-12 && ratio.high - ratio.low < 1e-9)
    #expect(RatioBootstrap().ratio([]) == nil)
    // Fewer than six blocks give no interval.
    let few = try #require(RatioBootstrap().ratio([PairedLaunches([3], [1]), PairedLaunches([4], [1])]))
    #expect(few == Estimate(value: 3.5, low: 3.5, high: 3.5))
  }

  @Test("the same values give the same interval") func repeatable() {
    let blocks = (0..<6).map { PairedLaunches([1 + Double($0 * $0 % 5) / 50], [1, 1.1]) }
    #expect(RatioBootstrap(draws: 500).ratio(blocks) == RatioBootstrap(draws: 500).ratio(blocks))
    #expect(RatioBootstrap(draws: 500, seed: 2).ratio(blocks)?.value == RatioBootstrap(draws: 500).ratio(blocks)?.value)
  }

  @Test("warm-up goes by the rule, then by the data") func warmUp() {
    let steady = (0..<40).map { 1 + 0.01 * Double($0 % 5) }
    #expect(WarmUp.steps(steady, least: 3) == 3)
    let slow = (0..<10).map { 2 - 0.1 * Double($0) } + steady
    #expect(WarmUp.steps(slow, least: 3) == 13)
    #expect(WarmUp.steps([5, 4, 3, 2, 1, 1, 1, 1], least: 3) == 3)
    #expect(WarmUp.steps([1, 1], least: 3) == 1)
    #expect(WarmUp.least(choosesOverlap: true) == 12 && WarmUp.least(choosesOverlap: false) == 3)
  }

  @Test("drift is the shift between the first and the last third") func drift() throws {
    let rising = (0..<30).map { 1 + 0.01 * Double($0) }
    #expect(abs(try #require(Drift.shift(rising)) - 0.2 / 1.145) < 1e-9)
    // One odd value moves a mean, not this.
    #expect(Drift.shift([9, 1, 1, 1, 1, 1, 1, 1, 1]) == 0)
    #expect(Drift.shift([1, 2, 3, 4, 5]) == nil)
  }
}
