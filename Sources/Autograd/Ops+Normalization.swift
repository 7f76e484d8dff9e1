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
  /// Whether it normalises with the running statistics in every pass, which then never change.
  public let isFrozen: Bool

  /// Running statistics start as mean 0 and variance 1 until bound.
  public init(
    scale: Parameter, shift: Parameter, epsilon: Float = 1e-5, momentum: Float = 0.1, isFrozen: Bool = false
  ) {
    self.scale = scale
    self.shift = shift
    self.epsilon = epsilon
    self.momentum = momentum
    self.isFrozen = isFrozen
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
  func update(mean: [Double], variance: [Double], count: Int) {
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
/// A frozen norm has its running statistics in either mode and meets nobody.
public func batchNorm(
  _ x: Variable, _ state: BatchNormState, rectifier: Rectifier, _ context: ForwardContext
) throws -> Variable {
  try batchNorm(x, [state], rectifier: rectifier, context)
}

/// Batch norm of channels that several states share out among themselves in order, then the rectifier.
///
/// The same arithmetic as one batch norm for each state, with one message instead of several.
/// - Parameters:
///   - x: the feature map, channels of all states side by side.
///   - states: parameters and running statistics, in the order of channels.
///   - rectifier: what follows the norm.
///   - isLastUse: whether nobody else needs `x`; without a tape the result then takes its place.
///   - context: sample share, draws and statistics of the pass.
public func batchNorm(
  _ x: Variable, _ states: [BatchNormState], rectifier: Rectifier, isLastUse: Bool = false, _ context: ForwardContext
) throws -> Variable {
  let channels = states.reduce(0) { $0 + $1.scale.count }
  precondition(channels == x.value.channels, "batch norms of \(channels) channels for \(x.value.shape)")
  let norm = try NormStatistics(states, rows: x.value.perSample / channels, context) { batchNormSums(x.value) }
  let scale = joined(states.map(\.scale.value))
  let output = batchNormApply(
    x.value, mean: norm.mean, inverseDeviation: norm.inverseDeviation, scale: scale,
    shift: joined(states.map(\.shift.value)), rectifier: rectifier, overwriting: isLastUse && context.tape == nil)
  let (input, cell) = (x.value, x.cell)
  return context.record(output, tracked: cell != nil || states[0].scale.slots != nil) { gradient in
    let rows = batchNormGradientSums(
      input, output: output, gradient: gradient, mean: norm.mean, inverseDeviation: norm.inverseDeviation,
      rectifier: rectifier)
    addToSlots(rows, states)
    let means = norm.gradientMeans(rows, context)
    cell?.accumulate(
      batchNormInputGradient(
        input, output: output, gradient: gradient, mean: norm.mean, inverseDeviation: norm.inverseDeviation,
        scale: scale, gradientMean: means.plain, gradientDotMean: means.dotted, rectifier: rectifier))
  }
}

/// One tensor after the other; the only one itself.
func joined(_ parts: [Tensor]) -> Tensor {
  parts.count == 1 ? parts[0] : Tensor(parts.flatMap(\.values), [parts.reduce(0) { $0 + $1.count }])
}

/// What batch norms normalise with: statistics of the global batch, or running ones.
struct NormStatistics {
  let mean: [Float]
  let inverseDeviation: [Float]
  /// Rows of the global batch that the statistics are of; nil for running ones.
  let globalRows: Int?

  /// Statistics of the channels that some states share out in order. A collective in `.batch` mode.
  ///
  /// - Parameters:
  ///   - rows: rows of one unit.
  ///   - sums: for every local unit the sums of all channels, then of their squares; asked for in `.batch` mode only.
  init(
    _ states: [BatchNormState], rows: Int, _ context: ForwardContext, sums: () throws -> [Double]
  ) throws {
    precondition(states.allSatisfy { $0.isFrozen == states[0].isFrozen }, "\(states[0].scale.name) is one of two kinds")
    guard context.normalization == .batch, !states[0].isFrozen else {
      globalRows = nil
      mean = states.flatMap { $0.runningMean.values }
      inverseDeviation = states.flatMap { state in
        state.runningVariance.values.map { 1 / ($0 + state.epsilon).squareRoot() }
      }
      return
    }
    let count = rows * context.globalBatch * context.tilesPerSample
    let channels = states.reduce(0) { $0 + $1.scale.count }
    let total = try globalSums(try sums(), width: 2 * channels, context)
    let exactMean = total[..<channels].map { $0 / Double(count) }
    let variance = (0..<channels).map { max(0, total[channels + $0] / Double(count) - exactMean[$0] * exactMean[$0]) }
    var first = 0
    var deviation: [Float] = []
    for state in states {
      let own = first..<first + state.scale.count
      deviation += variance[own].map { Float(1 / ($0 + Double(state.epsilon)).squareRoot()) }
      context.statistics.add(
        rank: context.unitRank, state, mean: Array(exactMean[own]), variance: Array(variance[own]), count: count)
      first = own.upperBound
    }
    mean = exactMean.map { Float($0) }
    inverseDeviation = deviation
    globalRows = count
  }

  private init(mean: [Float], inverseDeviation: [Float], globalRows: Int?) {
    self.mean = mean
    self.inverseDeviation = inverseDeviation
    self.globalRows = globalRows
  }

  /// The statistics of some of the channels.
  func channels(_ range: Range<Int>) -> NormStatistics {
    NormStatistics(
      mean: Array(mean[range]), inverseDeviation: Array(inverseDeviation[range]), globalRows: globalRows)
  }

  /// A batch norm and ReLU that normalise with these.
  func fixed(_ state: BatchNormState) -> FixedNorm {
    FixedNorm(
      mean: mean, inverseDeviation: inverseDeviation, scale: state.scale.value, shift: state.shift.value,
      rectifier: .relu)
  }

  /// The global means of the gradient and of its product with the normalised input; zeros for running statistics.
  /// A collective in `.batch` mode.
  /// - Parameter rows: what `batchNormGradientSums` returned.
  func gradientMeans(_ rows: [Double], _ context: ForwardContext) -> (plain: [Float], dotted: [Float]) {
    let channels = mean.count
    guard let globalRows else {
      return ([Float](repeating: 0, count: channels), [Float](repeating: 0, count: channels))
    }
    // Raised by the tape's owner: a collective that fails on one rank ends the job on all.
    let sums = context.communicating { try globalSums(rows, width: 2 * channels, context) }
    let means = sums.map { Float($0 / Double(globalRows)) }
    return (Array(means[..<channels]), Array(means[channels...]))
  }
}

/// Sums over tiles, samples and ranks of one row per unit, in the fixed order.
private func globalSums(_ rows: [Double], width: Int, _ context: ForwardContext) throws -> [Double] {
  try context.alternation?.pass()
  let tiles = context.tilesPerSample
  let rows = try context.sharedTiles?.gathered(rows) ?? rows
  let samples = rows.count / width / tiles
  var perSample = Array(rows[..<(samples * width)])
  for tile in 1..<max(tiles, 1) {
    for index in 0..<samples * width { perSample[index] += rows[tile * samples * width + index] }
  }
  return try globalSum(rows: perSample, samples: samples, count: width, on: context.communicator)
}

/// Gradients of shift and scale: the first half of every sample's row is the shift's, the second the scale's.
func addToSlots(_ rows: [Double], _ states: [BatchNormState]) {
  let channels = states.reduce(0) { $0 + $1.scale.count }
  let samples = rows.count / (2 * channels)
  var first = 0
  for state in states {
    let count = state.scale.count
    func columns(_ start: Int) -> [Double] {
      (0..<samples).flatMap { rows[$0 * 2 * channels + start..<$0 * 2 * channels + start + count] }
    }
    if let slots = state.shift.slots { Kernels.addToSlots(columns(first), slots) }
    if let slots = state.scale.slots { Kernels.addToSlots(columns(channels + first), slots) }
    first += count
  }
}
