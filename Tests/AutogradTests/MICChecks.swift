// Unit check of MIC (Hoyer et al., CVPR 2023) that concerns its loss: numbers by hand.

import Autograd
import Tensors
import TestSupport
import Testing

@Suite("MIC checks, losses") struct MICChecks {
  @Test("4: two classes, equal logits, four pixels of weight 0.5, then one of them of weight 0")
  func weightedPixels() {
    let labels = LabelMap(height: 2, width: 2, values: [0, 1, 1, 0])
    func loss(_ weights: [Float]) -> Double {
      crossEntropy(
        Variable(constant: Tensor(zeros: [1, 2, 2, 2])), labels: labels, weights: Tensor(weights, [1, 2, 2]), factor: 1,
        name: "masked", soloContext(1)
      ).perSample[0]
    }
    let (all, three) = (loss([0.5, 0.5, 0.5, 0.5]), loss([0.5, 0, 0.5, 0.5]))
    #expect(abs(all - 0.346574) < 1e-6)
    #expect(abs(three - 0.259930) < 1e-6)
  }
}
