// Operations of DAFormer's head that a plain chain of operations would do with more work and memory: 1×1 convolutions of
// resized levels, and the branches of the atrous spatial pyramid side by side.

import Kernels
import Tensors

/// Maps resized to one size, side by side in the channel axis.
/// - Precondition: the first map has that size.
public func resizedSideBySide(_ levels: [Variable], _ context: ForwardContext) -> Variable {
  let shape = levels[0].value.shape
  let widths = levels.map(\.value.channels)
  let value = Tensor(uninitialized: shape.withChannels(widths.reduce(0, +)))
  forEachSlice(of: value, widths) { bilinear(levels[$0].value, into: $1) }
  let targets = levels.map { (cell: $0.cell, height: $0.value.shape[1], width: $0.value.shape[2]) }
  return context.record(value, tracked: targets.contains { $0.cell != nil }) { gradient in
    forEachSlice(of: gradient, widths) { index, slice in
      let target = targets[index]
      target.cell?.accumulate(bilinearGradient(slice, height: target.height, width: target.width))
    }
  }
}

/// 1×1 convolution of resized levels without forming them; see `Kernels.resizedLinear`.
public func resizedLinear(_ levels: [Variable], _ weight: Parameter, _ context: ForwardContext) -> Variable {
  let outputs = weight.value.channels
  let value = Tensor(uninitialized: levels[0].value.shape.withChannels(outputs))
  let (inputs, cells) = (levels.map(\.value), levels.map(\.cell))
  resizedLinear(inputs, weight: weight.value, into: ChannelSlice(value, 0..<outputs))
  return context.record(value, tracked: cells.contains { $0 != nil } || weight.slots != nil) { gradient in
    let parts = resizedLinearGradient(
      inputs, weight: weight.value, gradient: ChannelSlice(gradient, 0..<outputs), into: weight.slots)
    for (cell, part) in zip(cells, parts) { cell?.accumulate(part) }
  }
}

/// A branch of the separable pyramid.
public enum PyramidBranch {
  /// A 1×1 convolution.
  case pointwise(Parameter)
  /// A dilated depthwise 3×3 convolution, batch norm, ReLU, and a 1×1 convolution.
  case separable(depthwise: Parameter, dilation: Int, norm: BatchNormState, pointwise: Parameter)

  /// The weight of its first convolution.
  public var first: Parameter {
    switch self {
    case .pointwise(let weight), .separable(let weight, _, _, _): weight
    }
  }

  var outputs: Int {
    switch self {
    case .pointwise(let weight), .separable(_, _, _, let weight): weight.value.channels
    }
  }

  fileprivate var separableNorm: (depthwise: Parameter, dilation: Int, state: BatchNormState)? {
    guard case .separable(let depthwise, let dilation, let norm, _) = self else { return nil }
    return (depthwise, dilation, norm)
  }
}

/// All branches of a separable pyramid side by side, before their last batch norm.
///
/// The normalised maps between depthwise and 1×1 convolutions are not kept: the walk back computes them again, branch
/// after branch. Branches without a depthwise convolution act on the levels at their own sizes.
/// A collective where batch norm uses batch statistics.
/// - Parameters:
///   - x: the levels resized and side by side.
///   - levels: the same, before that.
///   - branches: one for each dilation.
///   - context: sample share, draws and statistics of the pass.
public func separablePyramid(
  _ x: Variable, levels: [Variable], _ branches: [PyramidBranch], _ context: ForwardContext
) throws -> Variable {
  let input = x.value
  let norms = try pyramidNorms(input, branches.compactMap(\.separableNorm), context)
  let widths = branches.map(\.outputs)
  let value = Tensor(uninitialized: input.shape.withChannels(widths.reduce(0, +)))
  let (maps, cells) = (levels.map(\.value), levels.map(\.cell))
  var next = 0
  var statistics: [NormStatistics?] = []
  forEachSlice(of: value, widths) { index, slice in
    switch branches[index] {
    case .pointwise(let weight):
      resizedLinear(maps, weight: weight.value, into: slice)
      statistics.append(nil)
    case .separable(let depthwise, let dilation, let norm, let pointwise):
      separableConvolution(
        input, depthwise: depthwise.value, dilation: dilation, norm: norms[next].fixed(norm),
        pointwise: pointwise.value,
        into: slice)
      statistics.append(norms[next])
      next += 1
    }
  }
  let cell = x.cell
  return context.record(value, tracked: true) { gradient in
    forEachSlice(of: gradient, widths) { index, slice in
      switch branches[index] {
      case .pointwise(let weight):
        let parts = resizedLinearGradient(maps, weight: weight.value, gradient: slice, into: weight.slots)
        for (cell, part) in zip(cells, parts) { cell?.accumulate(part) }
      case .separable(let depthwise, let dilation, let norm, let pointwise):
        guard let own = statistics[index] else { preconditionFailure("branch \(index) has no statistics") }
        let result = separableGradient(
          input, SeparableParts(depthwise, dilation, norm, pointwise, own), gradient: slice, context)
        cell?.accumulate(result)
      }
    }
  }
}

