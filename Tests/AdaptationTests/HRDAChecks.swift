// Unit checks of HRDA (Hoyer et al., ECCV 2022) that concern a pass: its detail crop and its composite loss, by hand.

import Adaptation
import Autograd
import Foundation
import Networks
import Tensors
import TestSupport
import Testing

@Suite("HRDA checks, passes") struct HRDAChecks {
  /// The detail crop of 512 pixels in a step of the source pass.
  private static func box(step: Int, height: Int, width: Int) -> Box {
    let configuration = NetworkConfiguration(encoder: "tiny", classCount: 19, detailHeight: 512, detailWidth: 512)
    return SeededDraws(seed: 1, configuration: configuration, augmentation: AugmentationOptions())
      .draws(DrawRequest(pass: "source", step: step, samples: 0..<1, height: height, width: width)).box
  }

  @Test("3: offsets of a 512 crop in 1024 pixels are the 64 multiples of 8 from 0 to 504, never 512")
  func offsetsAreTheMultiplesOfEight() {
    let boxes = (0..<3000).map { HRDAChecks.box(step: $0, height: 1024, width: 1024) }
    #expect(Set(boxes.map(\.top)) == Set(stride(from: 0, through: 504, by: 8)))
    #expect(Set(boxes.map(\.left)) == Set(stride(from: 0, through: 504, by: 8)))
    #expect(boxes.allSatisfy { $0.height == 512 && $0.width == 512 })
    // Rows and columns are drawn apart: few of 3000 boxes lie on the diagonal.
    #expect(boxes.count { $0.top == $0.left } < 100)
  }

  @Test("3: in 512 pixels the offset is 0, and no draw is consumed")
  func wholeSidesConsumeNoDraw() {
    let steps = 0..<100
    let whole = steps.map { HRDAChecks.box(step: $0, height: 512, width: 512) }
    #expect(whole.allSatisfy { $0 == Box(top: 0, bottom: 512, left: 0, right: 512) })
    // Columns take the first draw where rows need none: the one that rows take where columns need none.
    let wide = steps.map { HRDAChecks.box(step: $0, height: 512, width: 1024) }
    let tall = steps.map { HRDAChecks.box(step: $0, height: 1024, width: 512) }
    #expect(wide.allSatisfy { $0.top == 0 } && tall.allSatisfy { $0.left == 0 })
    #expect(wide.map(\.left) == tall.map(\.top) && Set(wide.map(\.left)).count > 30)
  }

  /// Equal logits everywhere: pixels of class 1, which fill the box, cost 3, those of class 0 outside cost 0.051 and
  /// are weighted so that the mean over all pixels, a quarter of them in the box, is 1.
  @Test("5: cross-entropies of 1 (fused) and 3 (detail) with detail weight 0.1 give 1.2")
  func fusedAndDetailTermsAreMixed() throws {
    let network = try smallNetwork()
    let margin = log(exp(3.0) - 1)
    let cheap = log(1 + exp(-margin))
    try #require(
      set(network, "decode_head.head.conv_seg.weight", [Float](repeating: 0, count: 80))
        && set(network, "decode_head.head.conv_seg.bias", [0, Float(-margin), -100, -100, -100])
        && set(network, "decode_head.scale_attention.conv_seg.weight", [Float](repeating: 0, count: 80))
        && set(network, "decode_head.scale_attention.conv_seg.bias", [Float](repeating: -40, count: 5)))
    let inside = (0..<4096).map { pixel in
      (16..<48).contains(pixel / 64) && (8..<40).contains(pixel % 64)
    }
    let labels = LabelMap(height: 64, width: 64, values: inside.map { $0 ? 1 : 0 })
    let weights = Tensor(inside.map { $0 ? 1 : Float(1 / (3 * cheap)) }, [1, 64, 64])
    let context = soloContext(1)
    let box = Box(top: 16, bottom: 48, left: 8, right: 40)
    let output = try network.train(randomTensor([1, 64, 64, 3], seed: 3), box: box, context)
    func terms(factor: Float) -> [LossTerm] {
      segmentationLosses(
        output, pass: "source", labels: labels, weights: weights, boxes: [box], detailWeight: 0.1, factor: factor,
        context)
    }
    let (single, double) = (terms(factor: 1), terms(factor: 2))
    #expect(single.map(\.name) == ["source.fused", "source.detail"])
    #expect(abs(single[0].perSample[0] - 0.9) < 1e-4)
    #expect(abs(single[1].perSample[0] - 0.3) < 1e-5)
    #expect(abs(single.reduce(0) { $0 + $1.perSample[0] } - 1.2) < 1e-4)
    #expect(zip(single, double).allSatisfy { abs($1.perSample[0] - 2 * $0.perSample[0]) < 1e-6 }, "both are scaled")
  }
}
