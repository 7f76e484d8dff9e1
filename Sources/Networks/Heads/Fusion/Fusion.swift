// How DAFormer's head fuses its concatenated embeddings: the catalogue. One file for each fusion.

import Autograd

/// A fusion by the name recipes use (Hoyer et al., DAFormer, CVPR 2022, table 7).
public enum FusionKind: String, Sendable, CaseIterable {
  /// Depthwise-separable atrous spatial pyramid without image pooling, then a 3×3 bottleneck: DAFormer.
  case separableASPP = "separable-aspp"
  /// The same pyramid with dense 3×3 convolutions.
  case aspp
  /// One 1×1 convolution: SegFormer's fusion, and that of the scale attention.
  case pointwise
  /// Interlaced sparse self-attention.
  case isa
  /// The separable pyramid on the embedding of the coarsest feature map alone, then a 1×1 convolution.
  case coarsestASPP = "coarsest-aspp"

  /// Whether it has branches with dilations.
  public var hasDilations: Bool { [.separableASPP, .aspp, .coarsestASPP].contains(self) }

  /// Declares the fusion's parameters under `name`.
  /// - Parameter dilations: of the branches, where it has some.
  func make(
    _ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, dilations: [Int]
  ) -> any Fusion {
    switch self {
    case .separableASPP:
      SeparablePyramidFusion(registry, name, inputs: inputs, outputs: outputs, dilations: dilations)
    case .aspp: PyramidFusion(registry, name, inputs: inputs, outputs: outputs, dilations: dilations)
    case .pointwise, .coarsestASPP: PointwiseFusion(registry, name, inputs: inputs, outputs: outputs)
    case .isa: InterlacedAttentionFusion(registry, name, inputs: inputs, outputs: outputs)
    }
  }
}

/// Turns embeddings into one narrower map.
protocol Fusion {
  /// `[N, H, W, outputs]` of embeddings `[N, h, w, width]`, the first of which has that size: the others are resized to
  /// it and all stand side by side, or the fusion yields what that would yield.
  /// A collective where batch norm uses batch statistics.
  func callAsFunction(_ levels: [Variable], _ context: ForwardContext) throws -> Variable
}
