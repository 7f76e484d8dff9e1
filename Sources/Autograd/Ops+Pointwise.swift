// Activations, residual sums, dropout and drop path.

import Kernels
import Tensors

/// Exact (erf) GELU.
public func gelu(_ x: Variable, _ context: ForwardContext) -> Variable {
  let (input, cell) = (x.value, x.cell)
  return context.record(Kernels.gelu(input), tracked: cell != nil) { gradient in
    cell?.accumulate(geluGradient(input, gradient: gradient))
  }
}

/// max(x, 0).
public func relu(_ x: Variable, _ context: ForwardContext) -> Variable {
  let output = Kernels.relu(x.value)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(reluGradient(output: output, gradient: gradient))
  }
}

/// Logistic function.
public func sigmoid(_ x: Variable, _ context: ForwardContext) -> Variable {
  let output = Kernels.sigmoid(x.value)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(sigmoidGradient(output: output, gradient: gradient))
  }
}

/// Sum of two equally shaped variables.
public func add(_ x: Variable, _ y: Variable, _ context: ForwardContext) -> Variable {
  let (first, second) = (x.cell, y.cell)
  return context.record(Kernels.add(x.value, y.value), tracked: first != nil || second != nil) { gradient in
    first?.accumulate(gradient)
    second?.accumulate(gradient)
  }
}

/// Residual sum with drop path: `x + factor(sample) · branch`, the factor 0 or 1/(1 - rate).
///
/// Draws depend on the global sample index and the layer. Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
public func residual(
  _ x: Variable, _ branch: Variable, dropRate: Float, layer: String, _ context: ForwardContext
) -> Variable {
  var factors: [Float]?
  if let draws = context.draws, dropRate > 0 {
    factors = (0..<x.value.samples).map {
      draws.factor(
        rate: dropRate, sample: context.globalSample($0), unit: context.unit, layer: layer, draw: "drop-path")
    }
  }
  let (first, second) = (x.cell, branch.cell)
  let value = addScaled(x.value, branch.value, factors: factors)
  return context.record(value, tracked: first != nil || second != nil) { gradient in
    first?.accumulate(gradient)
    second?.accumulate(factors.map { scaleSamples(gradient, factors: $0) } ?? gradient)
  }
}

/// Dropout of whole channels, kept ones scaled by 1/(1 - rate).
///
/// Tompson et al., "Efficient Object Localization Using Convolutional Networks", CVPR 2015.
public func channelDropout(_ x: Variable, rate: Float, layer: String, _ context: ForwardContext) -> Variable {
  guard let draws = context.draws, rate > 0 else { return x }
  let channels = x.value.channels
  let factors = Tensor(
    (0..<x.value.samples).flatMap {
      draws.factors(
        rate: rate, count: channels, sample: context.globalSample($0), unit: context.unit, layer: layer,
        draw: "dropout")
    }, [x.value.samples, channels])
  let cell = x.cell
  return context.record(scaleChannels(x.value, factors: factors), tracked: cell != nil) { gradient in
    cell?.accumulate(scaleChannels(gradient, factors: factors))
  }
}
