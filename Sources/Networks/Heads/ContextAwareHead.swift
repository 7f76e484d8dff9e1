// DAFormer's decode head (Hoyer et al., CVPR 2022, section 3.2): every feature map is embedded linearly, resized to the
// finest one, concatenated and fused; a classifier follows. The scale attention of HRDA is the same head with a plain
// 1×1 fusion. N samples, H×W at the finest stride, K classes.

import Autograd
import Kernels
import Tensors

/// Embeds, concatenates, fuses and classifies feature maps.
///
/// With `coarsestASPP` fusion the coarsest map's embedding is a convolution and passes through the pyramid after resizing;
/// the published code resizes first, which differs by rounding only, since a 1×1 convolution and resizing commute.
public struct ContextAwareHead: SegmentationHead {
  private let name: String
  private let embeddings: [(Variable, ForwardContext) -> Variable]
  private let coarsestContext: SeparablePyramidFusion?
  private let fusion: any Fusion
  private let classifier: Convolution
  private let dropout: Float

  /// Declares the parameters under `name`.
  /// - Parameters:
  ///   - registry: where parameters are declared.
  ///   - name: prefix of the parameters' names.
  ///   - channels: those of the encoder's feature maps, finest first.
  ///   - classCount: number of classes.
  ///   - options: options of the head.
  public init(
    _ registry: ParameterRegistry, _ name: String, channels: [Int], classCount: Int, _ options: HeadOptions
  ) {
    self.name = name
    dropout = Float(options.dropout)
    let isOnCoarsest = options.fusion == .coarsestASPP
    let coarsest = "\(name).embed_layers.\(channels.count - 1)"
    embeddings = channels.enumerated().map { index, count in
      if isOnCoarsest && index == channels.count - 1 {
        let embedding = Convolution(
          registry, "\(coarsest).0", inputs: count, outputs: options.width, ConvolutionGeometry(kernel: 1))
        return { embedding($0, $1) }
      }
      let embedding = Linear(registry, "\(name).embed_layers.\(index).proj", inputs: count, outputs: options.width)
      return { embedding($0, $1) }
    }
    coarsestContext =
      isOnCoarsest
      ? SeparablePyramidFusion(
        registry, "\(coarsest).1", inputs: options.width, outputs: options.width, dilations: options.dilations) : nil
    fusion = options.fusion.make(
      registry, "\(name).fuse_layer", inputs: options.width * channels.count, outputs: options.width,
      dilations: options.dilations)
    classifier = Convolution(
      registry, "\(name).conv_seg", inputs: options.width, outputs: classCount, ConvolutionGeometry(kernel: 1),
      initializer: .normal(deviation: 0.01))
  }

  /// Logits `[N, H, W, K]` and the fused map, at the stride of the first feature map.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput {
    var levels = zip(embeddings, features).map { $0($1, context) }
    if let coarsestContext {
      let finest = features[0].value.shape
      let last = bilinear(levels.removeLast(), height: finest[1], width: finest[2], context)
      levels.append(try coarsestContext([last], context))
    }
    let fused = try fusion(levels, context)
    context.marks(classifier.weight)
    let logits = classifier(channelDropout(fused, rate: dropout, layer: name, context), context)
    return HeadOutput(logits: logits, fused: fused)
  }
}
