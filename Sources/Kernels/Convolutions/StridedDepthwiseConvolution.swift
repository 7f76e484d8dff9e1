// Depthwise convolution with a stride and with padding that may differ from side to side, and its two gradients.
// N samples, H×W input and h×w output pixels, C channels, k×k taps.

import CKernels
import Support
import Tensors

/// One k×k filter per channel over a zero-padded map.
///
///     y[n, i, j, c] = Σ weight[u, v, 0, c] · x[n, stride i - top + u, stride j - left + v, c]
///
/// Shapes: `x` [N, H, W, C], `weight` [k, k, 1, C]; result [N, h, w, C]. A symmetric 3×3 filter of stride 1 goes to the
/// function for those.
/// - Precondition: the window has the weight's extent and fits into the padded map.
/// - Complexity: O(N·h·w·C·k²).
public func depthwiseConvolution(_ x: Tensor, weight: Tensor, _ window: PaddedWindow) -> Tensor {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  check(weight, window, channels: x.channels)
  if window.isPlain { return depthwiseConvolution(x, weight: weight, bias: nil, dilation: 1) }
  var sizes = window.sizes(x.shape)
  let result = Tensor(uninitialized: sizes.outputShape(x.samples))
  KernelMeter.count(operations: 2 * result.count * window.kernel * window.kernel)
  let tiles = sizes.outputTiles(x.samples)
  withUnsafePointer(to: &sizes) { sizes in
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      ck_window_convolve(
        x.pointer + sample * x.perSample, weight.pointer, result.pointer + sample * result.perSample, sizes,
        rows.lowerBound, rows.upperBound)
    }
  }
  return result
}

/// Gradient of strided `depthwiseConvolution` with respect to its input.
///
/// Shapes: `gradient` [N, h, w, C], `weight` [k, k, 1, C]; result [N, height, width, C]. Each input pixel gathers from
/// the outputs that read it, in the order of the taps.
/// - Precondition: the window takes height×width to h×w.
public func depthwiseConvolutionInputGradient(
  _ gradient: Tensor, weight: Tensor, height: Int, width: Int, _ window: PaddedWindow
) -> Tensor {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  check(weight, window, channels: gradient.channels)
  if window.isPlain { return depthwiseConvolutionInputGradient(gradient, weight: weight, dilation: 1) }
  let result = Tensor(uninitialized: [gradient.samples, height, width, gradient.channels])
  var sizes = window.sizes(result.shape)
  precondition(gradient.shape == sizes.outputShape(gradient.samples), "\(gradient.shape) from \(result.shape)")
  KernelMeter.count(operations: 2 * gradient.count * window.kernel * window.kernel)
  let tiles = sizes.inputTiles(gradient.samples)
  withUnsafePointer(to: &sizes) { sizes in
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      ck_window_input_gradient(
        gradient.pointer + sample * gradient.perSample, weight.pointer, result.pointer + sample * result.perSample,
        sizes, rows.lowerBound, rows.upperBound)
    }
  }
  return result
}

/// Adds the gradient of strided `depthwiseConvolution` with respect to its weight once to each sample's slot.
///
/// Rows are summed in tiles fixed by the map's shape, tiles in order.
/// Shapes: `x` [N, H, W, C], `gradient` [N, h, w, C]; slots hold k·k·C values.
/// - Precondition: shapes as above; at least as many slots as samples.
public func depthwiseConvolutionWeightGradient(
  _ x: Tensor, gradient: Tensor, _ window: PaddedWindow, into slots: GradientSlots
) {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  precondition(
    slots.count == window.kernel * window.kernel * x.channels && slots.samples >= x.samples, "slots for \(x.shape)")
  if window.isPlain {
    return depthwiseConvolutionWeightGradient(
      x, gradient: gradient, kernel: window.kernel, dilation: 1, weightSlots: slots, biasSlots: nil)
  }
  var sizes = window.sizes(x.shape)
  precondition(gradient.shape == sizes.outputShape(x.samples), "gradient \(gradient.shape) from \(x.shape)")
  let tiles = RowTiles(
    samples: x.samples, rows: sizes.output_height, elementsPerRow: sizes.output_width, elements: 256)
  KernelMeter.count(operations: 2 * gradient.count * window.kernel * window.kernel)
  let scratch = Tensor(uninitialized: [tiles.count, slots.count])
  withUnsafePointer(to: &sizes) { sizes in
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      ck_window_weight_gradient(
        x.pointer + sample * x.perSample, gradient.pointer + sample * gradient.perSample,
        scratch.pointer + index * slots.count, sizes, rows.lowerBound, rows.upperBound)
    }
  }
  WorkerPool.shared.run(tiles: x.samples) { sample in
    ck_depthwise_add_parts(
      slots.pointer(sample), scratch.pointer + sample * tiles.perSample * slots.count, slots.count, tiles.perSample,
      slots.count)
  }
}

extension PaddedWindow {
  /// Whether the kernels for dilated 3×3 filters of stride 1 compute the same.
  fileprivate var isPlain: Bool { self == PaddedWindow(kernel: 3, stride: 1, padding: 1) }
}

private func check(_ weight: Tensor, _ window: PaddedWindow, channels: Int) {
  precondition(
    weight.shape == [window.kernel, window.kernel, 1, channels],
    "depthwise weight \(weight.shape) for \(channels) channels and a window of \(window.kernel) taps")
}
