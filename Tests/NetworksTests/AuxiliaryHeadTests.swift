// The auxiliary head: where it sits, what it makes, what it trains.

import Autograd
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct AuxiliaryHeadTests {
  private static let box = Box(top: 0, bottom: 64, left: 0, right: 64)

  private static func network(
    _ head: String = "deeplabv2", encoder: EncoderChoice = "resnet-tiny", stage: Int? = 3, predicts: Bool = false,
    _ resolution: Resolution = .contextOnly, slots: Int = 1
  ) throws -> SegmentationNetwork {
    var configuration = NetworkConfiguration(
      encoder: encoder, classCount: 5, detailHeight: 64, detailWidth: 64, headWidth: 12, attentionWidth: 8)
    configuration.resolution = resolution
    configuration.contextReduction = 1
    configuration.head = head
    configuration.dilations = [6, 12]
    configuration.headDropout = 0
    configuration.auxiliary = stage.map { AuxiliaryHead(stage: $0, predicts: predicts) }
    return try SegmentationNetwork(configuration, gradientSlots: slots, seed: 5)
  }

  /// Every head goes on every stage, with the parameters it would have at the end of a shorter encoder.
  @Test(arguments: HeadCatalogue.names, 1...4) func everyHeadOnEveryStage(_ head: String, stage: Int) throws {
    let network = try Self.network(head, encoder: "tiny", stage: stage)
    let names = network.parameters.slices.map(\.name)
    let plain = try Self.network(head, encoder: "tiny", stage: nil).parameters
    #expect(Array(names.prefix(plain.slices.count)) == plain.slices.map(\.name))
    #expect(names.dropFirst(plain.slices.count).allSatisfy { $0.hasPrefix("auxiliary_head.") })
    #expect(plain.values.values == Array(network.parameters.values.values.prefix(plain.values.count)))
    let output = try network.train(randomTensor([1, 64, 64, 3], seed: 1), box: Self.box, soloContext(1))
    let side = HeadCatalogue.entry(head)?.grid == .coarsest ? 64 / [4, 8, 16, 32][stage - 1] : 16
    #expect(output.auxiliary?.value.shape == [1, side, side, 5])
  }

  @Test func publishedParameters() throws {
    let network = try Self.network()
    let own = network.parameters.slices.filter { $0.name.hasPrefix("auxiliary_head.") }
    #expect(
      own.map(\.name)
        == ["0.conv.weight", "0.conv.bias", "1.conv.weight", "1.conv.bias"].map {
          "auxiliary_head.aspp_modules.\($0)"
        })
    // Two dilated 3×3 convolutions of the 128 channels of a tiny ResNet's third stage.
    #expect(own.reduce(0) { $0 + $1.range.count } == 2 * (5 * 128 * 9 + 5))
  }

  @Test(arguments: [Resolution.contextOnly, .detailOnly]) func itTrainsWhatItSees(_ resolution: Resolution) throws {
    let network = try Self.network("deeplabv2", resolution)
    let tape = Tape()
    let image = randomTensor([1, 64, 64, 3], seed: 2)
    let output = try network.train(image, box: Self.box, soloContext(1, tape: tape))
    let auxiliary = try #require(output.auxiliary)
    #expect(auxiliary.value.shape == [1, 8, 8, 5])
    auxiliary.cell?.accumulate(randomTensor(auxiliary.value.shape, seed: 3))
    tape.walkBack()
    let gradient = try #require(network.parameters.gradients).values
    for slice in network.parameters.slices {
      let isSeen = !slice.name.hasPrefix("decode_head.") && !slice.name.contains(".layer4.")
      // Branches of bottlenecks start at nothing, so that only their last factors learn at first.
      let isStill = slice.name.contains(/conv[123]\.|bn[12]\./) && slice.name.contains(".layer")
      let learns = gradient[slice.range].contains { $0 != 0 }
      #expect(learns == (isSeen && !isStill), "\(slice.name)")
    }
  }

  @Test(arguments: [Resolution.contextOnly, .detailOnly]) func predictionsDoWithoutIt(_ resolution: Resolution) throws {
    let image = randomTensor([1, 64, 64, 3], seed: 2)
    let predictions = try [3, nil].map { stage in
      try Self.network("deeplabv2", stage: stage, resolution).dense(image, soloContext(1, .running)).logits.values
    }
    let areEqual = predictions[0] == predictions[1]
    #expect(areEqual)
  }

  @Test(arguments: [Resolution.contextOnly, .detailOnly]) func predictionsMayBeTheSumOfBoth(
    _ resolution: Resolution
  ) throws {
    let image = randomTensor([1, 64, 64, 3], seed: 2)
    let network = try Self.network("daformer", encoder: "tiny", stage: 4, predicts: true, resolution)
    let output = try network.train(image, box: Self.box, soloContext(1, .running))
    let (main, auxiliary) = (try #require(output.fused ?? output.detail), try #require(output.auxiliary))
    let sum = zip(doubles(main.value), doubles(auxiliary.value)).map(+)
    #expect(relativeError(try network.dense(image, soloContext(1, .running)).logits, sum) < 1e-6)
    let heads = network.headParameters
    #expect(!heads.main.isEmpty && heads.main.map(\.officialShape) == heads.auxiliary.map(\.officialShape))
    #expect(heads.main.allSatisfy { $0.name.hasPrefix("decode_head.") })
    #expect(heads.auxiliary.allSatisfy { $0.name.hasPrefix("auxiliary_head.") })
  }

  /// Its gradients, which come first on the way back, are final when they are said to have landed.
  @Test func itsGradientsLandFirst() throws {
    let network = try Self.network()
    let tape = Tape()
    let output = try network.train(randomTensor([1, 64, 64, 3], seed: 2), box: Self.box, soloContext(1, tape: tape))
    for map in [output.fused, output.auxiliary] {
      let map = try #require(map)
      map.cell?.accumulate(randomTensor(map.value.shape, seed: 3))
    }
    let slots = try #require(network.parameters.gradients)
    var seen: [(part: Range<Int>, values: [Float])] = []
    tape.walkBack(
      landed: {
        let part = $0.clamped(to: 0..<slots.count)
        seen.append((part, Array(slots.values[part])))
      }, passed: {})
    let final = slots.values
    #expect(seen.allSatisfy { $0.values == Array(final[$0.part]) })
    let first = try #require(network.parameters.slices.first { $0.name.hasPrefix("auxiliary_head.") })
    #expect(seen.contains { $0.part.lowerBound == first.range.lowerBound }, "\(seen.map(\.part))")
  }
}
