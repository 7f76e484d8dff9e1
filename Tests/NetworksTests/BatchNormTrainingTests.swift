// How batch norms of encoders are trained: with the batch's statistics, with a fixed scale and shift, or not at all.

import Autograd
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct BatchNormTrainingTests {
  private static func make(_ mode: BatchNormTraining) throws -> (encoder: any Encoder, parameters: NetworkParameters) {
    let registry = ParameterRegistry()
    let options = EncoderOptions(batchNorm: mode)
    let encoder = try #require(EncoderCatalogue.make("resnet-tiny", registry, prefix: "backbone", options))
    return (encoder, NetworkParameters(registry, gradientSlots: 2, seed: 1))
  }

  private static func isNorm(_ name: String) -> Bool { name.contains(/\.bn\d\.|stem\.[147]\.|downsample\.1\./) }

  @Test(arguments: BatchNormTraining.allCases) func whatLearns(_ mode: BatchNormTraining) throws {
    let (encoder, parameters) = try Self.make(mode)
    let start = (parameters.values.values, parameters.buffers.values)
    let context = soloContext(2, tape: Tape())
    let maps = try encoder(Variable(constant: randomTensor([2, 64, 64, 3], seed: 2)), context)
    let last = maps[3]
    last.cell?.accumulate(randomTensor(last.value.shape, seed: 3))
    context.tape?.walkBack()
    context.statistics.apply()
    #expect((parameters.buffers.values == start.1) == (mode == .frozen), "running statistics")
    let gradients = try #require(parameters.gradients)
    for (slice, parameter) in zip(parameters.slices, parameters.parameters) {
      let isFixed = mode != .batch && Self.isNorm(slice.name)
      #expect(slice.isTrained == !isFixed && (parameter.slots == nil) == isFixed, "\(slice.name)")
      // With batch statistics trained, branches start at nothing.
      guard mode != .batch || slice.name.contains("bn3") else { continue }
      let learns = (0..<2).allSatisfy { gradients.sample($0).values[slice.range].contains { $0 != 0 } }
      #expect(learns == !isFixed, "\(slice.name)")
    }
    #expect(parameters.bufferSlices.allSatisfy { !$0.isTrained })
  }

  /// Both modes that keep scale and shift have the values of the trained one where the statistics are the same.
  @Test func whatIsComputed() throws {
    let image = Variable(constant: randomTensor([2, 64, 64, 3], seed: 2))
    func maps(_ mode: BatchNormTraining, _ statistics: NormalizationMode) throws -> [Float] {
      let (encoder, parameters) = try Self.make(mode)
      fillByFormula(parameters)
      return try encoder(image, soloContext(2, statistics)).flatMap { $0.value.values }
    }
    let (batch, running) = (try maps(.batch, .batch), try maps(.batch, .running))
    #expect(batch != running)
    #expect(try maps(.fixedScale, .batch) == batch)
    #expect(try maps(.fixedScale, .running) == running)
    #expect(try maps(.frozen, .batch) == running)
    #expect(try maps(.frozen, .running) == running)
  }

  /// A factor of zero that nothing moves would leave the branch out for good.
  @Test func branchesOfUntrainedFactorsTakePart() throws {
    func factors(_ mode: BatchNormTraining) throws -> Set<Float> {
      let parameters = try Self.make(mode).parameters
      return Set(
        parameters.official(of: parameters.values).filter { $0.name.hasSuffix("bn3.weight") }.flatMap(\.values))
    }
    #expect(try factors(.batch) == [0])
    #expect(try factors(.frozen) == [0.5])
    #expect(try factors(.fixedScale) == [0.5])
  }

  @Test func headsAreTrainedAsEver() throws {
    var configuration = NetworkConfiguration(
      encoder: "resnet-tiny", classCount: 3, detailHeight: 32, detailWidth: 32, headWidth: 8, attentionWidth: 8)
    configuration.encoderOptions.batchNorm = .frozen
    let slices = try SegmentationNetwork(configuration, gradientSlots: 1, seed: 1).parameters.slices
    #expect(slices.filter { $0.name.hasPrefix("decode_head.") }.allSatisfy { $0.isTrained })
    #expect(slices.contains { $0.name.hasPrefix("backbone.") && !$0.isTrained })
    #expect(EncoderCatalogue.hasBatchNorms("resnet50") && EncoderCatalogue.hasBatchNorms("efficientnet-lite0"))
    #expect(!EncoderCatalogue.hasBatchNorms("tiny"))
  }

  @Test func theSmallResidualNetwork() throws {
    let (encoder, parameters) = try Self.make(.batch)
    #expect(encoder.channels == [32, 64, 128, 256] && encoder.strides == [4, 8, 8, 8])
    #expect(parameters.slices.first { $0.name == "backbone.stem.6.weight" }?.officialShape == [8, 4, 3, 3])
    #expect(parameters.slices.count == 3 * 19)
  }
}
