// What spans the global batch: the same bits for one rank with 4 samples and for 2 and 4 ranks.

import Autograd
import Collectives
import CollectivesTesting
import Kernels
import Tensors
import TestSupport
import Testing

@Suite struct AcrossRanksTests {
  /// What one rank found: values by sample, to be put one after the other, and values all ranks must share.
  private struct Outcome: Sendable, Equatable {
    var bySample: [[Float]]
    var shared: [[Float]]
  }

  /// The outcome of the whole world; shared values of the ranks must agree.
  private static func outcome(
    ranks: Int, _ body: @Sendable (Range<Int>, ForwardContext) throws -> Outcome
  ) throws -> Outcome {
    let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let count = 4 / ranks
      let samples = communicator.rank * count..<(communicator.rank + 1) * count
      return try body(
        samples,
        ForwardContext(
          tape: Tape(), normalization: .batch, communicator: communicator, globalBatch: 4,
          firstSample: samples.lowerBound))
    }
    #expect(parts.allSatisfy { $0.shared.map(bits) == parts[0].shared.map(bits) }, "ranks differ among themselves")
    let lists = parts[0].bySample.indices.map { index in parts.flatMap { $0.bySample[index] } }
    return Outcome(bySample: lists, shared: parts[0].shared)
  }

  private static func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

  private static func expectSameBits(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @Sendable (Range<Int>, ForwardContext) throws -> Outcome
  ) throws {
    let one = try outcome(ranks: 1, body)
    #expect(one.bySample.allSatisfy { $0.contains { $0 != 0 } }, "nothing to compare", sourceLocation: sourceLocation)
    for ranks in [2, 4] {
      let many = try outcome(ranks: ranks, body)
      #expect(many.bySample.map(bits) == one.bySample.map(bits), "\(ranks) ranks", sourceLocation: sourceLocation)
      #expect(many.shared.map(bits) == one.shared.map(bits), "\(ranks) ranks", sourceLocation: sourceLocation)
    }
  }

  /// Values of very different sizes, so that every order of additions rounds differently.
  private static func uneven(_ shape: Shape, seed: UInt64) -> Tensor {
    let values = randomTensor(shape, seed: seed).values
    return Tensor(values.enumerated().map { $1 * Float(1 << ($0 * 7 % 13)) / 64 }, shape)
  }

  private static func state(samples: Int, channels: Int) -> BatchNormState {
    let state = BatchNormState(
      scale: randomParameter([channels], samples: samples, seed: 60, offset: 1),
      shift: randomParameter([channels], samples: samples, seed: 61))
    state.bind(runningMean: randomTensor([channels], seed: 62), runningVariance: Tensor(repeating: 0.75, [channels]))
    return state
  }

  private static func slots(_ parameter: Parameter, _ samples: Int) -> [Float] {
    (0..<samples).flatMap { parameter.slots?.values($0) ?? [] }
  }

  @Test(arguments: Rectifier.allCases) func batchNormHasTheSameBits(rectifier: Rectifier) throws {
    let input = AcrossRanksTests.uneven([4, 13, 11, 6], seed: 1)
    let cotangent = AcrossRanksTests.uneven([4, 13, 11, 6], seed: 2)
    try AcrossRanksTests.expectSameBits { samples, context in
      let state = AcrossRanksTests.state(samples: samples.count, channels: 6)
      let x = Variable(tracked: input.samples(samples).copy())
      let y = try batchNorm(x, state, rectifier: rectifier, context)
      y.cell?.accumulate(cotangent.samples(samples).copy())
      context.tape?.walkBack()
      context.statistics.apply()
      return Outcome(
        bySample: [
          y.value.values, x.gradient?.values ?? [], AcrossRanksTests.slots(state.scale, samples.count),
          AcrossRanksTests.slots(state.shift, samples.count),
        ], shared: [state.runningMean.values, state.runningVariance.values])
    }
  }

  /// Three windows of each sample, window-major as in dense passes, which record nothing.
  @Test func batchNormOverWindowsHasTheSameBits() throws {
    let input = AcrossRanksTests.uneven([12, 5, 7, 6], seed: 3)
    try AcrossRanksTests.expectSameBits { samples, context in
      let state = AcrossRanksTests.state(samples: samples.count, channels: 6)
      let local = Tensor(
        (0..<3).flatMap { input.samples($0 * 4 + samples.lowerBound..<$0 * 4 + samples.upperBound).values },
        [3 * samples.count, 5, 7, 6])
      var pass = context.with(unit: "windows", rank: 1, tilesPerSample: 3)
      pass.tape = nil
      let y = try batchNorm(Variable(constant: local), state, rectifier: .relu, pass).value
      context.statistics.apply()
      return Outcome(
        bySample: (0..<3).map { y.samples($0 * samples.count..<($0 + 1) * samples.count).values },
        shared: [state.runningMean.values, state.runningVariance.values])
    }
  }

  @Test func crossEntropyHasTheSameBits() throws {
    let logits = AcrossRanksTests.uneven([4, 5, 6, 3], seed: 4)
    let labels = LabelMap(
      samples: 4, height: 20, width: 24,
      values: (0..<1920).map { (pixel: Int) -> UInt8 in pixel % 11 == 0 ? 255 : UInt8(pixel * pixel % 3) })
    let weights = Tensor((0..<1920).map { Float($0 % 17) / 16 }, [4, 20, 24])
    try AcrossRanksTests.expectSameBits { samples, context in
      let x = Variable(tracked: logits.samples(samples).copy())
      let own = LabelMap(stacking: samples.map { labels.sample($0) })
      let term = crossEntropy(
        x, labels: own, weights: weights.samples(samples).copy(), factor: 0.9, name: "loss", context)
      context.tape?.walkBack()
      let sum = try globalSum(rows: term.perSample, samples: samples.count, count: 1, on: context.communicator)
      return Outcome(
        bySample: [x.gradient?.values ?? [], AcrossRanksTests.halves(term.perSample)],
        shared: [AcrossRanksTests.halves(sum)])
    }
  }

  @Test func featureDistanceHasTheSameBits() throws {
    let feature = AcrossRanksTests.uneven([4, 3, 5, 16], seed: 5)
    let reference = AcrossRanksTests.uneven([4, 3, 5, 16], seed: 6)
    let cells = (0..<60).map { UInt8($0 * 7 % 3 == 0 ? 1 : 0) }
    try AcrossRanksTests.expectSameBits { samples, context in
      let x = Variable(tracked: feature.samples(samples).copy())
      let own = Array(cells[samples.lowerBound * 15..<samples.upperBound * 15])
      let count = try context.communicator.sumIntegers([Int64(own.count { $0 == 1 })])[0]
      let term = featureDistance(
        x, reference: reference.samples(samples).copy(), cells: own, globalCells: Int(count), factor: 0.005,
        name: "distance")
      return Outcome(
        bySample: [x.gradient?.values ?? [], AcrossRanksTests.halves(term.perSample)], shared: [[Float(count)]])
    }
  }

  /// Doubles as pairs of Floats with the same 64 bits.
  private static func halves(_ values: [Double]) -> [Float] {
    values.flatMap { value in
      [
        Float(bitPattern: UInt32(truncatingIfNeeded: value.bitPattern >> 32)),
        Float(bitPattern: UInt32(truncatingIfNeeded: value.bitPattern)),
      ]
    }
  }
}

