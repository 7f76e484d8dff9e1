// Layer norm, and batch norm over the global batch.

import Collectives
import Kernels
import Tensors

/// Layer norm along the last axis; see `Kernels.layerNorm`.
public func layerNorm(
  _ x: Variable, scale: Parameter, shift: Parameter, epsilon: Float, _ context: ForwardContext
) -> Variable {
  let (output, statistics) = Kernels.layerNorm(x.value, scale: scale.value, shift: shift.value, epsilon: epsilon)
  let (input, cell) = (x.value, x.cell)
  return context.record(output, tracked: cell != nil || scale.slots != nil) { gradient in
    let result = layerNormGradient(
      input, scale: scale.value, statistics: statistics, gradient: gradient, scaleSlots: scale.slots,
      shiftSlots: shift.slots)
    cell?.accumulate(result)
  }
}

/// Parameters and running statistics of one batch norm.
public final class BatchNormState {
  /// Factor and offset after normalisation.
  public let scale: Parameter, shift: Parameter
  /// Running mean and unbiased variance `[channels]`, updated in place.
  public private(set) var runningMean: Tensor, runningVariance: Tensor
  /// Added to the variance.
  public let epsilon: Float
  /// Share of the batch's statistics in each update.
  public let momentum: Float

  /// Running statistics start as mean 0 and variance 1 until bound.
  public init(scale: Parameter, shift: Parameter, epsilon: Float = 1e-5, momentum: Float = 0.1) {
    self.scale = scale
    self.shift = shift
    self.epsilon = epsilon
    self.momentum = momentum
    runningMean = Tensor(zeros: [scale.count])
    runningVariance = Tensor(repeating: 1, [scale.count])
  }

  /// Gives the running statistics their place in the network's buffer arena.
  public func bind(runningMean: Tensor, runningVariance: Tensor) {
    precondition(runningMean.count == scale.count && runningVariance.count == scale.count, "\(scale.name) buffers")
    self.runningMean = runningMean
    self.runningVariance = runningVariance
  }

  /// `running = (1 - momentum) · running + momentum · batch`, with the unbiased variance, as PyTorch does.
  fileprivate func update(mean: [Double], variance: [Double], count: Int) {
    let correction = count > 1 ? Double(count) / Double(count - 1) : 1
    let keep = 1 - momentum
    for channel in 0..<mean.count {
      let oldMean = runningMean.pointer[channel]
      let oldVariance = runningVariance.pointer[channel]
      runningMean.pointer[channel] = keep * oldMean + momentum * Float(mean[channel])
      runningVariance.pointer[channel] = keep * oldVariance + momentum * Float(variance[channel] * correction)
    }
  }
}

/// Batch norm, then the rectifier.
///
/// In `.batch` mode the statistics are those of the global batch: every unit's sums are formed apart, added per sample
/// in tile order, up the tree over samples and over ranks. A collective in that mode, forward and backward: every rank
/// calls it in the same order. The published multi-process code does not do this; at one process the two agree.
public func batchNorm(
  _ x: Variable, _ state: BatchNormState, rectifier: Rectifier, _ context: ForwardContext
) throws -> Variable {
  let channels = x.value.channels
  let batch = context.normalization == .batch
  let count = x.value.perSample / channels * context.globalBatch * context.tilesPerSample
  var mean = state.runningMean.values
  var deviation = state.runningVariance.values.map { 1 / ($0 + state.epsilon).squareRoot() }
  if batch {
    let sums = try globalSums(batchNormSums(x.value), width: 2 * channels, context)
    let exactMean = sums[..<channels].map { $0 / Double(count) }
    let variance = (0..<channels).map { max(0, sums[channels + $0] / Double(count) - exactMean[$0] * exactMean[$0]) }
    mean = exactMean.map { Float($0) }
    deviation = variance.map { Float(1 / ($0 + Double(state.epsilon)).squareRoot()) }
    context.statistics.add(rank: context.unitRank) {
      state.update(mean: exactMean, variance: variance, count: count)
    }
  }
  let output = batchNormApply(
    x.value, mean: mean, inverseDeviation: deviation, scale: state.scale.value, shift: state.shift.value,
    rectifier: rectifier)
  let (input, cell) = (x.value, x.cell)
  let (fixedMean, fixedDeviation) = (mean, deviation)
  return context.record(output, tracked: cell != nil || state.scale.slots != nil) { gradient in
    let rows = batchNormGradientSums(
      input, output: output, gradient: gradient, mean: fixedMean, inverseDeviation: fixedDeviation, rectifier: rectifier
    )
    addToSlots(rows, state, channels: channels)
    var means = [Float](repeating: 0, count: 2 * channels)
    if batch {
      // Raised by the tape's owner: a collective that fails on one rank ends the job on all.
      let sums = context.communicating { try globalSums(rows, width: 2 * channels, context) }
      means = sums.map { Float($0 / Double(count)) }
    }
    cell?.accumulate(
      batchNormInputGradient(
        input, output: output, gradient: gradient, mean: fixedMean, inverseDeviation: fixedDeviation,
        scale: state.scale.value, gradientMean: Array(means[..<channels]),
        gradientDotMean: Array(means[channels...]), rectifier: rectifier))
  }
}

/// Sums over tiles, samples and ranks of one row per unit, in the fixed order.
private func globalSums(_ rows: [Double], width: Int, _ context: ForwardContext) throws -> [Double] {
  let tiles = context.tilesPerSample
  let samples = rows.count / width / tiles
  var perSample = Array(rows[..<(samples * width)])
  for tile in 1..<max(tiles, 1) {
    for index in 0..<samples * width { perSample[index] += rows[tile * samples * width + index] }
  }
  return try globalSum(rows: perSample, samples: samples, count: width, on: context.communicator)
}

/// The first half of every sample's row is the shift's gradient, the second the scale's.
private func addToSlots(_ rows: [Double], _ state: BatchNormState, channels: Int) {
  guard let scale = state.scale.slots, let shift = state.shift.slots else { return }
  let samples = rows.count / (2 * channels)
  let halves = (0..<samples).map { rows[$0 * 2 * channels..<($0 + 1) * 2 * channels] }
  Kernels.addToSlots(halves.flatMap { $0.prefix(channels) }, shift)
  Kernels.addToSlots(halves.flatMap { $0.suffix(channels) }, scale)
}
