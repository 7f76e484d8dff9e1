// Max pooling and its gradient. N samples, H×W input and h×w output pixels, C channels.

import CKernels
import Support
import Tensors

/// Largest value of each channel in every window; padding never counts.
///
/// Shapes: `x` [N, H, W, C]; `output` and `taps` [N, h, w, C]. `taps` numbers, row by row, the first tap of the window
/// that has the value; the gradient goes there, as in PyTorch. Not-a-number counts as largest, and of several the last
/// one does.
/// - Precondition: the padding is smaller than the window, so that no window is empty.
public func maxPooling(_ x: Tensor, _ window: PaddedWindow) -> (output: Tensor, taps: Tensor) {
  let mark = KernelMeter.begin(.pooling)
  defer { KernelMeter.end(mark) }
  precondition(
    max(window.top, window.left, window.bottom, window.right) < window.kernel, "an empty window of \(window)")
  var sizes = window.sizes(x.shape)
  let output = Tensor(uninitialized: sizes.outputShape(x.samples))
  let taps = Tensor(uninitialized: output.shape)
  let tiles = sizes.outputTiles(x.samples)
  withUnsafePointer(to: &sizes) { sizes in
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      let place = sample * output.perSample
      ck_window_maximum(
        x.pointer + sample * x.perSample, output.pointer + place, taps.pointer + place, sizes, rows.lowerBound,
        rows.upperBound)
    }
  }
  return (output, taps)
}

/// Gradient of `maxPooling`: each input pixel gathers from the windows whose first maximum it is.
///
/// Shapes: `gradient` and `taps` [N, h, w, C]; result [N, height, width, C].
/// - Precondition: the window takes height×width to h×w.
public func maxPoolingGradient(
  _ gradient: Tensor, taps: Tensor, height: Int, width: Int, _ window: PaddedWindow
) -> Tensor {
  let mark = KernelMeter.begin(.pooling)
  defer { KernelMeter.end(mark) }
  let result = Tensor(uninitialized: [gradient.samples, height, width, gradient.channels])
  var sizes = window.sizes(result.shape)
  precondition(
    gradient.shape == taps.shape && gradient.shape == sizes.outputShape(gradient.samples),
    "gradient \(gradient.shape) and taps \(taps.shape) from \(result.shape)")
  let tiles = sizes.inputTiles(gradient.samples)
  withUnsafePointer(to: &sizes) { sizes in
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      let place = sample * gradient.perSample
      ck_window_maximum_gradient(
        gradient.pointer + place, taps.pointer + place, result.pointer + sample * result.perSample, sizes,
        rows.lowerBound, rows.upperBound)
    }
  }
  return result
}
