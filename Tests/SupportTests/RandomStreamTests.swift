// Random numbers: the published vectors of Philox, independence of keys, moments, and draws without bias.

import Foundation
import Support
import Testing

@Suite struct RandomStreamTests {
  private static func stream(
    seed: UInt64 = 7, step: Int = 3, sample: Int? = 5, purpose: Purpose = Purpose("mixed", "drop-path")
  ) -> RandomStream {
    RandomStream(seed: seed, step: step, sample: sample, purpose: purpose)
  }

  private static func bits(_ stream: RandomStream, _ count: UInt32 = 64) -> [UInt32] {
    (0..<count).map { stream.bits(at: $0) }
  }

  /// Known answers of the Random123 library (Salmon et al., SC 2011).
  @Test func philoxGivesThePublishedNumbers() {
    let zeros = philox4x32(counter: RandomBlock(0, 0, 0, 0), key: 0)
    #expect(zeros == RandomBlock(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = philox4x32(counter: RandomBlock(.max, .max, .max, .max), key: .max)
    #expect(ones == RandomBlock(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    let digitsOfPi = philox4x32(
      counter: RandomBlock(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: 0x299f_31d0_a409_3822)
    #expect(digitsOfPi == RandomBlock(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func equalKeysGiveEqualNumbers() {
    #expect(RandomStreamTests.bits(RandomStreamTests.stream()) == RandomStreamTests.bits(RandomStreamTests.stream()))
  }

  @Test func everyPartOfTheKeyMatters() {
    let streams = [
      RandomStreamTests.stream(), RandomStreamTests.stream(seed: 8), RandomStreamTests.stream(seed: 7 + 1 << 32),
      RandomStreamTests.stream(step: 4), RandomStreamTests.stream(sample: 6), RandomStreamTests.stream(sample: nil),
      RandomStreamTests.stream(sample: 0), RandomStreamTests.stream(purpose: Purpose("mixed", "dropout")),
      RandomStreamTests.stream(purpose: Purpose("source", "drop-path")),
      // Step and sample exchanged.
      RandomStreamTests.stream(step: 5, sample: 3),
    ]
    let numbers = streams.map { RandomStreamTests.bits($0) }
    for first in numbers.indices {
      for second in 0..<first {
        // Two independent lists of 64 numbers agree anywhere once in 67 million pairs.
        #expect(zip(numbers[first], numbers[second]).allSatisfy { $0 != $1 }, "streams \(second) and \(first)")
      }
    }
  }

  @Test func partsOfAPurposeDoNotRunTogether() {
    let purposes = [
      Purpose("ab", "c"), Purpose("a", "bc"), Purpose("abc"), Purpose("abc", ""), Purpose("c", "ab"), Purpose(),
    ]
    #expect(Set(purposes.map(\.code)).count == purposes.count)
  }

  @Test(arguments: 1...4) func neighbouringKeysAreUncorrelated(kind: Int) {
    func stream(_ index: Int) -> RandomStream {
      switch kind {
      case 1: RandomStreamTests.stream(seed: UInt64(index))
      case 2: RandomStreamTests.stream(step: index)
      case 3: RandomStreamTests.stream(sample: index)
      default: RandomStreamTests.stream(purpose: Purpose("layer \(index)"))
      }
    }
    let count = 20_000
    let values = (0...count).map { Double(stream($0).uniform(at: 0)) - 0.5 }
    let mean = values.reduce(0, +) / Double(count)
    let correlation = zip(values, values.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 } / Double(count) * 12
    // Five deviations: the mean has 1/√(12 n), the correlation 1/√n.
    #expect(abs(mean) < 5 / (12 * Double(count)).squareRoot())
    #expect(abs(correlation) < 5 / Double(count).squareRoot())
  }

  @Test func nextNumbersAreTheNumberedOnes() {
    var moving = RandomStreamTests.stream()
    let still = moving
    #expect((0..<9).map { _ in moving.nextUniform() } == (0..<9).map { still.uniform(at: $0) })
    let next = moving.next()
    #expect(next == UInt64(still.bits(at: 10)) << 32 | UInt64(still.bits(at: 9)))
    #expect(moving.nextUniform() == still.uniform(at: 11))
  }