@Suite struct RunningStatisticsTests {
  private static let maps = (0..<2).map { randomTensor([2, 4, 5, 3], seed: 70 + UInt64($0), offset: Double($0)) }

  private static func state() -> BatchNormState {
    BatchNormState(
      scale: randomParameter([3], samples: 2, seed: 80), shift: randomParameter([3], samples: 2, seed: 81))
  }

  /// Running mean and variance after batches that came in some order, with ranks.
  private static func statistics(_ batches: [(Tensor, rank: Int)]) throws -> [[Float]] {
    let state = state()
    let context = soloContext(2)
    for (batch, rank) in batches {
      _ = try batchNorm(Variable(constant: batch), state, rectifier: .identity, context.with(unit: "unit", rank: rank))
    }
    context.statistics.apply()
    return [state.runningMean.values, state.runningVariance.values]
  }

  @Test func contextEntersBeforeDetailThoughComputedAfterIt() throws {
    let (context, detail) = (RunningStatisticsTests.maps[0], RunningStatisticsTests.maps[1])
    let detailFirst = try RunningStatisticsTests.statistics([(detail, rank: 1), (context, rank: 0)])
    #expect(try RunningStatisticsTests.statistics([(context, rank: 0), (detail, rank: 1)]) == detailFirst)
    #expect(try RunningStatisticsTests.statistics([(detail, rank: 0), (context, rank: 1)]) != detailFirst)
    #expect(try RunningStatisticsTests.statistics([(context, rank: 0), (detail, rank: 0)]) == detailFirst)
  }

  @Test func updateIsThatOfTheBatchWithUnbiasedVariance() throws {
    let batch = RunningStatisticsTests.maps[1]
    let found = try RunningStatisticsTests.statistics([(batch, rank: 0)])
    let values = doubles(batch)
    let columns = (0..<3).map { channel in stride(from: channel, to: values.count, by: 3).map { values[$0] } }
    let means = columns.map { $0.reduce(0, +) / 40 }
    let variances = zip(columns, means).map { column, mean in
      column.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / 39
    }
    #expect(relativeError(found[0], means.map { 0.1 * $0 }) < 1e-5)
    #expect(relativeError(found[1], variances.map { 0.9 + 0.1 * $0 }) < 1e-5)
  }

  @Test func nothingChangesBeforeTheyAreApplied() throws {
    let state = RunningStatisticsTests.state()
    let context = soloContext(2)
    let batch = Variable(constant: RunningStatisticsTests.maps[0])
    _ = try batchNorm(batch, state, rectifier: .identity, context)
    #expect(state.runningMean.values == [0, 0, 0] && state.runningVariance.values == [1, 1, 1])
    context.statistics.apply()
    let once = state.runningMean.values
    #expect(once != [0, 0, 0])
    context.statistics.apply()
    #expect(state.runningMean.values == once, "an update is applied once")
  }

  @Test func runningModeUsesAndKeepsThem() throws {
    let state = RunningStatisticsTests.state()
    state.bind(runningMean: Tensor([1, 2, 3], [3]), runningVariance: Tensor([4, 1, 0.25], [3]))
    let context = soloContext(2, .running)
    let x = RunningStatisticsTests.maps[0]
    let y = try batchNorm(Variable(constant: x), state, rectifier: .identity, context).value
    context.statistics.apply()
    #expect(state.runningMean.values == [1, 2, 3] && state.runningVariance.values == [4, 1, 0.25])
    let (scale, shift) = (doubles(state.scale.value), doubles(state.shift.value))
    let expected = doubles(x).enumerated().map { index, value in
      let channel = index % 3
      let deviation = ([4, 1, 0.25][channel] + 1e-5).squareRoot()
      return (value - Double(channel + 1)) / deviation * scale[channel] + shift[channel]
    }
    #expect(relativeError(y, expected) < 1e-5)
  }
}
