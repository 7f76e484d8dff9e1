// Activations, sums and products, dropout and drop path.

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

/// `x`, or `slope · x` where it is negative; see `Kernels.leakyRelu`.
/// - Precondition: the slope is not negative.
public func leakyRelu(_ x: Variable, slope: Float = 0.2, _ context: ForwardContext) -> Variable {
  precondition(slope >= 0, "leaky ReLU of slope \(slope)")
  let output = Kernels.leakyRelu(x.value, slope: slope)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(leakyReluGradient(output: output, slope: slope, gradient: gradient))
  }
}

/// Hyperbolic tangent.
public func tanh(_ x: Variable, _ context: ForwardContext) -> Variable {
  let output = Kernels.tanh(x.value)
  let cell = x.cell
  return context.record(output, tracked: cell != nil) { gradient in
    cell?.accumulate(tanhGradient(output: output, gradient: gradient))
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

/// Product of two equally shaped variables, element by element.
public func multiply(_ x: Variable, _ y: Variable, _ context: ForwardContext) -> Variable {
  let (a, b) = (x, y)
  let value = Kernels.multiply(a.value, b.value)
  return context.record(value, tracked: a.cell != nil || b.cell != nil) { gradient in
    a.cell?.accumulate(Kernels.multiply(gradient, b.value))
    b.cell?.accumulate(Kernels.multiply(gradient, a.value))
  }
}

/// `factor · x`.
public func scaled(_ x: Variable, by factor: Float, _ context: ForwardContext) -> Variable {
  let cell = x.cell
  return context.record(Kernels.scaled(x.value, by: factor), tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.scaled(gradient, by: factor))
  }
}

/// `factor · x + offset`.
public func affine(_ x: Variable, factor: Float, offset: Float, _ context: ForwardContext) -> Variable {
  let cell = x.cell
  let value = Kernels.affine(x.value, factor: factor, offset: offset)
  return context.record(value, tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.scaled(gradient, by: factor))
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

/// Dropout of single elements, kept ones scaled by 1/(1 - rate).
///
/// Draws depend on the global sample index and the layer, as those of `channelDropout` do.
/// Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 2014.
public func elementDropout(_ x: Variable, rate: Float, layer: String, _ context: ForwardContext) -> Variable {
  guard let draws = context.draws, rate > 0 else { return x }
  let streams = (0..<x.value.samples).map {
    draws.stream(sample: context.globalSample($0), unit: context.unit, layer: layer, draw: "element-dropout")
  }
  let factors = dropoutFactors(x.value.shape, rate: rate, streams: streams)
  let cell = x.cell
  return context.record(Kernels.multiply(x.value, factors), tracked: cell != nil) { gradient in
    cell?.accumulate(Kernels.multiply(gradient, factors))
  }
}
