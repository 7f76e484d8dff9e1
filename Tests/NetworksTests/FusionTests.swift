// Training and dense passes of HRDA and of its single resolutions: sizes, and what depends on what.

import Autograd
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct FusionTests {
  private static func network(
    _ resolution: Resolution = .hrda, detail: (Int, Int) = (32, 32), overlap: Bool = true
  ) throws -> SegmentationNetwork {
    var configuration = NetworkConfiguration(
      encoder: "tiny", classCount: 3, detailHeight: detail.0, detailWidth: detail.1, headWidth: 16, attentionWidth: 16)
    configuration.resolution = resolution
    configuration.detailOverlap = overlap
    return try SegmentationNetwork(configuration, gradientSlots: 1, seed: 3)
  }

  @Test(arguments: [(64, 96), (72, 88), (100, 76)]) func trainingOutputsHaveTheirSizes(height: Int, width: Int) throws {
    let network = try FusionTests.network(detail: (32, 40))
    let box = Box(top: 8, bottom: 40, left: 16, right: 56)
    let sites = Set(Site.Unit.allCases.flatMap(network.encoderSites) + [.fused])
    let output = try network.train(
      randomTensor([1, height, width, 3], seed: 1), box: box, keeping: sites, soloContext(1))
    let fused = try #require(output.fused).value
    #expect(fused.shape == [1, height / 4, width / 4, 3] && fused.values.allSatisfy { $0.isFinite })
    #expect(try #require(output.detail).value.shape == [1, 8, 10, 3])
    let attention = try #require(output.attention).value
    #expect(attention.shape == output.context?.value.shape)
    #expect(attention.values.allSatisfy { $0 > 0 && $0 < 1 })
    #expect(Set(output.maps.keys) == sites)
  }

  @Test func oneResolutionLeavesTheOtherOut() throws {
    let image = randomTensor([1, 64, 64, 3], seed: 2)
    let box = Box(top: 0, bottom: 32, left: 8, right: 40)
    let context = try FusionTests.network(.contextOnly).train(image, box: box, soloContext(1))
    #expect(context.fused?.value.shape == [1, 8, 8, 3] && context.fused?.value.values == context.context?.value.values)
    #expect(context.detail == nil && context.attention == nil)
    let detail = try FusionTests.network(.detailOnly).train(image, box: box, soloContext(1))
    #expect(detail.detail?.value.shape == [1, 8, 8, 3] && detail.fused == nil)
  }

  /// With a constant classifier every window, gate and mean must give the constant back.
  @Test(arguments: [Resolution.hrda, .contextOnly, .detailOnly], [true, false])
  func constantLogitsStayConstant(resolution: Resolution, overlap: Bool) throws {
    let network = try FusionTests.network(resolution, overlap: overlap)
    let prefix = resolution == .hrda ? "decode_head.head" : "decode_head"
    let parameters = network.parameters
    try #require(
      parameters.load([Float](repeating: 0, count: 48), named: "\(prefix).conv_seg.weight", into: parameters.values)
        && parameters.load([1, -2, 0.5], named: "\(prefix).conv_seg.bias", into: parameters.values))
    func expectConstant(_ logits: Tensor, _ height: Int, _ width: Int) {
      #expect(logits.shape == [2, height, width, 3])
      let expected = (0..<logits.count).map { [1, -2, 0.5][$0 % 3] }
      #expect(relativeError(logits, expected) < 1e-6)
    }
    for (height, width) in [(64, 64), (72, 88), (64, 100)] {
      let image = randomTensor([2, height, width, 3], seed: 4)
      expectConstant(try network.logits(image, soloContext(2)), height, width)
    }
    let sliding = try network.slidingLogits(
      randomTensor([2, 100, 140, 3], seed: 5), crop: (64, 64), stride: (48, 40), soloContext(2, .running))
    expectConstant(sliding, 100, 140)
  }

  @Test func denseOutputOfOneWindowIsThatOfTraining() throws {
    let network = try FusionTests.network(detail: (64, 64))
    let image = randomTensor([2, 64, 64, 3], seed: 6)
    let whole = Box(top: 0, bottom: 64, left: 0, right: 64)
    let trained = try network.train(image, box: whole, soloContext(2, .running))
    let dense = try network.dense(image, soloContext(2, .running))
    #expect(dense.logits.values == trained.fused?.value.values)
    #expect(dense.detail?.values == trained.detail?.value.values)
  }

  @Test func slidingOverOneCropIsTheDensePass() throws {
    let network = try FusionTests.network()
    let image = randomTensor([1, 64, 64, 3], seed: 7)
    let sliding = try network.slidingLogits(image, crop: (64, 64), stride: (32, 32), soloContext(1, .running))
    #expect(sliding.values == (try network.logits(image, soloContext(1, .running))).values)
  }
}
