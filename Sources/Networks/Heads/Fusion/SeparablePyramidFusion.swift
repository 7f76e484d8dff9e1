// DAFormer's own fusion: an atrous spatial pyramid of depthwise-separable convolutions, without image pooling (Hoyer et
// al., CVPR 2022, section 3.2; Chen et al., DeepLabV3+, ECCV 2018).

import Autograd

/// Parallel branches side by side, then a 3×3 bottleneck with batch norm and ReLU.
struct SeparablePyramidFusion: Fusion {
  private let branches: [Branch]
  private let bottleneck: ConvolutionModule

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, dilations: [Int]) {
    branches = dilations.enumerated().map { index, dilation in
      Branch(registry, "\(name).aspp_modules.\(index)", inputs: inputs, outputs: outputs, dilation: dilation)
    }
    bottleneck = ConvolutionModule(
      registry, "\(name).bottleneck", inputs: outputs * dilations.count, outputs: outputs, kernel: 3)
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) throws -> Variable {
    try bottleneck(concatenated(try branches.map { try $0(x, context) }, context), context)
  }
}

/// A 1×1 convolution for dilation 1, else a dilated depthwise 3×3 and a 1×1; each with batch norm and ReLU.
private struct Branch {
  private let modules: [ConvolutionModule]

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, dilation: Int) {
    guard dilation > 1 else {
      modules = [ConvolutionModule(registry, name, inputs: inputs, outputs: outputs, kernel: 1)]
      return
    }
    modules = [
      ConvolutionModule(
        registry, "\(name).depthwise_conv", inputs: inputs, outputs: inputs, kernel: 3, dilation: dilation,
        depthwise: true),
      ConvolutionModule(registry, "\(name).pointwise_conv", inputs: inputs, outputs: outputs, kernel: 1),
    ]
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) throws -> Variable {
    try modules.reduce(x) { try $1($0, context) }
  }
}
