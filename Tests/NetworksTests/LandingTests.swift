// Gradients that a network calls complete while its tape is walked back are complete.

import Autograd
import Collectives
import Networks
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct LandingTests {
  private static let image = randomTensor([1, 64, 64, 3], seed: 1)
  private static let labels = LabelMap(height: 64, width: 64, values: (0..<4096).map { UInt8($0 / 100 % 5) })
  private static let box = Box(top: 16, bottom: 48, left: 0, right: 32)

  /// Offsets that were said to have landed, and whether their gradients were final then.
  private static func landings(
    _ encoder: String, head: String, _ resolution: Resolution
  ) throws -> (offsets: [Int], wereFinal: [Bool], count: Int) {
    var configuration = NetworkConfiguration(
      encoder: EncoderChoice.named(encoder), classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 8,
      attentionWidth: 8)
    configuration.resolution = resolution
    configuration.head = head
    let network = try SegmentationNetwork(configuration, gradientSlots: 1, seed: 5)
    let tape = Tape()
    let context = soloContext(1, tape: tape)
    let output = try network.train(image, box: box, context)
    if let fused = output.fused {
      _ = crossEntropy(fused, labels: labels, weights: nil, factor: 0.9, name: "fused", context)
    }
    if let detail = output.detail {
      _ = crossEntropy(detail, labels: labels.cropped(to: box), weights: nil, factor: 0.1, name: "detail", context)
    }
    let slots = try #require(network.parameters.gradients)
    var seen: [(offset: Int, values: [Float])] = []
    var passed = 0
    tape.walkBack(landed: { seen.append(($0, Array(slots.values[$0...]))) }, passed: { passed += 1 })
    let final = slots.values
    #expect(passed == tape.recorded)
    return (seen.map(\.offset), seen.map { $0.values == Array(final[$0.offset...]) }, final.count)
  }

  @Test(arguments: ["tiny", "b0", "resnet50", "efficientnet-lite0"]) func everyEncoder(name: String) throws {
    for resolution in Resolution.allCases {
      let result = try Self.landings(name, head: "daformer", resolution)
      #expect(result.wereFinal == Array(repeating: true, count: result.offsets.count))
      #expect(result.offsets.count >= 8, "\(name): landings at \(result.offsets)")
      let descends = zip(result.offsets, result.offsets.dropFirst()).allSatisfy { $0 > $1 }
      #expect(descends && result.offsets.allSatisfy { $0 < result.count })
    }
  }

  @Test(arguments: ["segformer", "deeplabv2", "upernet"]) func everyHead(name: String) throws {
    let result = try Self.landings("tiny", head: name, .hrda)
    #expect(result.wereFinal == Array(repeating: true, count: result.offsets.count) && result.offsets.count >= 8)
  }
}