/// What the gradient of a separable branch needs.
private struct SeparableParts {
  let depthwise: Parameter
  let dilation: Int
  let norm: BatchNormState
  let pointwise: Parameter
  let statistics: NormStatistics

  init(
    _ depthwise: Parameter, _ dilation: Int, _ norm: BatchNormState, _ pointwise: Parameter,
    _ statistics: NormStatistics
  ) {
    self.depthwise = depthwise
    self.dilation = dilation
    self.norm = norm
    self.pointwise = pointwise
    self.statistics = statistics
  }
}

/// Gradient of one branch with respect to its input; those of its parameters go to their slots.
private func separableGradient(
  _ x: Tensor, _ parts: SeparableParts, gradient: ChannelSlice, _ context: ForwardContext
) -> Tensor {
  let norm = parts.statistics
  let wide = depthwiseConvolution(x, weight: parts.depthwise.value, bias: nil, dilation: parts.dilation)
  let output = batchNormApply(
    wide, mean: norm.mean, inverseDeviation: norm.inverseDeviation, scale: parts.norm.scale.value,
    shift: parts.norm.shift.value, rectifier: .relu)
  let held = output.count / output.channels * (output.channels + parts.pointwise.value.channels)
  context.deferrable(parts.pointwise.slots, holding: held * MemoryLayout<Float>.stride) {
    linearWeightGradient(output, gradient, into: $0)
  }
  let arriving = linearInputGradient(gradient, weight: parts.pointwise.value)
  let rows = batchNormGradientSums(
    wide, output: output, gradient: arriving, mean: norm.mean, inverseDeviation: norm.inverseDeviation,
    rectifier: .relu)
  addToSlots(rows, [parts.norm])
  let means = norm.gradientMeans(rows, context)
  let leaving = batchNormInputGradient(
    wide, output: output, gradient: arriving, mean: norm.mean, inverseDeviation: norm.inverseDeviation,
    scale: parts.norm.scale.value, gradientMean: means.plain, gradientDotMean: means.dotted, rectifier: .relu)
  if let slots = parts.depthwise.slots {
    depthwiseConvolutionWeightGradient(
      x, gradient: leaving, kernel: 3, dilation: parts.dilation, weightSlots: slots, biasSlots: nil)
  }
  return depthwiseConvolutionInputGradient(leaving, weight: parts.depthwise.value, dilation: parts.dilation)
}

/// Statistics of the depthwise convolutions' results, all branches in one message.
private func pyramidNorms(
  _ x: Tensor, _ branches: [(depthwise: Parameter, dilation: Int, state: BatchNormState)], _ context: ForwardContext
) throws -> [NormStatistics] {
  guard !branches.isEmpty else { return [] }
  let channels = x.channels
  let all = try NormStatistics(branches.map(\.state), rows: x.perSample / channels, context) {
    let sums = branches.map { separableSums(x, depthwise: $0.depthwise.value, dilation: $0.dilation) }
    // Sums of all branches, then squares of all branches, for every unit.
    var rows: [Double] = []
    for half in 0..<2 * x.samples {
      for own in sums { rows += own[half * channels..<(half + 1) * channels] }
    }
    return rows
  }
  return branches.indices.map { all.channels($0 * channels..<($0 + 1) * channels) }
}

/// Calls `body(index, slice)` for neighbouring slices of a tensor's channels.
private func forEachSlice(of tensor: Tensor, _ widths: [Int], _ body: (Int, ChannelSlice) -> Void) {
  var first = 0
  for (index, width) in widths.enumerated() {
    body(index, ChannelSlice(tensor, first..<first + width))
    first += width
  }
}
