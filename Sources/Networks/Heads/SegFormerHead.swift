// SegFormer's all-MLP decoder (Xie et al., NeurIPS 2021, section 3.2): embed every feature map linearly, resize, fuse by a
// 1×1 convolution, classify. N samples, H×W at the finest stride, K classes.

import Autograd
import Kernels
import Tensors

/// The arithmetic of a DAFormer head with pointwise fusion under SegFormer's parameter names, with the maps concatenated
/// finest first as in the DAFormer repository; SegFormer's own code concatenates the coarsest first, so that the input
/// channels of `linear_fuse` come in another order there.
public struct SegFormerHead: SegmentationHead {
  private let name: String
  private let embeddings: [Linear]
  private let fusion: PointwiseFusion
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
    embeddings = channels.enumerated().map { index, count in
      Linear(registry, "\(name).linear_c.\(index).proj", inputs: count, outputs: options.width)
    }
    fusion = PointwiseFusion(
      registry, "\(name).linear_fuse", inputs: options.width * channels.count, outputs: options.width)
    classifier = Convolution(
      registry, "\(name).linear_pred", inputs: options.width, outputs: classCount, ConvolutionGeometry(kernel: 1),
      initializer: .normal(deviation: 0.01))
  }

  /// Logits `[N, H, W, K]` and the fused map, at the stride of the first feature map.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput {
    let fused = try fusion(zip(embeddings, features).map { $0($1, context) }, context)
    context.marks(classifier.weight)
    let logits = classifier(channelDropout(fused, rate: dropout, layer: name, context), context)
    return HeadOutput(logits: logits, fused: fused)
  }
}
