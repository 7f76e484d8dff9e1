// Random shares that sum to 1: their moments, and what a small concentration makes of them.

import Support
import Testing

@Suite struct DirichletTests {
  private static func draws(_ count: Int, _ concentration: Double) -> [[Double]] {
    (0..<4000).map { sample in
      var stream = RandomStream(seed: 3, step: 1, sample: sample, purpose: Purpose("test", "shares"))
      return stream.nextDirichlet(count, concentration: concentration)
    }
  }

  @Test(arguments: [(2, 0.3), (5, 1.0), (8, 4.0), (64, 1.0 / 64)]) func moments(count: Int, concentration: Double) {
    let draws = Self.draws(count, concentration)
    #expect(draws.allSatisfy { $0.allSatisfy { $0 >= 0 && $0 <= 1 } && abs($0.reduce(0, +) - 1) < 1e-12 })
    let total = concentration * Double(count)
    let mean = 1 / Double(count)
    let variance = mean * (1 - mean) / (total + 1)
    for share in [0, count / 2, count - 1] {
      let values = draws.map { $0[share] }
      let found = values.reduce(0, +) / 4000
      // Five standard errors.
      #expect(abs(found - mean) < 5 * (variance / 4000).squareRoot(), "\(found) instead of \(mean)")
    }
    let spread = draws.joined().reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(4000 * count)
    #expect(abs(spread - variance) < 0.05 * variance, "\(spread) instead of \(variance)")
  }

  @Test func aSmallConcentrationGivesNearlyAllToOne() {
    // Of very many shares of total concentration 1 the largest is more than a half with probability ln 2.
    let largest = Self.draws(64, 1.0 / 64).map { $0.max() ?? 0 }
    #expect(abs(Double(largest.count { $0 > 0.5 }) / 4000 - 0.693) < 0.05)
  }

  @Test func oneShareIsAll() { #expect(Self.draws(1, 0.01).allSatisfy { $0 == [1] }) }

  @Test func equalKeysGiveEqualShares() { #expect(Self.draws(3, 0.5) == Self.draws(3, 0.5)) }
}
