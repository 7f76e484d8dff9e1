// The discriminator of output-space alignment (Tsai et al., AdaptSegNet, CVPR 2018, section 4.2).
// N samples, H×W map, K channels.

import Autograd
import Kernels
import Tensors

/// Tells from a map of class scores, patch by patch, which domain the image is of.
///
/// Five 4×4 convolutions with bias, stride 2 and padding 1, to `width` times 1, 2, 4 and 8 channels and to one, with leaky
/// ReLU of slope 0.2 between; no norm, no sigmoid at the end. Every convolution halves the sides, rounded down: a map of
/// 720×1280 becomes 22×40. Parameters are named `conv1` to `conv4` and `classifier`, as in the released code, and start
/// as PyTorch's convolutions do.
public struct Discriminator {
  private let convolutions: [Convolution]

  /// Declares the parameters under `prefix`.
  /// - Parameters:
  ///   - registry: where parameters are declared.
  ///   - prefix: prefix of the parameters' names.
  ///   - inputs: channels of the maps.
  ///   - width: channels after the first convolution; published: 64.
  public init(_ registry: ParameterRegistry, prefix: String, inputs: Int, width: Int = 64) {
    precondition(inputs > 0 && width > 0, "\(prefix): \(inputs) inputs, width \(width)")
    let widths = [inputs, width, 2 * width, 4 * width, 8 * width, 1]
    convolutions = ["conv1", "conv2", "conv3", "conv4", "classifier"].enumerated().map { index, name in
      let initializer = Initializer.uniform(inputs: widths[index], taps: 16)
      return Convolution(
        registry, "\(prefix).\(name)", inputs: widths[index], outputs: widths[index + 1],
        ConvolutionGeometry(kernel: 4, stride: 2, padding: 1), initializer: initializer, bias: initializer)
    }
  }

  /// Logits `[N, H/32, W/32, 1]`, sides rounded down, of maps `[N, H, W, inputs]`.
  /// - Precondition: the maps have at least 32 rows and columns.
  public func callAsFunction(_ map: Variable, _ context: ForwardContext) -> Variable {
    let shape = map.value.shape
    precondition(shape[1] >= 32 && shape[2] >= 32, "a discriminator halves five times, which \(shape) is too small for")
    let hidden = convolutions.dropLast().reduce(map) { leakyRelu($1($0, context), slope: 0.2, context) }
    return convolutions[convolutions.count - 1](hidden, context)
  }
}
