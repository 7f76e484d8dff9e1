// DAFormer's own fusion: an atrous spatial pyramid of depthwise-separable convolutions, without image pooling (Hoyer et
// al., CVPR 2022, section 3.2; Chen et al., DeepLabV3+, ECCV 2018).

import Autograd

/// Parallel branches side by side, each with batch norm and ReLU, then a 3×3 bottleneck. The branch of dilation 1 is a
/// 1×1 convolution; the others are a dilated depthwise 3×3 convolution, batch norm and ReLU, and a 1×1 convolution.
struct SeparablePyramidFusion: Fusion {
  private let branches: [PyramidBranch]
  /// The first that was declared.
  private let first: Parameter
  private let norms: [BatchNormState]
  private let bottleneck: ConvolutionModule

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, dilations: [Int]) {
    var norms: [BatchNormState] = []
    branches = dilations.enumerated().map { index, dilation in
      let branch = "\(name).aspp_modules.\(index)"
      guard dilation > 1 else {
        let module = ConvolutionModule(registry, branch, inputs: inputs, outputs: outputs, kernel: 1)
        norms.append(module.norm)
        return .pointwise(module.weight)
      }
      let wide = ConvolutionModule(
        registry, "\(branch).depthwise_conv", inputs: inputs, outputs: inputs, kernel: 3, dilation: dilation,
        depthwise: true)
      let narrow = ConvolutionModule(
        registry, "\(branch).pointwise_conv", inputs: inputs, outputs: outputs, kernel: 1)
      norms.append(narrow.norm)
      return .separable(
        depthwise: wide.weight, dilation: dilation, norm: wide.norm, pointwise: narrow.weight)
    }
    self.norms = norms
    first = branches[0].first
    bottleneck = ConvolutionModule(
      registry, "\(name).bottleneck", inputs: outputs * dilations.count, outputs: outputs, kernel: 3)
  }

  func callAsFunction(_ levels: [Variable], _ context: ForwardContext) throws -> Variable {
    context.marks(first)
    let x = resizedSideBySide(levels, context)
    let y = try separablePyramid(x, levels: levels, branches, context)
    return try bottleneck(try batchNorm(y, norms, rectifier: .relu, isLastUse: true, context), context)
  }
}
