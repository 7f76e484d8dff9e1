// Unit checks of HRDA (Hoyer et al., ECCV 2022) that concern windows and base styles: numbers by hand.

import Kernels
import Tensors
import Testing

extension KernelTests {
  @Suite("HRDA checks, kernels") struct HRDAChecks {
    @Test("4: nine windows of 512 every 256 over 1024, row-major, cover pixels once, twice and four times")
    func windowsCoverTheImage() {
      let boxes = slidingWindows(height: 1024, width: 1024, crop: (512, 512), stride: (256, 256))
      #expect(boxes.map(\.top) == [0, 0, 0, 256, 256, 256, 512, 512, 512])
      #expect(boxes.map(\.left) == [0, 256, 512, 0, 256, 512, 0, 256, 512])
      func coverage(_ row: Int, _ column: Int) -> Int {
        boxes.count { ($0.top..<$0.bottom).contains(row) && ($0.left..<$0.right).contains(column) }
      }
      #expect([coverage(0, 0), coverage(300, 0), coverage(300, 300), coverage(1023, 1023)] == [1, 2, 4, 1])
    }

    @Test("7: of 0, 1 and 10, starting with 0, the two farthest points are 0 and 10")
    func farthestOfThree() {
      #expect(farthestPoints(Tensor([0, 1, 10], [3, 1]), count: 2, start: 0) == [0, 2])
    }
  }
}
