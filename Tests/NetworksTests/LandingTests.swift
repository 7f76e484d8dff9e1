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

  /// What was said to have landed, whether its gradients were final then, and all gradients in the end.
  private static func landings(
    _ encoder: String, head: String, _ resolution: Resolution, deferring: Bool = false
  ) throws -> (parts: [Range<Int>], wereFinal: [Bool], final: [Float]) {
    var configuration = NetworkConfiguration(
      encoder: EncoderChoice.named(encoder), classCount: 5, detailHeight: 32, detailWidth: 32, headWidth: 8,
      attentionWidth: 8)
    configuration.resolution = resolution
    configuration.head = head
    let network = try SegmentationNetwork(configuration, gradientSlots: 1, seed: 5)
    let deferred = DeferredGradients()
    let tape = Tape(deferring: deferring ? deferred : nil)
    let context = soloContext(1, tape: tape)
    let output = try network.train(image, box: box, context)
    if let fused = output.fused {
      _ = crossEntropy(fused, labels: labels, weights: nil, factor: 0.9, name: "fused", context)
    }
    if let detail = output.detail {
      _ = crossEntropy(detail, labels: labels.cropped(to: box), weights: nil, factor: 0.1, name: "detail", context)
    }
    let slots = try #require(network.parameters.gradients)
    var seen: [(part: Range<Int>, values: [Float])] = []
    var passed = 0
    let landed: (Range<Int>) -> Void = {
      let part = $0.clamped(to: 0..<slots.count)
      seen.append((part, Array(slots.values[part])))
    }
    tape.walkBack(landed: landed, passed: { passed += 1 })
    #expect(passed == tape.recorded)
    deferred.run(landed: landed, passed: {})
    let final = slots.values
    return (seen.map(\.part), seen.map { $0.values == Array(final[$0.part]) }, final)
  }

  @Test(arguments: ["tiny", "b0", "resnet-tiny", "resnet50", "efficientnet-lite0"])
  func everyEncoder(name: String) throws {
    for resolution in Resolution.allCases {
      let result = try Self.landings(name, head: "daformer", resolution)
      #expect(result.wereFinal == Array(repeating: true, count: result.parts.count))
      #expect(result.parts.count >= 8, "\(name): landings at \(result.parts)")
      let descends = zip(result.parts, result.parts.dropFirst()).allSatisfy { $0.lowerBound == $1.upperBound }
      #expect(descends && result.parts[0].upperBound == result.final.count && result.parts.last?.lowerBound == 0)
    }
  }

  @Test(arguments: Resolution.allCases) func weightsOfThePyramidMayComeLast(_ resolution: Resolution) throws {
    let plain = try Self.landings("tiny", head: "daformer", resolution)
    let result = try Self.landings("tiny", head: "daformer", resolution, deferring: true)
    #expect(result.final == plain.final)
    #expect(result.wereFinal == Array(repeating: true, count: result.parts.count))
    let ascending = result.parts.sorted { $0.lowerBound < $1.lowerBound }
    #expect(ascending.first?.lowerBound == 0 && ascending.last?.upperBound == result.final.count)
    #expect(zip(ascending, ascending.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    let begin = try #require(result.parts.firstIndex { $0.lowerBound == 0 })
    #expect(result.parts.count - begin - 1 == 3, "three branches come after the encoder: \(result.parts)")
  }

  @Test(arguments: ["segformer", "deeplabv2", "upernet"]) func everyHead(name: String) throws {
    let result = try Self.landings("tiny", head: name, .hrda)
    #expect(result.wereFinal == Array(repeating: true, count: result.parts.count) && result.parts.count >= 8)
  }
}
