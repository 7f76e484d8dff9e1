// UPerNet's head (Xiao et al., ECCV 2018, section 3.1): pyramid pooling of the coarsest feature map, a feature pyramid
// down to the finest one, and a fusion of all its levels. N samples, H×W at the finest stride, K classes.

import Autograd
import Kernels
import Tensors

/// Pyramid pooling and feature pyramid; every convolution has batch norm and ReLU.
public struct UnifiedPerceptualHead: SegmentationHead {
  /// Cells along a side of each pooled map.
  private static let poolingCells = [1, 2, 3, 6]

  private let name: String
  private let pooled: [ConvolutionModule]
  private let bottleneck: ConvolutionModule
  private let laterals: [ConvolutionModule]
  private let smoothings: [ConvolutionModule]
  private let fusion: ConvolutionModule
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
    let width = options.width
    let cells = UnifiedPerceptualHead.poolingCells
    let deepest = channels[channels.count - 1]
    pooled = cells.indices.map {
      ConvolutionModule(registry, "\(name).psp_modules.\($0).1", inputs: deepest, outputs: width, kernel: 1)
    }
    bottleneck = ConvolutionModule(
      registry, "\(name).bottleneck", inputs: deepest + cells.count * width, outputs: width, kernel: 3)
    laterals = channels.dropLast().enumerated().map { index, count in
      ConvolutionModule(registry, "\(name).lateral_convs.\(index)", inputs: count, outputs: width, kernel: 1)
    }
    smoothings = channels.dropLast().indices.map {
      ConvolutionModule(registry, "\(name).fpn_convs.\($0)", inputs: width, outputs: width, kernel: 3)
    }
    fusion = ConvolutionModule(
      registry, "\(name).fpn_bottleneck", inputs: channels.count * width, outputs: width, kernel: 3)
    classifier = Convolution(
      registry, "\(name).conv_seg", inputs: width, outputs: classCount, ConvolutionGeometry(kernel: 1),
      initializer: .normal(deviation: 0.01))
  }

  /// Logits `[N, H, W, K]` and the fused map, at the stride of the first feature map.
  public func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput {
    let deepest = try pyramidPooling(features[features.count - 1], context)
    var levels = try zip(laterals, features).map { try $0($1, context) } + [deepest]
    for index in levels.indices.dropLast().reversed() {
      levels[index] = add(levels[index], resized(levels[index + 1], as: levels[index], context), context)
    }
    var outputs = try zip(smoothings, levels).map { try $0($1, context) }
    outputs.append(levels[levels.count - 1])
    let sameSize = outputs.map { resized($0, as: outputs[0], context) }
    let fused = try fusion(concatenated(sameSize, context), context)
    context.marks(classifier.weight)
    let logits = classifier(channelDropout(fused, rate: dropout, layer: name, context), context)
    return HeadOutput(logits: logits, fused: fused)
  }

  /// The map beside its means over grids of several sizes, fused.
  private func pyramidPooling(_ x: Variable, _ context: ForwardContext) throws -> Variable {
    let means = try zip(UnifiedPerceptualHead.poolingCells, pooled).map { cells, module in
      resized(try module(adaptiveAverage(x, cells: cells, context), context), as: x, context)
    }
    return try bottleneck(concatenated([x] + means, context), context)
  }

  private func resized(_ x: Variable, as other: Variable, _ context: ForwardContext) -> Variable {
    bilinear(x, height: other.value.shape[1], width: other.value.shape[2], context)
  }
}
