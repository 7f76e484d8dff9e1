// Unit check of HRDA (Hoyer et al., ECCV 2022) that concerns the network's grids: numbers by hand.

import Networks
import Tensors
import Testing

@Suite("HRDA checks, grids") struct HRDAChecks {
  @Test("2: box (256, 768, 128, 640) is (64, 192, 32, 160) at stride 4, (32, 96, 16, 80) on the context grid")
  func boxesOnTheGrids() throws {
    let box = Box(top: 256, bottom: 768, left: 128, right: 640)
    let grid = try OutputGrid(
      NetworkConfiguration(encoder: "b5", classCount: 19, detailHeight: 512, detailWidth: 512))
    #expect(grid.onDetail(box) == Box(top: 64, bottom: 192, left: 32, right: 160))
    #expect(grid.onContext(box) == Box(top: 32, bottom: 96, left: 16, right: 80))
    #expect(grid.stride == 4 && grid.offsetMultiple == 8 && grid.coarsestStride == 32)
  }
}
