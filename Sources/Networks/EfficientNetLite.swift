// EfficientNet-Lite0 encoder (Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020; Tan, Le, ICML 2019):
// inverted bottlenecks with ReLU6 and without squeeze-and-excite. N samples, H×W image, C channels.

import Autograd
import Kernels
import Tensors

/// EfficientNet-Lite0 without its classifier.
///
/// Parameters have the names of the converted ImageNet weights (`efficientnet_lite_pytorch`). Padding is TensorFlow's
/// "SAME" for the size at hand: the package's own networks pad for a fixed image size unless told otherwise. Images are
/// brought to (v - 127) / 128 first, as in training on ImageNet. Batch norm has epsilon 10⁻³ and momentum 0.01 (0.99 as
/// TensorFlow counts). There is no drop path; the published training of the classifier had one.
public struct EfficientNetLite: Encoder {
  /// What it was trained on.
  public static let input = InputNormalisation(
    mean: [127, 127, 127], deviation: [128, 128, 128])

  /// Blocks of one kind: kernel, stride of the first, expansion and output channels.
  private static let stages: [(count: Int, kernel: Int, stride: Int, expansion: Int, outputs: Int)] = [
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
  ]

  /// The place of a stage's block in the chain of all blocks; nil if the network has no such block.
  public static func blockIndex(stage: Int, block: Int) -> Int? {
    guard stages.indices.contains(stage), (0..<stages[stage].count).contains(block) else { return nil }
    return stages[..<stage].reduce(block) { $0 + $1.count }
  }

  /// 24, 40, 112, 320.
  public let channels = [24, 40, 112, 320]
  /// 4, 8, 16, 32.
  public let strides = [4, 8, 16, 32]
  private let stem: NormalisedConvolution
  private let blocks: [InvertedBottleneck]

  /// Declares the parameters under `prefix` ("backbone").
  public init(_ registry: ParameterRegistry, _ prefix: String) {
    stem = NormalisedConvolution(
      registry, "\(prefix)._conv_stem", norm: "\(prefix)._bn0", inputs: 3, outputs: 32,
      ConvolutionGeometry(kernel: 3, stride: 2, padding: 0), epsilon: batchNormEpsilon, momentum: batchNormMomentum)
    var inputs = 32
    var blocks: [InvertedBottleneck] = []
    for stage in EfficientNetLite.stages {
      for index in 0..<stage.count {
        blocks.append(
          InvertedBottleneck(
            registry, "\(prefix)._blocks.\(blocks.count)", inputs: inputs, outputs: stage.outputs,
            expansion: stage.expansion, kernel: stage.kernel, stride: index == 0 ? stage.stride : 1))
        inputs = stage.outputs
      }
    }
    self.blocks = blocks
  }

  /// The first outputs of blocks 2, 4, 10 and 15: `[N, H/s, W/s, C]`, s = 4, 8, 16, 32, rounded up.
  public func callAsFunction(_ image: Variable, maps count: Int, _ context: ForwardContext) throws -> [Variable] {
    let (height, width) = (image.value.shape[1], image.value.shape[2])
    let window = PaddedWindow.same(kernel: 3, stride: 2, height: height, width: width)
    let canvas = padded(
      renormalised(image, to: EfficientNetLite.input),
      into: Box(top: window.top, bottom: window.top + height, left: window.left, right: window.left + width),
      height: window.paddedHeight(height), width: window.paddedWidth(width), context)
    var x = try stem(canvas, .relu6, context)
    return try [0..<3, 3..<5, 5..<11, 11..<16].prefix(count).enumerated().map { index, part in
      x = try blocks[part].reduce(x) { try $1($0, context) }
      if index == 0 { x = context.restyled(x) }
      return x
    }
  }
}

private let batchNormEpsilon: Float = 1e-3
private let batchNormMomentum: Float = 0.01

/// Expanding 1×1, depthwise k×k and projecting 1×1 convolution; beside a shortcut where input and output agree in shape.
private struct InvertedBottleneck {
  let expansion: NormalisedConvolution?
  let filters: Parameter
  let filterNorm: BatchNormState
  let kernel: Int
  let stride: Int
  let projection: NormalisedConvolution
  let hasShortcut: Bool

  init(
    _ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, expansion: Int, kernel: Int, stride: Int
  ) {
    func pointwise(_ convolution: String, _ norm: String, inputs: Int, outputs: Int) -> NormalisedConvolution {
      NormalisedConvolution(
        registry, "\(name).\(convolution)", norm: "\(name).\(norm)", inputs: inputs, outputs: outputs,
        ConvolutionGeometry(kernel: 1), epsilon: batchNormEpsilon, momentum: batchNormMomentum)
    }
    let hidden = expansion * inputs
    self.expansion = expansion > 1 ? pointwise("_expand_conv", "_bn0", inputs: inputs, outputs: hidden) : nil
    // Fan-out counts the outputs of one group, as in TensorFlow, where a depthwise filter has one.
    filters = registry.declare(
      "\(name)._depthwise_conv.weight", [hidden, 1, kernel, kernel],
      .heNormal(outputs: hidden, taps: kernel * kernel, groups: hidden))
    filterNorm = registry.declareBatchNorm(
      "\(name)._bn1", channels: hidden, epsilon: batchNormEpsilon, momentum: batchNormMomentum)
    projection = pointwise("_project_conv", "_bn2", inputs: hidden, outputs: outputs)
    self.kernel = kernel
    self.stride = stride
    hasShortcut = stride == 1 && inputs == outputs
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) throws -> Variable {
    context.marks(expansion?.weight ?? filters)
    let wide = try expansion?(x, .relu6, context) ?? x
    let window = PaddedWindow.same(
      kernel: kernel, stride: stride, height: x.value.shape[1], width: x.value.shape[2])
    let filtered = try batchNorm(
      depthwiseConvolution(wide, filters, window, context), filterNorm, rectifier: .relu6, context)
    let y = try projection(filtered, .identity, context)
    return hasShortcut ? add(y, x, context) : y
  }
}
