// DAFormer's decode head (Hoyer et al., CVPR 2022, section 3.2): every feature map is embedded linearly, resized to the
// finest one, concatenated and fused; a classifier follows. The scale attention of HRDA is the same head with a plain
// 1×1 fusion. N samples, H×W at the finest stride, K classes.

import Autograd
import Kernels
import Tensors

/// How a head fuses the concatenated embeddings.
public enum FusionKind: Sendable, Equatable {
  /// One 1×1 convolution, batch norm, ReLU (SegFormer).
  case pointwise
  /// Depthwise-separable atrous spatial pyramid without image pooling, then a 3×3 bottleneck (DAFormer).
  case separablePyramid(dilations: [Int])
}

/// Embeds, concatenates, fuses and classifies feature maps.
public struct ContextAwareHead {
  private let name: String
  private let embeddings: [Linear]
  private let branches: [PyramidBranch]
  private let fusion: ConvolutionModule
  private let classifier: Convolution
  private let dropout: Float

  /// Declares the parameters under `name`.
  ///
  /// - Parameters:
  ///   - channels: those of the encoder's feature maps, finest first.
  ///   - width: channels of each embedding and of the fused map.
  ///   - dropout: rate of channel dropout before the classifier.
  public init(
    _ registry: ParameterRegistry, _ name: String, channels: [Int], width: Int, classCount: Int, fusion: FusionKind,
    dropout: Float
  ) {
    self.name = name
    self.dropout = dropout
    embeddings = channels.enumerated().map { index, count in
      Linear(registry, "\(name).embed_layers.\(index).proj", inputs: count, outputs: width)
    }
    let wide = width * channels.count
    switch fusion {
    case .pointwise:
      branches = []
      self.fusion = ConvolutionModule(registry, "\(name).fuse_layer", inputs: wide, outputs: width, kernel: 1)
    case .separablePyramid(let dilations):
      branches = dilations.enumerated().map { index, dilation in
        PyramidBranch(
          registry, "\(name).fuse_layer.aspp_modules.\(index)", inputs: wide, outputs: width, dilation: dilation)
      }
      self.fusion = ConvolutionModule(
        registry, "\(name).fuse_layer.bottleneck", inputs: width * dilations.count, outputs: width, kernel: 3)
    }
    classifier = Convolution(
      registry, "\(name).conv_seg", inputs: width, outputs: classCount, ConvolutionGeometry(kernel: 1),
      initializer: .normal(deviation: 0.01))
  }

  /// Logits `[N, H, W, K]` at the stride of the first feature map.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> Variable {
    let height = features[0].value.shape[1]
    let width = features[0].value.shape[2]
    let embedded = zip(embeddings, features).map { embedding, feature in
      bilinear(embedding(feature, context), height: height, width: width, context)
    }
    var x = concatenated(embedded, context)
    if !branches.isEmpty {
      x = concatenated(try branches.map { try $0(x, context) }, context)
    }
    let fused = channelDropout(try fusion(x, context), rate: dropout, layer: name, context)
    return classifier(fused, context)
  }
}

/// One branch of the pyramid: a 1×1 convolution for dilation 1, else a dilated depthwise 3×3 and a 1×1.
private struct PyramidBranch {
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
