// Drop path and channel dropout: what they draw, and that a draw depends on the global sample alone.

import Autograd
import Tensors
import TestSupport
import Testing

@Suite struct DrawTests {
  private static let draws = StochasticDraws(seed: 11, step: 4, pass: "mixed")

  private static func context(first: Int, _ draws: StochasticDraws? = draws, unit: String = "context") -> ForwardContext
  {
    var context = soloContext(64).with(unit: unit, rank: 0)
    context.firstSample = first
    context.draws = draws
    return context
  }

  /// The drop-path factor of each sample.
  private static func paths(_ samples: Int, rate: Float = 0.3, layer: String = "a", _ context: ForwardContext)
    -> [Float]
  {
    residual(
      Variable(constant: Tensor(zeros: [samples, 1])), Variable(constant: Tensor(repeating: 1, [samples, 1])),
      dropRate: rate, layer: layer, context
    ).value.values
  }

  /// The factor of each channel of one pixel.
  private static func channels(
    _ samples: Int, _ count: Int, rate: Float = 0.3, layer: String = "a", _ context: ForwardContext
  ) -> [Float] {
    channelDropout(
      Variable(constant: Tensor(repeating: 1, [samples, 1, 1, count])), rate: rate, layer: layer, context
    ).value.values
  }

  @Test func factorsDependOnTheGlobalSampleOnly() {
    let paths = DrawTests.paths(64, DrawTests.context(first: 0))
    let channels = DrawTests.channels(64, 10, DrawTests.context(first: 0))
    for (first, count) in [(0, 1), (0, 32), (5, 3), (63, 1), (40, 24)] {
      let part = DrawTests.context(first: first)
      #expect(DrawTests.paths(count, part) == Array(paths[first..<first + count]))
      #expect(DrawTests.channels(count, 10, part) == Array(channels[first * 10..<(first + count) * 10]))
    }
  }

  @Test func everythingElseInTheKeyMatters() {
    let contexts = [
      DrawTests.context(first: 0), DrawTests.context(first: 0, StochasticDraws(seed: 12, step: 4, pass: "mixed")),
      DrawTests.context(first: 0, StochasticDraws(seed: 11, step: 5, pass: "mixed")),
      DrawTests.context(first: 0, StochasticDraws(seed: 11, step: 4, pass: "source")),
      DrawTests.context(first: 0, unit: "detail"), DrawTests.context(first: 64),
    ]
    var all = contexts.map { DrawTests.paths(64, $0) }
    all.append(DrawTests.paths(64, layer: "b", contexts[0]))
    // Dropout of one channel has the same rate but another purpose.
    all.append(DrawTests.channels(64, 1, contexts[0]))
    #expect(Set(all).count == all.count)
  }

  @Test(arguments: [0.1, 0.3, 0.5] as [Float]) func keptOnesAreScaledAndTheShareIsTheRate(rate: Float) {
    let paths = DrawTests.paths(4000, rate: rate, DrawTests.context(first: 0))
    let channels = DrawTests.channels(40, 100, rate: rate, DrawTests.context(first: 0))
    for factors in [paths, channels] {
      #expect(Set(factors) == [0, 1 / (1 - rate)])
      let dropped = Double(factors.count { $0 == 0 }) / 4000
      #expect(abs(dropped - Double(rate)) < 5 * (Double(rate) * Double(1 - rate) / 4000).squareRoot())
    }
  }

  @Test func wholeChannelsAreDropped() {
    let x = randomTensor([3, 4, 5, 16], seed: 1)
    let context = DrawTests.context(first: 7)
    let factors = DrawTests.channels(3, 16, layer: "head", context)
    let y = channelDropout(Variable(constant: x), rate: 0.3, layer: "head", context).value.values
    let expected = x.values.enumerated().map { index, value in value * factors[index / 320 * 16 + index % 16] }
    #expect(y == expected && factors.contains(0))
  }

  @Test func elementsAreDroppedByTheirGlobalSample() {
    func factors(_ samples: Int, first: Int, layer: String = "a", rate: Float = 0.3) -> [Float] {
      let ones = Variable(constant: Tensor(repeating: 1, [samples, 3, 5, 4]))
      return elementDropout(ones, rate: rate, layer: layer, DrawTests.context(first: first)).value.values
    }
    let all = factors(64, first: 0)
    for (first, count) in [(0, 1), (5, 3), (40, 24)] {
      #expect(factors(count, first: first) == Array(all[first * 60..<(first + count) * 60]))
    }
    #expect(Set(all) == [0, 1 / 0.7] && factors(64, first: 0, layer: "b") != all)
    let dropped = Double(all.count { $0 == 0 }) / Double(all.count)
    #expect(abs(dropped - 0.3) < 5 * (0.21 / Double(all.count)).squareRoot())
    // Neighbouring channels of a pixel have draws of their own, other than with dropout of channels.
    #expect(Set(stride(from: 0, to: 60, by: 4).map { Array(all[$0..<$0 + 4]) }).count > 4)
    let x = Variable(constant: randomTensor([4, 2, 2, 3], seed: 6))
    #expect(elementDropout(x, rate: 0.9, layer: "a", DrawTests.context(first: 0, nil)).value.values == x.value.values)
    #expect(elementDropout(x, rate: 0, layer: "a", DrawTests.context(first: 0)).value.values == x.value.values)
  }

  @Test func theResidualScalesTheBranchOnly() {
    let (x, branch) = (randomTensor([6, 2, 3], seed: 2), randomTensor([6, 2, 3], seed: 3))
    let context = DrawTests.context(first: 0)
    let factors = DrawTests.paths(6, rate: 0.5, layer: "r", context)
    let y = residual(Variable(constant: x), Variable(constant: branch), dropRate: 0.5, layer: "r", context).value
    let expected = zip(doubles(x), doubles(branch)).enumerated().map { $1.0 + Double(factors[$0 / 6]) * $1.1 }
    #expect(relativeError(y, expected) < 1e-6)
  }

  @Test func withoutDrawsOrRateNothingIsDropped() {
    let x = Variable(constant: randomTensor([4, 2, 2, 3], seed: 4))
    let branch = Variable(constant: randomTensor([4, 2, 2, 3], seed: 5))
    let plain = add(x, branch, soloContext(4)).value.values
    let contexts: [(Float, ForwardContext)] = [
      (0.9, DrawTests.context(first: 0, nil)), (0, DrawTests.context(first: 0)),
    ]
    for (rate, context) in contexts {
      #expect(residual(x, branch, dropRate: rate, layer: "a", context).value.values == plain)
      #expect(channelDropout(x, rate: rate, layer: "a", context).value.values == x.value.values)
    }
  }
}
