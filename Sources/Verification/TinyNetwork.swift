// The tiny network of the reference files with whole training steps: the layout of DeepLabV2 in a few hundred parameters,
// so that the real step runs over it. N samples, H×W image, K classes.

import Autograd
import Kernels
import Networks
import Optimization
import Synchronization
import Tensors

/// The network that `22-dacs-step`, `22-adaptsegnet-step`, `16-*-step` and `18-clan-step` train (`TinySeg` there).
///
/// Batch norm normalises with batch statistics; its scale and shift are parameters here that no optimizer moves. Parameters
/// bear the files' names: `conv1.weight`, `bn1.running_mean`, `main.0.weight`, and `aux.…` for a head whose prefix is of an
/// auxiliary one. Images arrive in ImageNet's normalisation, as everywhere; the encoder sees them as the file does.
struct TinyNetwork {
  private static let name = "tiny of reference files"
  /// Channels of all features.
  static let width = 6
  /// Dilations of a head's convolutions.
  static let dilations = [6, 12]

  /// How the file normalises images.
  let normalisation: InputNormalisation
  /// Classes that are told apart.
  let classes: Int

  /// The network for images less `mean` (RGB in the order of the file's channels), as these files have them.
  init(mean: [Float], classes: Int) {
    normalisation = InputNormalisation(mean: mean, deviation: [1, 1, 1])
    self.classes = classes
  }

  /// What it is built from: one crop at full size, logits at image size.
  var configuration: NetworkConfiguration {
    let size = SizeInView()
    var configuration = NetworkConfiguration(
      encoder: .built(
        EncoderBuilder(TinyNetwork.name) { [normalisation] registry, _ in
          TinyEncoder(registry, normalisation, size)
        }),
      classCount: classes, detailHeight: 8, detailWidth: 8)
    configuration.encoderOptions = EncoderOptions(dropPath: 0)
    configuration.resolution = .contextOnly
    configuration.contextReduction = 1
    configuration.head = TinyNetwork.name
    configuration.ownHead = HeadEntry(
      name: TinyNetwork.name, published: HeadOptions(dilations: TinyNetwork.dilations, dropout: 0), grid: .coarsest,
      hasWidth: false, make: { TinyHead($0, $1, channels: $2, classCount: $3, $4, size) })
    configuration.dilations = TinyNetwork.dilations
    configuration.headDropout = 0
    return configuration
  }

  /// Rates and decay: heads learn at ten times the encoder's rate, batch norm not at all.
  static func groups(weightDecay: Double) -> ParameterGroups {
    ParameterGroups(
      rules: [
        ParameterRule(word: "main", rateFactor: 10), ParameterRule(word: "aux", rateFactor: 10),
        ParameterRule(word: "bn", rateFactor: 0, decayFactor: 0),
      ], weightDecay: weightDecay)
  }
}

/// Rows and columns of the image that is in the network: heads see features only, whose sizes do not tell whether a side
/// of the image is odd.
private final class SizeInView: Sendable {
  let value = Mutex((height: 0, width: 0))
}

/// Two normalised convolutions at stride 2, the second dilated, and a third with bias; features of the last two.
private struct TinyEncoder: Encoder {
  let channels = [TinyNetwork.width, TinyNetwork.width]
  let strides = [2, 2]
  private let normalisation: InputNormalisation
  private let weights: [Parameter]
  private let norms: [BatchNormState]
  private let bias: Parameter
  private let size: SizeInView

  init(_ registry: ParameterRegistry, _ normalisation: InputNormalisation, _ size: SizeInView) {
    self.normalisation = normalisation
    self.size = size
    let width = TinyNetwork.width
    let first = registry.declare("conv1.weight", [width, 3, 3, 3], .constant(0))
    let firstNorm = registry.declareBatchNorm("bn1", channels: width)
    let second = registry.declare("conv2.weight", [width, width, 3, 3], .constant(0))
    let secondNorm = registry.declareBatchNorm("bn2", channels: width)
    let third = registry.declare("conv3.weight", [width, width, 3, 3], .constant(0))
    bias = registry.declare("conv3.bias", [width], .constant(0))
    weights = [first, second, third]
    norms = [firstNorm, secondNorm]
  }

  func callAsFunction(_ image: Variable, maps count: Int, _ context: ForwardContext) throws -> [Variable] {
    size.value.withLock { $0 = (image.value.shape[1], image.value.shape[2]) }
    let seen = renormalised(image, to: normalisation)
    let first = try batchNorm(
      convolution(seen, weights[0], nil, ConvolutionGeometry(kernel: 3, stride: 2), context), norms[0],
      rectifier: .relu, context)
    let second = try batchNorm(
      convolution(first, weights[1], nil, ConvolutionGeometry(kernel: 3, dilation: 2), context), norms[1],
      rectifier: .relu, context)
    guard count > 1 else { return [second] }
    return [second, relu(convolution(second, weights[2], bias, ConvolutionGeometry(kernel: 3), context), context)]
  }
}

/// The sum of dilated convolutions of the last feature map, resized to the image, corners on corners.
private struct TinyHead: SegmentationHead {
  private let branches: [(weight: Parameter, bias: Parameter, geometry: ConvolutionGeometry)]
  private let size: SizeInView

  init(
    _ registry: ParameterRegistry, _ prefix: String, channels: [Int], classCount: Int, _ options: HeadOptions,
    _ size: SizeInView
  ) {
    self.size = size
    let name = prefix.contains("aux") ? "aux" : "main"
    branches = options.dilations.enumerated().map { index, dilation in
      (
        registry.declare(
          "\(name).\(index).weight", [classCount, channels[channels.count - 1], 3, 3], .constant(0)),
        registry.declare("\(name).\(index).bias", [classCount], .constant(0)),
        ConvolutionGeometry(kernel: 3, dilation: dilation)
      )
    }
  }

  /// Logits `[N, H, W, K]`; `fused` are the logits before they are resized.
  func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput {
    let maps = branches.map { convolution(features[features.count - 1], $0.weight, $0.bias, $0.geometry, context) }
    let logits = maps.dropFirst().reduce(maps[0]) { add($0, $1, context) }
    let (height, width) = size.value.withLock { $0 }
    return HeadOutput(
      logits: bilinear(logits, height: height, width: width, alignCorners: true, context), fused: logits)
  }
}
