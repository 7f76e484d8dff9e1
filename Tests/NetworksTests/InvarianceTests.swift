// A sample's numbers do not depend on what shares its call, on threads or on ranks: same bits.

import Autograd
import Collectives
import CollectivesTesting
import Networks
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct InvarianceTests {
  /// Bits of one pass by sample: logits, features and the whole gradient slot.
  private struct Trace: Sendable, Equatable {
    var samples: [[UInt32]]
    var statistics: [UInt32] = []
  }

  private static let image = randomTensor([9, 64, 64, 3], seed: 1)
  private static let labels = LabelMap(
    samples: 9, height: 64, width: 64,
    values: (0..<9 * 4096).map { (pixel: Int) -> UInt8 in pixel % 13 == 0 ? 255 : UInt8(pixel / 100 % 5) })
  private static let weights = Tensor((0..<9 * 4096).map { Float($0 % 9) / 8 }, [9, 64, 64])
  private static let box = Box(top: 8, bottom: 40, left: 16, right: 48)

  private static func network(slots: Int) throws -> SegmentationNetwork {
    var configuration = NetworkConfiguration(
      encoder: "tiny", classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 24, attentionWidth: 16)
    configuration.encoderOptions = EncoderOptions(dropPath: 0.4)
    configuration.headDropout = 0.3
    return try SegmentationNetwork(configuration, gradientSlots: slots, seed: 5)
  }

  private static func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

  /// A training pass over some samples of a global batch, with draws, gradients and running statistics.
  private static func trainingTrace(
    _ samples: Range<Int>, of globalBatch: Int = 9, _ normalization: NormalizationMode,
    on communicator: any Communicator = SoloCommunicator()
  ) throws -> Trace {
    let network = try network(slots: samples.count)
    let tape = Tape()
    let context = ForwardContext(
      tape: tape, normalization: normalization, draws: StochasticDraws(seed: 3, step: 2, pass: "mixed"),
      communicator: communicator, globalBatch: globalBatch, firstSample: samples.lowerBound)
    let output = try network.train(
      image.samples(samples).copy(), box: box, keeping: Set(Site.Unit.allCases.flatMap(network.encoderSites)), context)
    let own = LabelMap(stacking: samples.map { labels.sample($0) })
    let fused = try #require(output.fused)
    let detail = try #require(output.detail)
    _ = crossEntropy(fused, labels: own, weights: weights.samples(samples).copy(), factor: 0.9, name: "fused", context)
    _ = crossEntropy(detail, labels: own.cropped(to: box), weights: nil, factor: 0.1, name: "detail", context)
    tape.walkBack()
    let gradients = try #require(network.parameters.gradients)
    let maps = [fused.value, detail.value] + output.maps.keys.sorted().compactMap { output.maps[$0]?.value }
    return Trace(
      samples: (0..<samples.count).map { sample in
        bits((maps + [gradients]).flatMap { $0.sample(sample).values })
      }, statistics: bits(network.parameters.buffers.values))
  }

  @Test func samplesOfOneCallAreIndependent() throws {
    let all = try InvarianceTests.trainingTrace(0..<9, .running)
    #expect(Set(all.samples).count == 9)
    for count in 1...4 {
      #expect(
        try InvarianceTests.trainingTrace(0..<count, .running).samples == Array(all.samples[..<count]), "\(count)")
    }
    for range in [5..<9, 3..<4, 7..<9] {
      #expect(try InvarianceTests.trainingTrace(range, .running).samples == Array(all.samples[range]), "\(range)")
    }
  }

  @Test func denseSamplesAreIndependent() throws {
    let network = try InvarianceTests.network(slots: 0)
    func dense(_ samples: Range<Int>) throws -> [[UInt32]] {
      let output = try network.dense(
        InvarianceTests.image.samples(samples).copy(), soloContext(samples.count, .running))
      let detail = try #require(output.detail)
      return (0..<samples.count).map {
        InvarianceTests.bits(output.logits.sample($0).values + detail.sample($0).values)
      }
    }
    let all = try dense(0..<9)
    for range in [0..<1, 0..<2, 0..<3, 0..<4, 6..<9] { #expect(try dense(range) == Array(all[range]), "\(range)") }
  }

  @Test func bitsDoNotDependOnThreads() throws {
    defer { WorkerPool.configure(threads: 1) }
    let traces = try (1...3).map { threads in
      WorkerPool.configure(threads: threads)
      return try InvarianceTests.trainingTrace(0..<2, of: 2, .batch)
    }
    #expect(traces[1] == traces[0] && traces[2] == traces[0])
  }

  @Test func bitsDoNotDependOnRanks() throws {
    let one = try InvarianceTests.trainingTrace(0..<4, of: 4, .batch)
    for ranks in [2, 4] {
      let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 4 / ranks
        let first = communicator.rank * count
        return try InvarianceTests.trainingTrace(first..<first + count, of: 4, .batch, on: communicator)
      }
      #expect(parts.flatMap(\.samples) == one.samples, "\(ranks) ranks")
      #expect(parts.allSatisfy { $0.statistics == one.statistics }, "\(ranks) ranks")
    }
  }
}
