// HRDA's arithmetic by hand: the fusion of two scales, boxes on the grids, coverage by windows.

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

  /// Unit check: context 2, detail 4, attention 0.25 inside the box give 2.5 inside and 2 outside.
  @Test func fusionOfConstants() {
    let context = soloContext(1)
    func constant(_ value: Float, _ side: Int) -> Variable {
      Variable(constant: Tensor(repeating: value, [1, side, side, 1]))
    }
    // Image of 256, box of 128 at (64, 32): stride-4 grid of 64, context grid of 32.
    let box = Box(top: 64, bottom: 192, left: 32, right: 160)
    let gate = maskOutside(constant(0.25, 32), box.divided(by: 8), context)
    let canvas = padded(constant(4, 32), into: box.divided(by: 4), height: 64, width: 64, context)
    let damped = gatedContext(gate: gate, logits: constant(2, 32), context)
    let fused = fuse(
      gate: bilinear(gate, height: 64, width: 64, context), detail: canvas,
      damped: bilinear(damped, height: 64, width: 64, context), context
    ).value
    let inner = Box(top: 17, bottom: 47, left: 9, right: 39)
    #expect(cropped(fused, to: inner).values.allSatisfy { $0 == 2.5 })
    let outer = [
      Box(top: 0, bottom: 15, left: 0, right: 64), Box(top: 49, bottom: 64, left: 0, right: 64),
      Box(top: 0, bottom: 64, left: 0, right: 7), Box(top: 0, bottom: 64, left: 41, right: 64),
    ]
    #expect(outer.allSatisfy { cropped(fused, to: $0).values.allSatisfy { $0 == 2 } })
  }

  /// Unit check: box (256, 768, 128, 640) is (64, 192, 32, 160) at stride 4 and (32, 96, 16, 80) on the context grid.
  @Test func boxesOnTheGrids() throws {
    let box = Box(top: 256, bottom: 768, left: 128, right: 640)
    let grid = try OutputGrid(
      NetworkConfiguration(encoder: "b5", classCount: 19, detailHeight: 512, detailWidth: 512))
    #expect(grid.onDetail(box) == Box(top: 64, bottom: 192, left: 32, right: 160))
    #expect(grid.onContext(box) == Box(top: 32, bottom: 96, left: 16, right: 80))
    #expect(grid.stride == 4 && grid.offsetMultiple == 8 && grid.coarsestStride == 32)
  }

  /// Unit check: windows of 512 every 256 over 1024 cover (0, 0) once, (300, 0) twice, (300, 300) four times.
  @Test func windowsCoverTheImage() {
    let boxes = slidingWindows(height: 1024, width: 1024, crop: (512, 512), stride: (256, 256))
    #expect(boxes.map(\.top) == [0, 0, 0, 256, 256, 256, 512, 512, 512])
    #expect(boxes.map(\.left) == [0, 256, 512, 0, 256, 512, 0, 256, 512])
    func coverage(_ row: Int, _ column: Int) -> Int {
      boxes.count { ($0.top..<$0.bottom).contains(row) && ($0.left..<$0.right).contains(column) }
    }
    #expect([coverage(0, 0), coverage(300, 0), coverage(300, 300), coverage(1023, 1023)] == [1, 2, 4, 1])
  }

  @Test(arguments: [(64, 96), (72, 88), (100, 76)]) func trainingOutputsHaveTheirSizes(height: Int, width: Int) throws {
    let network = try FusionTests.network(detail: (32, 40))
    let box = Box(top: 8, bottom: 40, left: 16, right: 56)
    let output = try network.train(randomTensor([1, height, width, 3], seed: 1), box: box, soloContext(1))
    let fused = try #require(output.fused).value
    #expect(fused.shape == [1, height / 4, width / 4, 3] && fused.values.allSatisfy { $0.isFinite })
    #expect(try #require(output.detail).value.shape == [1, 8, 10, 3])
    let attention = try #require(output.attention).value
    #expect(attention.shape == output.context?.value.shape)
    #expect(attention.values.allSatisfy { $0 > 0 && $0 < 1 })
    #expect(output.contextFeatures.count == 4 && output.detailFeatures.count == 4)
  }

  @Test func oneResolutionLeavesTheOtherOut() throws {
    let image = randomTensor([1, 64, 64, 3], seed: 2)
    let box = Box(top: 0, bottom: 32, left: 8, right: 40)
    let context = try FusionTests.network(.contextOnly).train(image, box: box, soloContext(1))
    #expect(context.fused?.value.shape == [1, 8, 8, 3] && context.fused?.value.values == context.context?.value.values)
    #expect(context.detail == nil && context.attention == nil && context.detailFeatures.isEmpty)
    let detail = try FusionTests.network(.detailOnly).train(image, box: box, soloContext(1))
    #expect(detail.detail?.value.shape == [1, 8, 8, 3] && detail.fused == nil && detail.contextFeatures.isEmpty)
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
