// How row-wise and elementwise kernels cut their work: every tile lies inside one sample, and its size depends on the
// sample's shape only, so that no result depends on threads or on how many samples share a call.

import CKernels
import Tensors

/// The rows of every sample of a tensor, cut into tiles.
struct SampleTiles {
  let samples: Int
  /// Rows of one sample.
  let rows: Int
  /// Elements of one row.
  let columns: Int
  /// Rows of a tile; the last one of a sample may be shorter.
  let size: Int

  /// Rows along the last axis; a tile holds about `elements` elements.
  init(rowsOf x: Tensor, elements: Int = 8192) {
    columns = x.channels
    samples = x.samples
    rows = columns == 0 ? 0 : x.perSample / columns
    size = max(1, elements / max(columns, 1))
  }

  /// Single elements.
  init(elementsOf x: Tensor) {
    columns = 1
    samples = x.samples
    rows = x.perSample
    size = 16384
  }

  /// Tiles of one sample.
  var perSample: Int { (rows + size - 1) / size }

  /// Runs `body(sample, tile, first, rows)` for every tile; `first` is the tile's first row counted over all samples.
  func run(_ body: (_ sample: Int, _ tile: Int, _ first: Int, _ rows: Int) -> Void) {
    let tiles = perSample
    guard tiles > 0 else { return }
    WorkerPool.shared.run(tiles: samples * tiles) { index in
      let (sample, tile) = index.quotientAndRemainder(dividingBy: tiles)
      body(sample, tile, sample * rows + tile * size, min(size, rows - tile * size))
    }
  }
}

/// Runs `body(first, count)` over stretches of elements that together cover the tensor.
func forEachStretch(of x: Tensor, _ body: (_ first: Int, _ count: Int) -> Void) {
  SampleTiles(elementsOf: x).run { _, _, first, count in body(first, count) }
}

extension SampleTiles {
  /// Lends scratch for `width` partial sums of every tile, `[samples, tiles, width]`.
  func withPartialSums(width: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    BufferPool.shared.withScratch(samples * perSample * width, body)
  }

  /// Adds, for every sample, the sum over tiles of its partial sums once to its slot, in tile order and in Double.
  ///
  /// The slot's numbers begin at `offset` of each tile's row.
  func addPartialSums(
    _ partial: UnsafePointer<Float>, width: Int, offset: Int = 0, to slots: GradientSlots
  ) {
    precondition(samples <= slots.samples, "\(samples) samples for \(slots.samples) slots")
    precondition(offset + slots.count <= width, "slots of \(slots.count) from \(offset) of \(width) partial sums")
    for sample in 0..<samples {
      ck_add_partials(
        partial + sample * perSample * width + offset, perSample, width, slots.pointer(sample), slots.count)
    }
  }
}

/// Double scratch from the pool, `[rows, columns]`.
struct DoubleScratch {
  private let storage: Tensor
  let columns: Int

  init(rows: Int, columns: Int) {
    storage = Tensor(uninitialized: [rows, 2 * columns])
    self.columns = columns
  }

  /// First number of a row; valid while this value lives.
  func row(_ index: Int) -> UnsafeMutablePointer<Double> {
    UnsafeMutableRawPointer(storage.pointer + index * 2 * columns).assumingMemoryBound(to: Double.self)
  }

  /// For each sample the sum of its rows in tile order, `[samples * columns]`.
  func sums(samples: Int, tiles: Int) -> [Double] {
    var sums = [Double](repeating: 0, count: samples * columns)
    for sample in 0..<samples {
      for tile in 0..<tiles {
        let partial = row(sample * tiles + tile)
        for column in 0..<columns { sums[sample * columns + column] += partial[column] }
      }
    }
    withExtendedLifetime(storage) {}
    return sums
  }
}