  @Test func uniformNumbersAreMultiplesOfTheSmallest() {
    let stream = RandomStreamTests.stream()
    let values = (0..<UInt32(100_000)).map { stream.uniform(at: $0) }
    #expect(values.allSatisfy { $0 >= 0 && $0 < 1 && ($0 * 0x1p24).rounded() == $0 * 0x1p24 })
    #expect(values.max().map { $0 > 0.9999 } == true)
    #expect(values.min().map { $0 < 0.0001 } == true)
  }

  @Test func uniformMoments() {
    let stream = RandomStreamTests.stream()
    let count = 200_000
    let values = (0..<UInt32(count)).map { Double(stream.uniform(at: $0)) }
    let mean = values.reduce(0, +) / Double(count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
    #expect(abs(mean - 0.5) < 5 * (1 / 12 / Double(count)).squareRoot())
    #expect(abs(variance - 1.0 / 12) < 5 * (1.0 / 180 / Double(count)).squareRoot())
  }

  @Test func uniformInARangeStaysInIt() {
    var stream = RandomStreamTests.stream()
    let values = (0..<50_000).map { _ in stream.nextUniform(in: -0.2...0.6) }
    #expect(values.allSatisfy { (-0.2...0.6).contains($0) })
    #expect(abs(values.reduce(0, +) / 50_000 - 0.2) < 0.006)
  }

  @Test func normalMoments() {
    var stream = RandomStreamTests.stream()
    let count = 200_000
    let values = (0..<count).map { _ in stream.nextNormal() }
    let moments = (1...4).map { power in values.reduce(0) { $0 + pow($1, Double(power)) } / Double(count) }
    // Five deviations of the moments of a standard normal: variances 1, 2, 15 and 96, over the count.
    for (moment, (expected, variance)) in zip(moments, [(0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0)]) {
      #expect(abs(moment - expected) < 5 * (variance / Double(count)).squareRoot(), "\(moment) instead of \(expected)")
    }
    let withinOne = Double(values.count { abs($0) < 1 }) / Double(count)
    #expect(abs(withinOne - 0.682_689) < 0.005)
    #expect(values.allSatisfy { $0.isFinite })
  }

  @Test(arguments: [1, 2, 3, 7, 10, 19]) func indicesAreUniform(below count: Int) {
    var stream = RandomStreamTests.stream(purpose: Purpose("index"))
    let draws = 60_000
    var counts = [Int](repeating: 0, count: count)
    for _ in 0..<draws { counts[stream.nextIndex(below: count)] += 1 }
    let expected = Double(draws) / Double(count)
    let chiSquare = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    let degrees = Double(count - 1)
    #expect(chiSquare <= degrees + 5 * (2 * degrees).squareRoot())
  }

  /// 64 bits reduced modulo 3·2⁶¹ would fall into the lower third with probability 3/8.
  @Test func indexBelowAHugeNumberIsNotReducedModulo() {
    var stream = RandomStreamTests.stream()
    let count = 3 << 61
    let low = (0..<30_000).count { _ in stream.nextIndex(below: count) < count / 3 }
    #expect(abs(Double(low) / 30_000 - 1.0 / 3) < 0.014)
  }

  /// Box and Muller's transform of numbers 2i and 2i + 1, from even and from odd positions.
  @Test func normalNumbersAreTheTransformOfTwoUniformOnes() {
    var moving = RandomStreamTests.stream()
    let still = moving
    for index in 0..<UInt32(12) {
      let first = index < 6 ? 2 * index : 2 * index + 1
      if index == 6 { _ = moving.nextUniform() }
      let (radius, angle) = (1 - Double(still.uniform(at: first)), Double(still.uniform(at: first + 1)))
      #expect(moving.nextNormal() == (-2 * log(radius)).squareRoot() * cos(2 * .pi * angle))
    }
  }

  @Test func shufflingIsAFunctionOfTheKey() {
    var first = RandomStreamTests.stream()
    var second = RandomStreamTests.stream()
    var other = RandomStreamTests.stream(sample: 6)
    let shuffled = Array(0..<50).shuffled(using: &first)
    #expect(shuffled == Array(0..<50).shuffled(using: &second))
    #expect(shuffled != Array(0..<50).shuffled(using: &other))
    #expect(shuffled.sorted() == Array(0..<50))
  }
}
