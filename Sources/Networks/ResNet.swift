// Residual network encoder (He et al., CVPR 2016), version v1c as mmsegmentation builds it for segmentation: a stem of
// three 3×3 convolutions, and dilation instead of stride in the last two stages, so that the output stride is 8.

import Autograd
import Kernels
import Tensors

/// The size of one residual network.
public struct ResNetVariant: Sendable, Equatable {
  /// Name in recipes.
  public let name: String
  /// Bottlenecks of each stage.
  public let depths: [Int]
  /// Channels that the bottlenecks of the first stage narrow to; the others follow.
  public let width: Int

  /// A variant.
  public init(_ name: String, depths: [Int], width: Int = 64) {
    self.name = name
    self.depths = depths
    self.width = width
  }

  /// Published depths (table 1 of the paper), and a small one for tests.
  public static let all = [
    ResNetVariant("resnet-tiny", depths: [1, 1, 1, 1], width: 8), ResNetVariant("resnet50", depths: [3, 4, 6, 3]),
    ResNetVariant("resnet101", depths: [3, 4, 23, 3]),
  ]
}

/// Residual network with deep stem and dilated last stages.
///
/// Parameters have mmsegmentation's names. As in its configurations for DeepLabV2 and HRDA (`contract_dilation`), the
/// first bottleneck of a dilated stage has half of the stage's dilation. Batch norm has the batch's statistics in
/// training, over all ranks, and running ones in evaluation, unless the options say otherwise. Last batch norms of
/// bottlenecks start with factor 0, so that every bottleneck starts as the identity (mmsegmentation's
/// `zero_init_residual`); a factor that is not trained would leave it there, and starts as 1/√bottlenecks, with which the
/// sum over all of them keeps its size.
public struct ResNet: Encoder {
  /// 4, 8, 16 and 32 times the variant's width: 256, 512, 1024, 2048 as published.
  public let channels: [Int]
  /// 4, 8, 8, 8.
  public let strides = [4, 8, 8, 8]
  private let stem: [NormalisedConvolution]
  private let stages: [[Bottleneck]]

  /// Declares the parameters under `prefix` ("backbone").
  public init(
    _ registry: ParameterRegistry, _ prefix: String, _ variant: ResNetVariant,
    _ options: EncoderOptions = EncoderOptions()
  ) {
    let width = variant.width
    channels = (0..<4).map { 4 * width << $0 }
    let branchScale = options.batchNorm == .batch ? 0 : 1 / Float(variant.depths.reduce(0, +)).squareRoot()
    stem = [(3, width / 2, 2), (width / 2, width / 2, 1), (width / 2, width, 1)].enumerated().map { index, size in
      NormalisedConvolution(
        registry, "\(prefix).stem.\(3 * index)", norm: "\(prefix).stem.\(3 * index + 1)", inputs: size.0,
        outputs: size.1, ConvolutionGeometry(kernel: 3, stride: size.2))
    }
    var inputs = width
    stages = (0..<4).map { index in
      let dilation = [1, 1, 2, 4][index]
      return (0..<variant.depths[index]).map { block in
        defer { inputs = 4 * width << index }
        return Bottleneck(
          registry, "\(prefix).layer\(index + 1).\(block)", inputs: inputs, width: width << index,
          stride: index == 1 && block == 0 ? 2 : 1, dilation: block == 0 ? max(1, dilation / 2) : dilation,
          branchScale: branchScale)
      }
    }
  }

  /// The first stage outputs of four `[N, H/s, W/s, C]`, s = 4, 8, 8, 8, rounded up.
  public func callAsFunction(_ image: Variable, maps count: Int, _ context: ForwardContext) throws -> [Variable] {
    var x = try stem.reduce(image) { try $1($0, .relu, context) }
    x = maxPooling(x, PaddedWindow(kernel: 3, stride: 2, padding: 1), context)
    return try stages.prefix(count).enumerated().map { index, stage in
      x = try stage.reduce(x) { try $1($0, context) }
      if index == 0 { x = context.restyled(x) }
      return x
    }
  }
}

/// 1×1, 3×3 and 1×1 convolution beside a shortcut. The stride is the 3×3 convolution's.
struct Bottleneck {
  let convolutions: [NormalisedConvolution]
  let shortcut: NormalisedConvolution?

  init(
    _ registry: ParameterRegistry, _ name: String, inputs: Int, width: Int, stride: Int = 1, dilation: Int = 1,
    branchScale: Float = 1
  ) {
    let outputs = 4 * width
    let geometries = [
      ConvolutionGeometry(kernel: 1), ConvolutionGeometry(kernel: 3, stride: stride, dilation: dilation),
      ConvolutionGeometry(kernel: 1),
    ]
    let widths = [inputs, width, width, outputs]
    convolutions = (0..<3).map { index in
      NormalisedConvolution(
        registry, "\(name).conv\(index + 1)", norm: "\(name).bn\(index + 1)", inputs: widths[index],
        outputs: widths[index + 1], geometries[index], scale: index == 2 ? branchScale : 1)
    }
    shortcut =
      stride > 1 || inputs != outputs
      ? NormalisedConvolution(
        registry, "\(name).downsample.0", norm: "\(name).downsample.1", inputs: inputs, outputs: outputs,
        ConvolutionGeometry(kernel: 1, stride: stride)) : nil
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) throws -> Variable {
    context.marks(convolutions[0].weight)
    let middle = try convolutions[..<2].reduce(x) { try $1($0, .relu, context) }
    let branch = try convolutions[2](middle, .identity, context)
    return relu(add(branch, try shortcut?(x, .identity, context) ?? x, context), context)
  }
}
