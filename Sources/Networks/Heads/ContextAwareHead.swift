// DAFormer's decode head (Hoyer et al., CVPR 2022, section 3.2): every feature map is embedded linearly, resized to the
// finest one, concatenated and fused; a classifier follows. The scale attention of HRDA is the same head with a plain
// 1×1 fusion. N samples, H×W at the finest stride, K classes.

import Autograd
import Kernels
import Tensors

/// Embeds, concatenates, fuses and classifies feature maps.
public struct ContextAwareHead: SegmentationHead {
  private let name: String
  private let embeddings: [Linear]
  private let fusion: any Fusion
  private let classifier: Convolution
  private let dropout: Float

  /// Declares the parameters under `name`.
  /// - Parameter channels: those of the encoder's feature maps, finest first.
  public init(
    _ registry: ParameterRegistry, _ name: String, channels: [Int], classCount: Int, _ options: HeadOptions
  ) {
    self.name = name
    dropout = Float(options.dropout)
    embeddings = channels.enumerated().map { index, count in
      Linear(registry, "\(name).embed_layers.\(index).proj", inputs: count, outputs: options.width)
    }
    fusion = options.fusion.make(
      registry, "\(name).fuse_layer", inputs: options.width * channels.count, outputs: options.width,
      dilations: options.dilations)
    classifier = Convolution(
      registry, "\(name).conv_seg", inputs: options.width, outputs: classCount, ConvolutionGeometry(kernel: 1),
      initializer: .normal(deviation: 0.01))
  }

  /// Logits `[N, H, W, K]` at the stride of the first feature map.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> Variable {
    let height = features[0].value.shape[1]
    let width = features[0].value.shape[2]
    let embedded = zip(embeddings, features).map { embedding, feature in
      bilinear(embedding(feature, context), height: height, width: width, context)
    }
    let fused = try fusion(concatenated(embedded, context), context)
    return classifier(channelDropout(fused, rate: dropout, layer: name, context), context)
  }
}
