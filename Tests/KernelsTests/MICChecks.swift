// Unit checks of MIC (Hoyer et al., CVPR 2023) that concern the mask: numbers by hand.

import Kernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
  @Suite("MIC checks, kernels") struct MICChecks {
    @Test("1: mask of a 2x2 grid at ratio 0.7")
    func blocks() {
      let uniforms = Tensor([0.1, 0.8, 0.71, 0.69], [1, 2, 2])
      let mask = blockMask(uniforms, height: 4, width: 4, ratio: 0.7)
      #expect(mask.shape == [1, 4, 4])
      #expect(mask.values == [0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0])
      let image = randomTensor([1, 4, 4, 3], seed: 12)
      onEveryLevel {
        #expect(masked(image, mask).values == image.values.enumerated().map { $1 * mask.values[$0 / 3] })
      }
    }

    @Test("2: a number equal to the ratio hides its block; ratio 0 keeps all but 0, ratio 1 hides all")
    func strict() {
      func kept(_ uniform: Float, _ ratio: Float) -> Bool {
        blockMask(Tensor([uniform], [1, 1, 1]), height: 1, width: 1, ratio: ratio).values == [1]
      }
      #expect(!kept(0.7, 0.7) && kept(Float(0.7).nextUp, 0.7))
      #expect(!kept(0, 0) && kept(0x1p-24, 0))
      #expect(!kept(1 - 0x1p-24, 1))
    }

    @Test("3: blocks along a side are rounded half to even")
    func grid() {
      #expect([96, 160, 128, 224, 1024].map { blockCount(side: $0, block: 64) } == [2, 2, 2, 4, 16])
    }
  }
}
