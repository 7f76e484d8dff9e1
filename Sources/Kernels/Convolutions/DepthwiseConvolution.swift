// Depthwise convolution: one k x k filter per channel, stride 1, zero padding, with its two gradients.
// N samples, H height, W width, C channels, k kernel. The vector loops are in CKernels/depthwise_body.h.

import CKernels
import Support
import Tensors

/// One k x k filter per channel over a zero-padded map.
///
///     y[n, i, j, c] = bias[c] + Σ weight[u, v, 0, c] · x[n, i + dilation (u - k/2), j + dilation (v - k/2), c]
///
/// Shapes: `x` and result [N, H, W, C]; `weight` [k, k, 1, C]; `bias` [C].
/// - Precondition: k is odd, `dilation` positive, shapes as above.
/// - Complexity: O(N·H·W·C·k²). k = 3 is the fast case.
public func depthwiseConvolution(_ x: Tensor, weight: Tensor, bias: Tensor?, dilation: Int) -> Tensor {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  let map = DepthwiseMap(x.shape, kernel: kernelSide(weight, channels: x.channels), dilation: dilation)
  precondition(bias.map { $0.count == map.channels } ?? true, "bias for \(map.channels) channels")
  let result = Tensor(uninitialized: x.shape)
  if let bias {
    map.convolve(x, weight: weight.pointer, start: bias.pointer, into: result)
  } else {
    BufferPool.shared.withScratch(map.channels) { zeros in
      zeros.update(repeating: 0, count: map.channels)
      map.convolve(x, weight: weight.pointer, start: zeros, into: result)
    }
  }
  return result
}

/// Gradient of `depthwiseConvolution` with respect to its input: the same convolution with the filters turned by half
/// a turn.
///
/// Shapes: `gradient` and result [N, H, W, C]; `weight` [k, k, 1, C].
/// - Precondition: as for `depthwiseConvolution`.
public func depthwiseConvolutionInputGradient(_ gradient: Tensor, weight: Tensor, dilation: Int) -> Tensor {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  let channels = gradient.channels
  let map = DepthwiseMap(gradient.shape, kernel: kernelSide(weight, channels: channels), dilation: dilation)
  let taps = map.kernel * map.kernel
  let result = Tensor(uninitialized: gradient.shape)
  BufferPool.shared.withScratch((taps + 1) * channels) { turned in
    for tap in 0..<taps {
      (turned + tap * channels).update(from: weight.pointer + (taps - 1 - tap) * channels, count: channels)
    }
    let zeros = turned + taps * channels
    zeros.update(repeating: 0, count: channels)
    map.convolve(gradient, weight: turned, start: zeros, into: result)
  }
  return result
}

/// Adds the gradients of `depthwiseConvolution` with respect to its weight and bias to each sample's slots.
///
/// Rows are summed in tiles fixed by the map's shape, tiles in order, and the sum is added to the slot once.
/// Shapes: `x`, `gradient` [N, H, W, C]; slots hold k·k·C and C values.
/// - Precondition: shapes as above; at least as many slots as samples.
/// - Complexity: O(N·H·W·C·k²), one scratch block of (k² + 1)·C floats per tile.
public func depthwiseConvolutionWeightGradient(
  _ x: Tensor, gradient: Tensor, kernel: Int, dilation: Int, weightSlots: GradientSlots, biasSlots: GradientSlots?
) {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  precondition(x.shape == gradient.shape, "input \(x.shape) and gradient \(gradient.shape)")
  let map = DepthwiseMap(x.shape, kernel: kernel, dilation: dilation)
  let taps = kernel * kernel * map.channels
  precondition(weightSlots.count == taps && weightSlots.samples >= map.samples, "weight slots for \(x.shape)")
  precondition(
    biasSlots.map { $0.count == map.channels && $0.samples >= map.samples } ?? true, "bias slots for \(x.shape)")
  KernelMeter.count(operations: 2 * x.count * kernel * kernel)
  let tiles = RowTiles(
    samples: map.samples, rows: map.height, elementsPerRow: map.width,
    elements: min(256, max(64, map.height * map.width / 4)))
  let part = taps + map.channels
  BufferPool.shared.withScratch(tiles.count * part) { scratch in
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      let offset = sample * map.perSample
      let target = scratch + index * part
      ck_depthwise_weight_gradient(
        x.pointer + offset, gradient.pointer + offset, target, map.height, map.width, map.channels, kernel, dilation,
        rows.lowerBound, rows.upperBound)
      if biasSlots != nil {
        ck_depthwise_bias_gradient(
          gradient.pointer + offset + rows.lowerBound * map.width * map.channels, target + taps,
          rows.count * map.width, map.channels)
      }
    }
    for sample in 0..<map.samples {
      let parts = scratch + sample * tiles.perSample * part
      ck_depthwise_add_parts(weightSlots.pointer(sample), parts, taps, tiles.perSample, part)
      if let biasSlots {
        ck_depthwise_add_parts(biasSlots.pointer(sample), parts + taps, map.channels, tiles.perSample, part)
      }
    }
  }
}

/// The extents of a call, checked.
private struct DepthwiseMap {
  let samples: Int
  let height: Int
  let width: Int
  let channels: Int
  let kernel: Int
  let dilation: Int

  init(_ shape: Shape, kernel: Int, dilation: Int) {
    precondition(shape.rank == 4, "a depthwise convolution takes [N, H, W, C], not \(shape)")
    precondition(kernel % 2 == 1 && dilation > 0, "kernel \(kernel) with dilation \(dilation)")
    samples = shape[0]
    height = shape[1]
    width = shape[2]
    channels = shape[3]
    self.kernel = kernel
    self.dilation = dilation
  }

  var perSample: Int { height * width * channels }

  /// Writes the convolution of a tensor of these extents; every sum begins with the channel's number in `start`.
  func convolve(
    _ x: Tensor, weight: UnsafePointer<Float>, start: UnsafePointer<Float>, into result: Tensor
  ) {
    KernelMeter.count(operations: 2 * x.count * kernel * kernel)
    let tiles = RowTiles(samples: samples, rows: height, elementsPerRow: width * channels, elements: 1 << 16)
    WorkerPool.shared.run(tiles: tiles.count) { index in
      let (sample, rows) = tiles.tile(index)
      let offset = sample * perSample
      ck_depthwise_rows(
        x.pointer + offset, weight, start, result.pointer + offset, height, width, channels, kernel, dilation,
        rows.lowerBound, rows.upperBound)
    }
  }
}

private func kernelSide(_ weight: Tensor, channels: Int) -> Int {
  let shape = weight.shape
  precondition(
    shape.rank == 4 && shape[0] == shape[1] && shape[2] == 1 && shape[3] == channels,
    "depthwise weight \(shape) for \(channels) channels")
  return shape[0]
}
