// Layer norm, and batch norm cut into steps so that its caller can add statistics up over samples and ranks.
// N samples, R rows (tokens or pixels) per sample, C channels.

import CKernels
import Support
import Tensors

/// What cuts a batch norm's output to a range. Cut outputs pass no gradient.
public enum Rectifier: Sendable, CaseIterable {
  /// Nothing is cut.
  case identity
  /// max(y, 0).
  case relu
  /// min(max(y, 0), 6). Source: Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010.
  case relu6

  /// Outputs that are less become this.
  var lowest: Float { self == .identity ? -.infinity : 0 }
  /// Outputs that are greater become this.
  var highest: Float { self == .relu6 ? 6 : .infinity }
}

/// Elements of a tile of layer norm's gradient: few, so that Float sums of parameter gradients stay exact enough.
private let gradientTileElements = 8192

/// Layer norm of every row: `(x - mean) / sqrt(variance + epsilon) · scale + shift`, biased variance, two passes.
///
/// Shapes: `x` [N, ..., C], `scale` and `shift` [C]; `output` as `x`; `statistics` [N, R, 2] holds each row's mean and
/// 1 / deviation for the gradient.
/// Source: Ba, Kiros, Hinton, "Layer Normalization", 2016; agrees with PyTorch's `layer_norm`.
/// - Precondition: `scale` and `shift` have C elements.
public func layerNorm(
  _ x: Tensor, scale: Tensor, shift: Tensor, epsilon: Float
) -> (output: Tensor, statistics: Tensor) {
  let mark = KernelMeter.begin(.layerNorm)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(scale.count == channels && shift.count == channels, "\(scale.shape), \(shift.shape) for \(x.shape)")
  let tiles = SampleTiles(rowsOf: x)
  // One block of memory for both: who keeps the statistics for the gradient keeps the output as well.
  let buffer = BufferPool.shared.take(x.count + 2 * x.samples * tiles.rows)
  let output = Tensor(shape: x.shape, buffer: buffer)
  let statistics = Tensor(shape: [x.samples, tiles.rows, 2], buffer: buffer, offset: x.count)
  tiles.run { _, _, first, rows in
    ck_layer_norm(
      x.pointer + first * channels, scale.pointer, shift.pointer, output.pointer + first * channels,
      statistics.pointer + 2 * first, rows, channels, epsilon)
  }
  return (output, statistics)
}

/// Gradient of `layerNorm` with respect to `x`; those of scale and shift are added once to each sample's slot.
///
/// Shapes: `x` and `gradient` [N, ..., C], `statistics` as `layerNorm` returned it; result as `x`; slots of C numbers.
/// - Precondition: shapes agree; there are at least N slots.
public func layerNormGradient(
  _ x: Tensor, scale: Tensor, statistics: Tensor, gradient: Tensor, scaleSlots: GradientSlots?,
  shiftSlots: GradientSlots?
) -> Tensor {
  let mark = KernelMeter.begin(.layerNorm)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(gradient.shape == x.shape, "gradient \(gradient.shape) of \(x.shape)")
  precondition(scale.count == channels, "scale \(scale.shape) for \(x.shape)")
  let tiles = SampleTiles(rowsOf: x, elements: gradientTileElements)
  precondition(statistics.count == 2 * x.samples * tiles.rows, "statistics \(statistics.shape) of \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  let wanted = scaleSlots != nil || shiftSlots != nil
  tiles.withPartialSums(width: wanted ? 2 * channels : 0) { partial in
    tiles.run { sample, tile, first, rows in
      let sums = wanted ? partial + (sample * tiles.perSample + tile) * 2 * channels : nil
      ck_layer_norm_gradient(
        x.pointer + first * channels, scale.pointer, statistics.pointer + 2 * first,
        gradient.pointer + first * channels, result.pointer + first * channels, sums, rows, channels)
    }
    if let shiftSlots { tiles.addPartialSums(partial, width: 2 * channels, to: shiftSlots) }
    if let scaleSlots { tiles.addPartialSums(partial, width: 2 * channels, offset: channels, to: scaleSlots) }
  }
  return result
}

/// Per sample, the sums over rows that batch statistics are made of.
///
/// Shape: `x` [N, ..., C]. Returns N rows of 2C numbers: sum, then sum of squares, of every channel. Squares are exact
/// in Double and tiles are added in order, so that the variance may be formed as mean square minus squared mean.
public func batchNormSums(_ x: Tensor) -> [Double] {
  let mark = KernelMeter.begin(.batchNorm)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  let tiles = SampleTiles(rowsOf: x, elements: 65536)
  let partial = DoubleScratch(rows: x.samples * tiles.perSample, columns: 2 * channels)
  tiles.run { sample, tile, first, rows in
    ck_batch_norm_sums(
      x.pointer + first * channels, partial.row(sample * tiles.perSample + tile), rows, channels)
  }
  return partial.sums(samples: x.samples, tiles: tiles.perSample)
}

/// Batch norm with given statistics: `(x - mean) · inverseDeviation · scale + shift`, then the rectifier.
///
/// Shapes: `x` [N, ..., C], all parameters of C numbers; result as `x`.
/// Source: Ioffe, Szegedy, "Batch Normalization", ICML 2015.
/// - Parameters:
///   - x: the feature map.
///   - mean: by channel.
///   - inverseDeviation: one over the standard deviation, by channel.
///   - scale: by channel.
///   - shift: by channel.
///   - rectifier: what follows the norm.
///   - overwriting: whether the result takes the place of `x`, which nobody may need any more.
/// - Precondition: every parameter has C numbers.
public func batchNormApply(
  _ x: Tensor, mean: [Float], inverseDeviation: [Float], scale: Tensor, shift: Tensor, rectifier: Rectifier,
  overwriting: Bool = false
) -> Tensor {
  let mark = KernelMeter.begin(.batchNorm)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(mean.count == channels && inverseDeviation.count == channels, "\(mean.count) means for \(x.shape)")
  precondition(scale.count == channels && shift.count == channels, "\(scale.shape), \(shift.shape) for \(x.shape)")
  let output = overwriting ? x : Tensor(uninitialized: x.shape)
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    ck_batch_norm_apply(
      x.pointer + first * channels, mean, inverseDeviation, scale.pointer, shift.pointer,
      output.pointer + first * channels, rows, channels, rectifier.lowest,
      rectifier.highest)
  }
  return output
}

