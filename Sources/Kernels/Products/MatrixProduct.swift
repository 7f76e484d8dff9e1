// The one door to matrix products of oneDNN; PanelProduct.swift has our own, for Winograd's positions. Each product runs
// on the calling thread; callers cut rows into tiles that depend on one sample's sizes only, because the library takes
// other paths for other row counts.

import CDNNL
import Support

/// A matrix inside a larger row-major one.
struct MatrixView {
  /// First element.
  let base: UnsafePointer<Float>
  /// Elements from one stored row to the next.
  let stride: Int
  /// Whether the product uses the transpose of what is stored.
  let transposed: Bool

  init(_ base: UnsafePointer<Float>, stride: Int, transposed: Bool = false) {
    self.base = base
    self.stride = stride
    self.transposed = transposed
  }
}

/// `result = a · b`, or `result += a · b`, with `a` [rows, depth] and `b` [depth, columns] after any transposition.
///
/// Runs on the calling thread; the order of additions depends on the three sizes and the CPU level only.
func multiply(
  _ a: MatrixView, _ b: MatrixView, into result: UnsafeMutablePointer<Float>, stride: Int,
  rows: Int, columns: Int, depth: Int, accumulate: Bool = false
) {
  guard rows > 0, columns > 0 else { return }
  KernelMeter.count(operations: 2 * rows * columns * depth)
  let keep: Float = accumulate ? 1 : 0
  // OpenMP's thread count is a setting of each thread, so every caller sets its own.
  omp_set_num_threads(1)
  let plain = CChar(UInt8(ascii: "N"))
  let turned = CChar(UInt8(ascii: "T"))
  let status = dnnl_sgemm(
    a.transposed ? turned : plain, b.transposed ? turned : plain, Int64(rows), Int64(columns), Int64(depth), 1,
    a.base, Int64(a.stride), b.base, Int64(b.stride), keep, result, Int64(stride))
  // For its workspace, and once for each kind of product for the code it makes.
  if status == dnnl_out_of_memory { endWithoutMemory(for: "a product \(rows)x\(columns)x\(depth)") }
  precondition(status == dnnl_success, "dnnl_sgemm \(rows)x\(columns)x\(depth) failed with status \(status)")
}

/// `0 ..< count` cut into pieces of `size`, the last one shorter.
struct Tiles {
  let count: Int
  let size: Int

  init(of count: Int, size: Int) {
    self.count = count
    self.size = size
  }

  /// Number of pieces.
  var number: Int { (count + size - 1) / size }

  /// Piece `index`.
  subscript(index: Int) -> Range<Int> { index * size..<min((index + 1) * size, count) }
}
