// Layers: a few parameters and the operation that uses them. Each declares its parameters under the published name.

import Autograd
import Kernels
import Tensors

/// Affine map of the last axis, `x · weight + bias`.
struct Linear {
  let weight: Parameter
  let bias: Parameter

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int) {
    weight = registry.declare("\(name).weight", [outputs, inputs], .truncatedNormal(deviation: 0.02))
    bias = registry.declare("\(name).bias", [outputs], .constant(0))
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable { linear(x, weight, bias, context) }
}

/// Normalisation of the last axis with a factor and an offset.
struct LayerNorm {
  let scale: Parameter
  let shift: Parameter
  let epsilon: Float

  init(_ registry: ParameterRegistry, _ name: String, channels: Int, epsilon: Float) {
    scale = registry.declare("\(name).weight", [channels], .constant(1))
    shift = registry.declare("\(name).bias", [channels], .constant(0))
    self.epsilon = epsilon
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    layerNorm(x, scale: scale, shift: shift, epsilon: epsilon, context)
  }
}

/// Dense convolution with bias.
struct Convolution {
  let weight: Parameter
  let bias: Parameter
  let geometry: ConvolutionGeometry

  init(
    _ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, _ geometry: ConvolutionGeometry,
    initializer: Initializer? = nil, bias biasInitializer: Initializer = .constant(0)
  ) {
    let taps = geometry.kernel * geometry.kernel
    weight = registry.declare(
      "\(name).weight", [outputs, inputs, geometry.kernel, geometry.kernel],
      initializer ?? .heNormal(outputs: outputs, taps: taps))
    bias = registry.declare("\(name).bias", [outputs], biasInitializer)
    self.geometry = geometry
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    convolution(x, weight, bias, geometry, context)
  }
}

/// Depthwise 3×3 convolution with bias.
struct DepthwiseConvolution {
  let weight: Parameter
  let bias: Parameter

  init(_ registry: ParameterRegistry, _ name: String, channels: Int) {
    // Fan-out counts the outputs of one group, as in SegFormer's published initialisation.
    weight = registry.declare(
      "\(name).weight", [channels, 1, 3, 3], .heNormal(outputs: channels, taps: 9, groups: channels))
    bias = registry.declare("\(name).bias", [channels], .constant(0))
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    depthwiseConvolution(x, weight, bias, dilation: 1, context)
  }
}

/// Convolution without bias, batch norm, ReLU; a block of its own on the tape.
struct ConvolutionModule {
  let weight: Parameter
  let norm: BatchNormState
  let geometry: ConvolutionGeometry
  let isDepthwise: Bool

  init(
    _ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, kernel: Int, dilation: Int = 1,
    depthwise: Bool = false
  ) {
    precondition(!depthwise || inputs == outputs, "depthwise \(name): \(inputs) inputs, \(outputs) outputs")
    geometry = ConvolutionGeometry(kernel: kernel, dilation: dilation)
    isDepthwise = depthwise
    weight = registry.declare(
      "\(name).conv.weight", [outputs, depthwise ? 1 : inputs, kernel, kernel],
      .heNormal(outputs: outputs, taps: kernel * kernel))
    norm = registry.declareBatchNorm("\(name).bn", channels: outputs)
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) throws -> Variable {
    context.marks(weight)
    let y =
      isDepthwise
      ? depthwiseConvolution(x, weight, nil, dilation: geometry.dilation, context)
      : convolution(x, weight, nil, geometry, context)
    return try batchNorm(y, [norm], rectifier: .relu, isLastUse: true, context)
  }

  /// The module on levels resized to the first one's size and put side by side.
  /// - Precondition: its kernel is 1×1.
  func callAsFunction(_ levels: [Variable], _ context: ForwardContext) throws -> Variable {
    precondition(geometry.kernel == 1 && !isDepthwise, "\(weight.name) is no 1x1 convolution")
    context.marks(weight)
    return try batchNorm(
      resizedLinear(levels, weight, context), [norm], rectifier: .relu, isLastUse: true, context)
  }
}

/// Convolution without bias, batch norm under a name of its own, rectifier.
struct NormalisedConvolution {
  let weight: Parameter
  let norm: BatchNormState
  let geometry: ConvolutionGeometry

  init(
    _ registry: ParameterRegistry, _ name: String, norm normName: String, inputs: Int, outputs: Int,
    _ geometry: ConvolutionGeometry, epsilon: Float = 1e-5, momentum: Float = 0.1, scale: Float = 1
  ) {
    self.geometry = geometry
    weight = registry.declare(
      "\(name).weight", [outputs, inputs, geometry.kernel, geometry.kernel],
      .heNormal(outputs: outputs, taps: geometry.kernel * geometry.kernel))
    norm = registry.declareBatchNorm(
      normName, channels: outputs, epsilon: epsilon, momentum: momentum, scale: scale)
  }

  func callAsFunction(_ x: Variable, _ rectifier: Rectifier, _ context: ForwardContext) throws -> Variable {
    try batchNorm(
      convolution(x, weight, nil, geometry, context), [norm], rectifier: rectifier, isLastUse: true, context)
  }
}
