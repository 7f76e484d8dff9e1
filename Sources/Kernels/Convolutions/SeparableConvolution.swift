// A dilated depthwise 3×3 convolution, batch norm, ReLU and a 1×1 convolution as one, tile by tile: the wide map between
// the two convolutions is never stored. N samples, H×W pixels, C channels of the wide map, O outputs.

import CKernels
import Support
import Tensors

/// A batch norm with its statistics fixed, followed by a rectifier: one number of each kind for every channel.
public struct FixedNorm {
  let mean: [Float]
  let inverseDeviation: [Float]
  let scale: Tensor
  let shift: Tensor
  let rectifier: Rectifier

  /// Given numbers.
  /// - Precondition: there are equally many of each kind.
  public init(mean: [Float], inverseDeviation: [Float], scale: Tensor, shift: Tensor, rectifier: Rectifier) {
    precondition(
      [mean.count, inverseDeviation.count, shift.count].allSatisfy { $0 == scale.count },
      "\(mean.count) means, \(inverseDeviation.count) deviations, scale \(scale.shape), shift \(shift.shape)")
    self.mean = mean
    self.inverseDeviation = inverseDeviation
    self.scale = scale
    self.shift = shift
    self.rectifier = rectifier
  }

  /// Normalises rows of as many channels in place.
  func apply(_ rows: UnsafeMutablePointer<Float>, count: Int) {
    ck_batch_norm_apply(
      rows, mean, inverseDeviation, scale.pointer, shift.pointer, rows, count, mean.count, rectifier.lowest,
      rectifier.highest)
  }
}

/// Rows of the map of about 128 pixels, whose wide values stay in the second cache.
private func separableTiles(_ x: Tensor) -> RowTiles {
  RowTiles(samples: x.samples, rows: x.shape[1], elementsPerRow: x.shape[2], elements: 128)
}

/// Runs `body(index, sample, first pixel, pixels, values)` over tiles of a depthwise convolution's result.
private func forEachDepthwiseTile(
  _ x: Tensor, depthwise: Tensor, dilation: Int,
  _ body: (_ index: Int, _ sample: Int, _ first: Int, _ pixels: Int, _ values: UnsafeMutablePointer<Float>) -> Void
) {
  let (height, width, channels) = (x.shape[1], x.shape[2], x.channels)
  precondition(depthwise.count == 9 * channels, "depthwise weight \(depthwise.shape) for \(x.shape)")
  let tiles = separableTiles(x)
  let zeros = Tensor(zeros: [channels])
  WorkerPool.shared.run(tiles: tiles.count) { index in
    let (sample, rows) = tiles.tile(index)
    let first = rows.lowerBound * width
    BufferPool.shared.withScratch(rows.count * width * channels) { scratch in
      // The kernel writes whole maps; its base is moved so that this tile's first row is the scratch's first.
      ck_depthwise_rows(
        x.pointer + sample * x.perSample, depthwise.pointer, zeros.pointer, scratch - first * channels, height, width,
        channels, 3, dilation, rows.lowerBound, rows.upperBound)
      body(index, sample, first, rows.count * width, scratch)
    }
  }
  withExtendedLifetime(zeros) {}
}

/// Per sample, the sums over pixels that the batch statistics of a depthwise convolution's result are made of.
///
/// Shapes: `x` [N, H, W, C], `depthwise` [3, 3, 1, C]. Returns N rows of 2C numbers as `batchNormSums` does.
public func separableSums(_ x: Tensor, depthwise: Tensor, dilation: Int) -> [Double] {
  let mark = KernelMeter.begin(.depthwise)
  defer { KernelMeter.end(mark) }
  let tiles = separableTiles(x)
  let partial = DoubleScratch(rows: tiles.count, columns: 2 * x.channels)
  forEachDepthwiseTile(x, depthwise: depthwise, dilation: dilation) { index, _, _, pixels, values in
    ck_batch_norm_sums(values, partial.row(index), pixels, x.channels)
  }
  return partial.sums(samples: x.samples, tiles: tiles.perSample)
}

/// Depthwise convolution, batch norm with given statistics, ReLU and a linear map of every pixel.
///
/// Shapes: `x` [N, H, W, C], `depthwise` [3, 3, 1, C], `pointwise` [C, O]; the result goes to a slice of O channels of
/// a tensor [N, H, W, ...]. Source: Chen et al., DeepLabV3+, ECCV 2018, section 3.
public func separableConvolution(
  _ x: Tensor, depthwise: Tensor, dilation: Int, norm: FixedNorm, pointwise: Tensor, into result: ChannelSlice
) {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  let outputs = result.channels.count
  precondition(
    pointwise.count == channels * outputs && result.tensor.shape.withChannels(channels) == x.shape,
    "\(x.shape) by \(pointwise.shape) into \(result.tensor.shape)")
  precondition(norm.scale.count == channels, "norm of \(norm.scale.shape) for \(x.shape)")
  let pixelsPerSample = x.perSample / channels
  forEachDepthwiseTile(x, depthwise: depthwise, dilation: dilation) { _, sample, first, pixels, values in
    norm.apply(values, count: pixels)
    multiply(
      MatrixView(values, stride: channels), MatrixView(pointwise.pointer, stride: outputs),
      into: result.row(sample * pixelsPerSample + first), stride: result.stride, rows: pixels, columns: outputs,
      depth: channels)
  }
}
