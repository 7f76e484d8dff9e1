// Unit check of DAFormer (Hoyer et al., CVPR 2022) that concerns labels of feature cells: numbers by hand.

import Kernels
import Tensors
import Testing

extension KernelTests {
  @Suite("DAFormer checks, kernels") struct DAFormerChecks {
    @Test(
      "7: blocks of two at a share of 0.75: it is reached from equality on, and ignored pixels win like a class",
      arguments: [
        ([6, 6, 6, 0], 6), ([6, 6, 0, 0], 255), ([255, 255, 255, 6], 255), ([255, 6, 6, 6], 6), ([0, 0, 0, 0], 0),
      ] as [([UInt8], UInt8)])
    func cellsNeedAMajority(block: [UInt8], expected: UInt8) {
      let cells = dominantLabels(
        LabelMap(height: 2, width: 2, values: block), factor: 2, minimumShare: 0.75, classCount: 19)
      #expect(cells.values == [expected])
    }
  }
}
