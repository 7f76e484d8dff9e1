// Average pooling to a given number of cells, whatever the size of the map.
// N samples, H×W pixels, S×S cells, C channels.

import CKernels
import Support
import Tensors

/// The pixels of every cell of one axis: from floor(i · extent / cells) to before ceil((i + 1) · extent / cells).
private func cellRanges(_ extent: Int, _ cells: Int) -> [Range<Int>] {
  (0..<cells).map { $0 * extent / cells..<(($0 + 1) * extent + cells - 1) / cells }
}

/// Mean of every cell of a grid of `cells` by `cells` cells over the map; cells share pixels where sizes do not divide.
///
/// Shapes: `x` [N, H, W, C]; result [N, cells, cells, C]. A cell is added row by row in Float32.
/// - Precondition: `x` has pixels and `cells` is positive.
/// Source: PyTorch `AdaptiveAvgPool2d`.
public func adaptiveAverage(_ x: Tensor, cells: Int) -> Tensor {
  let mark = KernelMeter.begin(.pooling)
  defer { KernelMeter.end(mark) }
  let (height, width, channels) = (x.shape[1], x.shape[2], x.channels)
  precondition(height > 0 && width > 0 && cells > 0, "\(x.shape) in \(cells)x\(cells) cells")
  let (rows, columns) = (cellRanges(height, cells), cellRanges(width, cells))
  let result = Tensor(zeros: [x.samples, cells, cells, channels])
  WorkerPool.shared.run(tiles: x.samples * cells * cells) { index in
    let (sample, row, column) = (index / (cells * cells), index / cells % cells, index % cells)
    let mean = result.pointer + index * channels
    for y in rows[row] {
      for x0 in columns[column] {
        ck_add_in_place(mean, x.pointer + ((sample * height + y) * width + x0) * channels, channels)
      }
    }
    let count = Float(rows[row].count * columns[column].count)
    for channel in 0..<channels { mean[channel] /= count }
  }
  return result
}

/// Adjoint of `adaptiveAverage`: a pixel gathers from the cells it went into, in row-major order.
///
/// Shapes: `gradient` [N, cells, cells, C]; result [N, height, width, C].
/// - Precondition: the gradient is square and sizes are positive.
public func adaptiveAverageGradient(_ gradient: Tensor, height: Int, width: Int) -> Tensor {
  let mark = KernelMeter.begin(.pooling)
  defer { KernelMeter.end(mark) }
  let (cells, channels) = (gradient.shape[1], gradient.channels)
  precondition(
    gradient.shape[2] == cells && cells > 0 && height > 0 && width > 0, "\(gradient.shape) to \(height)x\(width)")
  let (rows, columns) = (cellRanges(height, cells), cellRanges(width, cells))
  let result = Tensor(zeros: [gradient.samples, height, width, channels])
  forEachMapRow(samples: gradient.samples, height: height) { sample, y in
    for row in 0..<cells where rows[row].contains(y) {
      for column in 0..<cells {
        let share = 1 / Float(rows[row].count * columns[column].count)
        let cell = gradient.pointer + ((sample * cells + row) * cells + column) * channels
        for x in columns[column] {
          let pixel = result.pointer + ((sample * height + y) * width + x) * channels
          for channel in 0..<channels { pixel[channel] += share * cell[channel] }
        }
      }
    }
  }
  return result
}
