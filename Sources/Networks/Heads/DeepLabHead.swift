// DeepLabV2's classifier (Chen et al., PAMI 2018, section 3.2): dilated convolutions of the last feature map straight to
// the classes, summed. N samples, H×W at the coarsest stride, K classes.

import Autograd
import Kernels
import Tensors

/// Sum of parallel 3×3 convolutions with bias, one for each dilation; no batch norm, activation or dropout.
///
/// Published dilations are 6, 12, 18, 24; adaptation methods before DAFormer used 6 and 12 only.
public struct DeepLabHead: SegmentationHead {
  private let branches: [Convolution]

  /// Declares the parameters under `name`.
  ///
  /// Of the options it has `dilations`; a dilation of 1 is a 1×1 convolution, as in the published code.
  /// - Parameters:
  ///   - registry: where parameters are declared.
  ///   - name: prefix of the parameters' names.
  ///   - channels: those of the encoder's feature maps, finest first; only the last is used.
  ///   - classCount: number of classes.
  ///   - options: options of the head.
  /// - Precondition: there are feature maps and dilations.
  public init(
    _ registry: ParameterRegistry, _ name: String, channels: [Int], classCount: Int, _ options: HeadOptions
  ) {
    precondition(!channels.isEmpty && !options.dilations.isEmpty, "\(name): maps \(channels), \(options.dilations)")
    branches = options.dilations.enumerated().map { index, dilation in
      Convolution(
        registry, "\(name).aspp_modules.\(index).conv", inputs: channels[channels.count - 1], outputs: classCount,
        ConvolutionGeometry(kernel: dilation == 1 ? 1 : 3, dilation: dilation), initializer: .normal(deviation: 0.01))
    }
  }

  /// Logits `[N, H, W, K]` at the stride of the last feature map.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput {
    let outputs = branches.map { branch in
      context.marks(branch.weight)
      return branch(features[features.count - 1], context)
    }
    return HeadOutput(logits: outputs.dropFirst().reduce(outputs[0]) { add($0, $1, context) })
  }
}
