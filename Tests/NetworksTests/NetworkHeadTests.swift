// Every head inside a whole network, with and without HRDA: sizes, grids, names, equal bits on every number of ranks.

import Autograd
import Collectives
import CollectivesTesting
import Networks
import Support
import Tensors
import TestSupport
import Testing

/// A head of a small network.
struct HeadChoice: Sendable, CustomTestStringConvertible {
  var name = "daformer"
  var fusion = FusionKind.separableASPP
  var dilations = [1, 3]

  var testDescription: String { "\(name) \(fusion.rawValue)" }

  static let all =
    FusionKind.allCases.map { HeadChoice(fusion: $0) } + [
      HeadChoice(name: "segformer"), HeadChoice(name: "deeplabv2", dilations: [6, 12]), HeadChoice(name: "upernet"),
      HeadChoice(name: "daformer-depth-guided", dilations: [6, 12]),
    ]

  func network(_ resolution: Resolution = .hrda, slots: Int = 1) throws -> SegmentationNetwork {
    var configuration = NetworkConfiguration(
      encoder: "tiny", classCount: 5, detailHeight: 64, detailWidth: 64, headWidth: 12, attentionWidth: 8)
    configuration.head = name
    configuration.fusion = fusion
    configuration.dilations = dilations
    configuration.resolution = resolution
    configuration.headDropout = 0.3
    return try SegmentationNetwork(configuration, gradientSlots: slots, seed: 5)
  }
}

@Suite(.serialized) struct NetworkHeadTests {
  private static let image = randomTensor([4, 128, 128, 3], seed: 1)
  private static let box = Box(top: 32, bottom: 96, left: 0, right: 64)
  private static let labels = LabelMap(
    samples: 4, height: 128, width: 128,
    values: (0..<4 * 16384).map { (pixel: Int) -> UInt8 in pixel % 13 == 0 ? 255 : UInt8(pixel / 700 % 5) })

  @Test(arguments: HeadChoice.all, Resolution.allCases)
  func outputsLieOnTheGrid(_ choice: HeadChoice, resolution: Resolution) throws {
    let network = try choice.network(resolution)
    let stride = choice.name == "deeplabv2" ? 32 : 4
    #expect(network.grid.stride == stride && network.grid.offsetMultiple == max(8, stride))
    let image = NetworkHeadTests.image.samples(0..<1).copy()
    let output = try network.train(image, box: NetworkHeadTests.box, soloContext(1))
    let whole = 128 / stride
    let half: Shape = [1, whole / 2, whole / 2, 5]
    let fused = output.fused?.value.shape
    let detail = output.detail?.value.shape
    let hasContext = resolution != .detailOnly
    let hasDetail = resolution != .contextOnly
    #expect(output.context?.value.shape == (hasContext ? half : nil))
    #expect(detail == (hasDetail ? half : nil))
    #expect(fused == (hasContext ? (hasDetail ? [1, whole, whole, 5] : half) : nil))
    #expect(output.attention?.value.shape == (resolution == .hrda ? half : nil))
    let logits = try network.logits(image, soloContext(1))
    #expect(logits.shape == [1, 128, 128, 5] && logits.values.allSatisfy { $0.isFinite })
  }

  @Test(arguments: HeadChoice.all) func namesOfBothHeads(_ choice: HeadChoice) throws {
    let names = try choice.network().parameters.slices.map(\.name).filter { !$0.hasPrefix("backbone.") }
    let head = names.filter { $0.hasPrefix("decode_head.head.") }
    let attention = names.filter { $0.hasPrefix("decode_head.scale_attention.") }
    #expect(head.count + attention.count == names.count && !head.isEmpty)
    let isAlike = choice.name == "deeplabv2"
    let marker = isAlike ? "aspp_modules.1.conv.bias" : "fuse_layer.conv.weight"
    #expect(attention.contains("decode_head.scale_attention.\(marker)"))
    let single = try choice.network(.contextOnly).parameters.slices.map(\.name).filter { !$0.hasPrefix("backbone.") }
    #expect(single == head.map { $0.replacing("decode_head.head.", with: "decode_head.") })
  }

  /// A crop that is one window is seen alike in training and in dense passes.
  @Test(arguments: HeadChoice.all) func oneWindow(_ choice: HeadChoice) throws {
    let network = try choice.network()
    let image = randomTensor([2, 64, 64, 3], seed: 6)
    let whole = Box(top: 0, bottom: 64, left: 0, right: 64)
    let trained = try network.train(image, box: whole, soloContext(2, .running))
    let dense = try network.dense(image, soloContext(2, .running))
    #expect(dense.logits.values == trained.fused?.value.values)
    #expect(dense.detail?.values == trained.detail?.value.values)
  }

  /// Logits, every gradient slot and running statistics of a training pass.
  private static func bits(
    _ choice: HeadChoice, _ samples: Range<Int>, on communicator: any Communicator
  ) throws -> [[UInt32]] {
    let network = try choice.network(slots: samples.count)
    let tape = Tape()
    let context = ForwardContext(
      tape: tape, normalization: .batch, draws: StochasticDraws(seed: 3, step: 2, pass: "mixed"),
      communicator: communicator, globalBatch: 4, firstSample: samples.lowerBound)
    let output = try network.train(image.samples(samples).copy(), box: box, context)
    let own = LabelMap(stacking: samples.map { labels.sample($0) })
    let fused = try #require(output.fused)
    let detail = try #require(output.detail)
    _ = crossEntropy(fused, labels: own, weights: nil, factor: 0.9, name: "fused", context)
    _ = crossEntropy(detail, labels: own.cropped(to: box), weights: nil, factor: 0.1, name: "detail", context)
    tape.walkBack()
    let gradients = try #require(network.parameters.gradients)
    return (0..<samples.count).map { sample in
      [fused.value, detail.value, gradients].flatMap { $0.sample(sample).values.map(\.bitPattern) }
    } + [network.parameters.buffers.values.map(\.bitPattern)]
  }

  @Test(arguments: HeadChoice.all) func bitsDoNotDependOnRanks(_ choice: HeadChoice) throws {
    let one = try NetworkHeadTests.bits(choice, 0..<4, on: SoloCommunicator())
    #expect(one[0] != one[1])
    for ranks in [2, 4] {
      let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 4 / ranks
        let first = communicator.rank * count
        return try NetworkHeadTests.bits(choice, first..<first + count, on: communicator)
      }
      let together = parts.flatMap { $0.dropLast() }
      let statistics = parts.map { $0[$0.count - 1] }
      #expect(together == Array(one.dropLast()), "\(ranks) ranks")
      #expect(statistics.allSatisfy { $0 == one[4] }, "\(ranks) ranks")
    }
  }

  @Test func unknownHeadsAreRefused() {
    var configuration = NetworkConfiguration(encoder: "tiny", classCount: 2, detailHeight: 32, detailWidth: 32)
    configuration.head = "fcn"
    let unknown = configuration
    #expect(throws: Failure.self) { try SegmentationNetwork(unknown, gradientSlots: 0, seed: 0) }
    #expect(throws: Failure.self) { try OutputGrid(unknown) }
  }
}
