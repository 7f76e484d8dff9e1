// How kernels cut their matrix products so that threads can share them. Every cut follows from the sizes of one sample's
// product; what a cut costs was measured on the shapes of the networks with oneDNN.

import Tensors

/// Cuts of `a · b` along the rows of `a`.
///
/// A product takes about four million multiply-adds, a few tens of microseconds. Plain products lose little with 32
/// rows; a large matrix `b` is read again for every tile, so that longer inputs take 64 at least.
func productRows(_ rows: Int, columns: Int, depth: Int) -> Tiles {
  let wanted = (4 << 20) / max(1, columns * depth)
  var size = rows < 256 ? 32 : 64
  while size < 256, 2 * size <= wanted { size *= 2 }
  return Tiles(of: rows, size: size)
}

/// Cuts of `a · bᵀ` along both sides of the result: transposing a part of `b` pays from about 128 rows on.
struct TransposedProductTiles {
  let rows: Tiles
  let columns: Tiles

  init(rows: Int, columns: Int) {
    self.rows = Tiles(of: rows, size: rows < 1024 ? 128 : 256)
    let pieces = max(1, min((4 + self.rows.number - 1) / self.rows.number, columns / 128))
    self.columns = Tiles(of: columns, size: ((columns + pieces - 1) / pieces + 15) / 16 * 16)
  }

  /// Number of tiles.
  var number: Int { rows.number * columns.number }

  /// The rows and columns of tile `index`.
  subscript(index: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    (rows[index / columns.number], columns[index % columns.number])
  }
}

/// Cuts of `aᵀ · b`, a sum over rows, along the columns of `a`, which are the rows of the result.
func reducedProductColumns(_ columns: Int) -> Tiles {
  Tiles(of: columns, size: columns < 512 ? 64 : 128)
}