/// Per sample, the sums over rows that the gradient of batch norm needs.
///
/// With g the gradient, masked where the rectifier cut the output, and x̂ the normalised input: N rows of 2C numbers, Σ g then
/// Σ g·x̂. They are also this sample's gradients of shift and scale.
/// - Precondition: `x`, `output` and `gradient` have one shape [N, ..., C].
public func batchNormGradientSums(
  _ x: Tensor, output: Tensor, gradient: Tensor, mean: [Float], inverseDeviation: [Float], rectifier: Rectifier
) -> [Double] {
  let mark = KernelMeter.begin(.batchNorm)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(
    x.shape == output.shape && x.shape == gradient.shape, "\(x.shape), \(output.shape), \(gradient.shape)")
  precondition(mean.count == channels && inverseDeviation.count == channels, "\(mean.count) means for \(x.shape)")
  let tiles = SampleTiles(rowsOf: x, elements: 65536)
  let partial = DoubleScratch(rows: x.samples * tiles.perSample, columns: 2 * channels)
  tiles.run { sample, tile, first, rows in
    ck_batch_norm_gradient_sums(
      x.pointer + first * channels, output.pointer + first * channels, gradient.pointer + first * channels, mean,
      inverseDeviation, partial.row(sample * tiles.perSample + tile), rows, channels, rectifier.lowest,
      rectifier.highest)
  }
  return partial.sums(samples: x.samples, tiles: tiles.perSample)
}

/// Gradient of batch norm with respect to its input:
/// `scale · inverseDeviation · (g - gradientMean - x̂ · gradientDotMean)`.
///
/// `gradientMean` and `gradientDotMean` are the sums of `batchNormGradientSums` over all samples and ranks, divided by
/// the global count of rows; zeros where the statistics are constants (evaluation mode). Result as `x`.
/// - Precondition: shapes agree as in `batchNormGradientSums`.
public func batchNormInputGradient(
  _ x: Tensor, output: Tensor, gradient: Tensor, mean: [Float], inverseDeviation: [Float], scale: Tensor,
  gradientMean: [Float], gradientDotMean: [Float], rectifier: Rectifier
) -> Tensor {
  let mark = KernelMeter.begin(.batchNorm)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(
    x.shape == output.shape && x.shape == gradient.shape, "\(x.shape), \(output.shape), \(gradient.shape)")
  precondition(
    [mean.count, inverseDeviation.count, scale.count, gradientMean.count, gradientDotMean.count]
      .allSatisfy { $0 == channels }, "parameters of other than \(channels) numbers for \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    ck_batch_norm_input_gradient(
      x.pointer + first * channels, output.pointer + first * channels, gradient.pointer + first * channels, mean,
      inverseDeviation, scale.pointer, gradientMean, gradientDotMean, result.pointer + first * channels, rows,
      channels, rectifier.lowest, rectifier.highest)
  }
  return result
}

/// Adds each sample's values, rounded to Float, once to its slot.
///
/// - Parameters:
///   - values: N rows of `slots.count` numbers.
///   - slots: where they are added.
/// - Precondition: there are at most as many rows as slots.
public func addToSlots(_ values: [Double], _ slots: GradientSlots) {
  guard slots.count > 0 else { return }
  precondition(
    values.count % slots.count == 0 && values.count <= slots.samples * slots.count,
    "\(values.count) values for \(slots.samples) slots of \(slots.count)")
  for sample in 0..<values.count / slots.count {
    let slot = slots.pointer(sample)
    for index in 0..<slots.count { slot[index] += Float(values[sample * slots.count + index]) }
  }
}
