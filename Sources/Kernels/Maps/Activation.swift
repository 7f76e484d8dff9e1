// Activations, element by element, with their gradients.

import CKernels
import Support
import Tensors

/// Exact GELU: `x · Φ(x)` with Φ the standard normal distribution.
///
/// Error at most 2e-7 of max(1, |result|), by a polynomial for Φ. Result as `x`.
/// Source: Hendrycks, Gimpel, "Gaussian Error Linear Units", 2016; the erf form, not the tanh one.
public func gelu(_ x: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  let output = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in ck_gelu(x.pointer + first, output.pointer + first, count) }
  return output
}

/// Gradient of `gelu` at `x`: `gradient · (Φ(x) + x · φ(x))`.
/// - Precondition: the shapes agree.
public func geluGradient(_ x: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  precondition(x.shape == gradient.shape, "gradient \(gradient.shape) of \(x.shape)")
  let result = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in
    ck_gelu_gradient(x.pointer + first, gradient.pointer + first, result.pointer + first, count)
  }
  return result
}

/// `max(x, 0)`; not-a-number stays.
public func relu(_ x: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  let output = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in ck_relu(x.pointer + first, output.pointer + first, count) }
  return output
}

/// Gradient of `relu`: the gradient where the output is positive.
/// - Precondition: the shapes agree.
public func reluGradient(output: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  precondition(output.shape == gradient.shape, "gradient \(gradient.shape) of \(output.shape)")
  let result = Tensor(uninitialized: output.shape)
  forEachStretch(of: output) { first, count in
    ck_relu_gradient(output.pointer + first, gradient.pointer + first, result.pointer + first, count)
  }
  return result
}

/// `x`, or `slope · x` where it is negative; not-a-number stays.
/// Source: Maas, Hannun, Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", ICML workshop 2013.
public func leakyRelu(_ x: Tensor, slope: Float) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  let output = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in ck_leaky_relu(x.pointer + first, slope, output.pointer + first, count) }
  return output
}

/// Gradient of `leakyRelu`: the gradient where the output is positive, `slope` of it elsewhere.
/// - Precondition: the shapes agree; the slope is not negative, so that the output has the input's sign.
public func leakyReluGradient(output: Tensor, slope: Float, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  precondition(output.shape == gradient.shape, "gradient \(gradient.shape) of \(output.shape)")
  precondition(slope >= 0, "leaky ReLU of slope \(slope)")
  let result = Tensor(uninitialized: output.shape)
  forEachStretch(of: output) { first, count in
    ck_leaky_relu_gradient(
      output.pointer + first, slope, gradient.pointer + first, result.pointer + first, count)
  }
  return result
}

/// Hyperbolic tangent, relative error at most 2e-7.
public func tanh(_ x: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  let output = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in ck_tanh(x.pointer + first, output.pointer + first, count) }
  return output
}

/// Gradient of `tanh`: `gradient · (1 - output²)`.
/// - Precondition: the shapes agree.
public func tanhGradient(output: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  precondition(output.shape == gradient.shape, "gradient \(gradient.shape) of \(output.shape)")
  let result = Tensor(uninitialized: output.shape)
  forEachStretch(of: output) { first, count in
    ck_tanh_gradient(output.pointer + first, gradient.pointer + first, result.pointer + first, count)
  }
  return result
}

/// Logistic function `1 / (1 + exp(-x))`, absolute error at most 1.5e-7.
public func sigmoid(_ x: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  let output = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in ck_sigmoid(x.pointer + first, output.pointer + first, count) }
  return output
}

/// Gradient of `sigmoid`: `gradient · output · (1 - output)`.
/// - Precondition: the shapes agree.
public func sigmoidGradient(output: Tensor, gradient: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.activation)
  defer { KernelMeter.end(mark) }
  precondition(output.shape == gradient.shape, "gradient \(gradient.shape) of \(output.shape)")
  let result = Tensor(uninitialized: output.shape)
  forEachStretch(of: output) { first, count in
    ck_sigmoid_gradient(output.pointer + first, gradient.pointer + first, result.pointer + first, count)
  }
  return result
}
