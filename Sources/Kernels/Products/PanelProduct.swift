// Products with a right matrix in panels, for matrices that are computed anyway and can be written so: nothing is packed,
// and the bits of an element do not depend on how many rows or columns are multiplied together.

import CKernels
import Support

/// Columns of a panel.
let panelColumns = Int(CK_PANEL)

/// Panels that hold so many columns.
func panelCount(_ columns: Int) -> Int { (columns + panelColumns - 1) / panelColumns }

/// `result = a · b`, or `result += a · b`, with `a` [rows, depth] after any transposition and `b` in panels
/// [depth, `panelColumns`], one after the other, zeros past the last column.
///
/// Runs on the calling thread; every element is one chain of additions in the order of the depth.
func multiply(
  _ a: MatrixView, panels: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>, stride: Int,
  rows: Int, columns: Int, depth: Int, accumulate: Bool = false
) {
  KernelMeter.count(operations: 2 * rows * columns * depth)
  let (rowStride, depthStride) = a.transposed ? (1, a.stride) : (a.stride, 1)
  // Rows that stay in the second cache while the panels pass by; bits do not depend on this cut.
  let blocks = Tiles(of: rows, size: 96)
  for block in 0..<blocks.number {
    for panel in 0..<panelCount(columns) {
      let (row, column) = (blocks[block].lowerBound, panel * panelColumns)
      ck_panel_product(
        a.base + row * rowStride, rowStride, depthStride, panels + column * depth, depth,
        result + row * stride + column, stride, blocks[block].count, min(panelColumns, columns - column),
        accumulate ? 1 : 0)
    }
  }
}
