// Fusion by one 1×1 convolution (Xie et al., SegFormer, NeurIPS 2021, equation 4).

import Autograd

/// 1×1 convolution, batch norm, ReLU.
struct PointwiseFusion: Fusion {
  private let module: ConvolutionModule

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int) {
    module = ConvolutionModule(registry, name, inputs: inputs, outputs: outputs, kernel: 1)
  }

  func callAsFunction(_ levels: [Variable], _ context: ForwardContext) throws -> Variable {
    try module(levels, context)
  }
}
