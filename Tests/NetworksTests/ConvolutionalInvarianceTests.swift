// Convolutional encoders: a sample's maps and gradients have the same bits whatever shares its call, on any number of
// threads and ranks.

import Autograd
import Collectives
import CollectivesTesting
import Networks
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct ConvolutionalInvarianceTests {
  /// Bits of one pass by sample, and the running statistics.
  private struct Trace: Sendable, Equatable {
    var samples: [[UInt32]]
    var statistics: [UInt32]
  }

  private static let image = randomTensor([9, 45, 52, 3], seed: 1)

  private static func trace(
    _ name: String, _ samples: Range<Int>, of globalBatch: Int, _ mode: NormalizationMode,
    on communicator: any Communicator = SoloCommunicator()
  ) throws -> Trace {
    let registry = ParameterRegistry()
    let encoder: any Encoder =
      name == "residual"
      ? ResNet(registry, "backbone", ResNetVariant("small", depths: [1, 1, 1, 1]))
      : EfficientNetLite(registry, "backbone")
    let parameters = NetworkParameters(registry, gradientSlots: samples.count, seed: 1)
    fillByFormula(parameters)
    let context = ForwardContext(
      tape: Tape(), normalization: mode, communicator: communicator, globalBatch: globalBatch,
      firstSample: samples.lowerBound)
    let maps = try encoder(Variable(constant: image.samples(samples).copy()), context)
    for (index, map) in maps.enumerated() {
      let cotangent = randomTensor(map.value.shape.withSamples(9), seed: 10 + UInt64(index))
      map.cell?.accumulate(cotangent.samples(samples).copy())
    }
    context.tape?.walkBack()
    context.statistics.apply()
    let gradients = try #require(parameters.gradients)
    return Trace(
      samples: (0..<samples.count).map { sample in
        (maps.map(\.value) + [gradients]).flatMap { $0.sample(sample).values.map(\.bitPattern) }
      }, statistics: parameters.buffers.values.map(\.bitPattern))
  }

  @Test(arguments: ["residual", "efficient"]) func samplesOfOneCallAreIndependent(name: String) throws {
    let all = try ConvolutionalInvarianceTests.trace(name, 0..<9, of: 9, .running).samples
    #expect(Set(all).count == 9)
    for range in [0..<1, 0..<2, 0..<3, 0..<4, 5..<9] {
      let some = try ConvolutionalInvarianceTests.trace(name, range, of: 9, .running).samples
      #expect(some == Array(all[range]), "\(range)")
    }
  }

  @Test(arguments: ["residual", "efficient"]) func bitsDependOnNeitherThreadsNorRanks(name: String) throws {
    defer { WorkerPool.configure(threads: 1) }
    let one = try ConvolutionalInvarianceTests.trace(name, 0..<4, of: 4, .batch)
    WorkerPool.configure(threads: 2)
    let threaded = try ConvolutionalInvarianceTests.trace(name, 0..<4, of: 4, .batch)
    #expect(threaded == one)
    for ranks in [2, 4] {
      let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 4 / ranks
        let first = communicator.rank * count
        return try ConvolutionalInvarianceTests.trace(
          name, first..<first + count, of: 4, .batch, on: communicator)
      }
      let samples = parts.flatMap(\.samples)
      #expect(samples == one.samples, "\(ranks) ranks")
      #expect(parts.allSatisfy { $0.statistics == one.statistics }, "\(ranks) ranks")
    }
  }
}
