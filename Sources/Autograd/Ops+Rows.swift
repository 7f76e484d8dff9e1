// Operations on the rows of the last axis: class probabilities, their self-information, unit vectors, chosen pixels.

import Kernels
import Tensors

/// Soft-max along the last axis, the classes; see `Kernels.softmax`.
public func softmax(_ x: Variable, _ context: ForwardContext) -> Variable {
  let output = Kernels.softmax(x.value)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(softmaxGradient(output: output, gradient: gradient))
  }
}

/// `-p · log₂(p + 10⁻³⁰) / log₂ K` of class probabilities `[N, ..., K]`; see `Kernels.selfInformation`.
public func selfInformation(_ probabilities: Variable, _ context: ForwardContext) -> Variable {
  let (input, cell) = (probabilities.value, probabilities.cell)
  return context.record(Kernels.selfInformation(input), tracked: cell != nil) { gradient in
    cell?.accumulate(selfInformationGradient(input, gradient: gradient))
  }
}

/// Rows of the last axis divided by their length (L2 normalization); see `Kernels.unitLength`.
///
/// A row shorter than `epsilon` is divided by that and takes no gradient.
public func unitLength(_ x: Variable, epsilon: Float = 1e-12, _ context: ForwardContext) -> Variable {
  let (output, inverseLengths) = Kernels.unitLength(x.value, epsilon: epsilon)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(unitLengthGradient(output: output, inverseLengths: inverseLengths, gradient: gradient))
  }
}

/// How far the directions of two maps' rows are apart, `1 - cos`, `[N, ..., 1]`; see `Kernels.cosineDistance`.
/// - Precondition: the shapes agree.
public func cosineDistance(_ x: Variable, _ y: Variable, _ context: ForwardContext) -> Variable {
  let (a, b) = (x, y)
  let value = Kernels.cosineDistance(a.value, b.value)
  return context.record(value, tracked: a.cell != nil || b.cell != nil) { gradient in
    let gradients = cosineDistanceGradients(a.value, b.value, gradient: gradient)
    a.cell?.accumulate(gradients.x)
    b.cell?.accumulate(gradients.y)
  }
}

/// The rows of chosen pixels of a map; see `Kernels.gathered`.
///
/// Shapes: `x` [N, H, W, C]; result [N, perSample, C].
/// - Parameters:
///   - x: the map.
///   - positions: pixel numbers `y · W + x`, sample after sample; a pixel may come more than once.
///   - perSample: positions of each sample.
///   - context: holds the tape.
public func gathered(_ x: Variable, at positions: [Int32], perSample: Int, _ context: ForwardContext) -> Variable {
  let cell = x.cell
  let (height, width) = (x.value.shape[1], x.value.shape[2])
  let value = Kernels.gathered(x.value, at: positions, perSample: perSample)
  return context.record(value, tracked: cell != nil) { gradient in
    cell?.accumulate(gatheredGradient(gradient, at: positions, height: height, width: width))
  }
}
