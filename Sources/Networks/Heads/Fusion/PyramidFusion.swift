// Fusion by an atrous spatial pyramid of dense convolutions, without image pooling (Chen et al., DeepLabV3, 2017,
// section 3.3; "w/o DSC" in DAFormer's table 7).

import Autograd

/// Parallel convolutions, 1×1 for dilation 1 and 3×3 for others, side by side; then a 3×3 bottleneck. Each with batch
/// norm and ReLU.
struct PyramidFusion: Fusion {
  private let branches: [ConvolutionModule]
  private let bottleneck: ConvolutionModule

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, dilations: [Int]) {
    branches = dilations.enumerated().map { index, dilation in
      ConvolutionModule(
        registry, "\(name).aspp_modules.\(index)", inputs: inputs, outputs: outputs, kernel: dilation == 1 ? 1 : 3,
        dilation: dilation)
    }
    bottleneck = ConvolutionModule(
      registry, "\(name).bottleneck", inputs: outputs * dilations.count, outputs: outputs, kernel: 3)
  }

  func callAsFunction(_ levels: [Variable], _ context: ForwardContext) throws -> Variable {
    let x = resizedSideBySide(levels, context)
    return try bottleneck(concatenated(try branches.map { try $0(x, context) }, context), context)
  }
}
