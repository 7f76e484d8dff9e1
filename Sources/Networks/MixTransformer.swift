// Mix Transformer encoder (Xie et al., SegFormer, NeurIPS 2021, section 3.1): four stages at strides 4, 8, 16, 32,
// overlapping patch embeddings, attention on a strided summary of the map, feed-forward with a depthwise convolution.
// N samples, T tokens (row-major pixels), C channels.

import Autograd
import Kernels
import Tensors

/// The sizes of one Mix Transformer.
public struct MixTransformerVariant: Sendable, Equatable {
  /// Name in recipes.
  public let name: String
  /// Channels of each stage.
  public let widths: [Int]
  /// Attention heads of each stage.
  public let heads: [Int]
  /// Blocks of each stage.
  public let depths: [Int]
  /// Stride of the summary that keys and values come from, per stage.
  public let reductions: [Int]
  /// Width of hidden layers in units of the stage's.
  public let expansion: Int

  /// A variant; reductions and expansion are the published ones unless given.
  public init(
    _ name: String, widths: [Int], heads: [Int], depths: [Int], reductions: [Int] = [8, 4, 2, 1], expansion: Int = 4
  ) {
    self.name = name
    self.widths = widths
    self.heads = heads
    self.depths = depths
    self.reductions = reductions
    self.expansion = expansion
  }

  private static func wide(_ name: String, _ depths: [Int]) -> MixTransformerVariant {
    MixTransformerVariant(name, widths: [64, 128, 320, 512], heads: [1, 2, 5, 8], depths: depths)
  }

  /// Published sizes B0 to B5 (SegFormer, appendix table 6), and a tiny one of our own.
  public static let all = [
    MixTransformerVariant("tiny", widths: [16, 32, 48, 64], heads: [1, 2, 3, 4], depths: [1, 1, 1, 1]),
    MixTransformerVariant("b0", widths: [32, 64, 160, 256], heads: [1, 2, 5, 8], depths: [2, 2, 2, 2]),
    wide("b1", [2, 2, 2, 2]), wide("b2", [3, 4, 6, 3]), wide("b3", [3, 4, 18, 3]), wide("b4", [3, 8, 27, 3]),
    wide("b5", [3, 6, 40, 3]),
  ]
}

/// Mix Transformer encoder.
public struct MixTransformer: Encoder {
  private struct Stage {
    let embedding: PatchEmbedding
    let blocks: [Block]
    let norm: LayerNorm
  }

  /// Channels of the four feature maps.
  public let channels: [Int]
  /// 4, 8, 16, 32.
  public let strides = [4, 8, 16, 32]
  private let stages: [Stage]

  /// Declares the parameters under `prefix` ("backbone").
  public init(
    _ registry: ParameterRegistry, _ prefix: String, _ variant: MixTransformerVariant, _ options: EncoderOptions
  ) {
    channels = variant.widths
    let total = variant.depths.reduce(0, +)
    var inputs = 3
    var number = 0
    stages = (0..<4).map { index in
      let width = variant.widths[index]
      let embedding = PatchEmbedding(
        registry, "\(prefix).patch_embed\(index + 1)", inputs: inputs, outputs: width,
        kernel: index == 0 ? 7 : 3, stride: index == 0 ? 4 : 2)
      let blocks = (0..<variant.depths[index]).map { block in
        defer { number += 1 }
        let rate = total > 1 ? options.dropPath * Float(number) / Float(total - 1) : 0
        return Block(
          registry, "\(prefix).block\(index + 1).\(block)", channels: width, heads: variant.heads[index],
          reduction: variant.reductions[index], expansion: variant.expansion, dropPath: rate)
      }
      inputs = width
      return Stage(
        embedding: embedding, blocks: blocks,
        norm: LayerNorm(registry, "\(prefix).norm\(index + 1)", channels: width, epsilon: 1e-6))
    }
  }

  /// The first stage outputs of four `[N, H/s, W/s, C]`, s = 4, 8, 16, 32, rounded up.
  public func callAsFunction(_ image: Variable, maps count: Int, _ context: ForwardContext) throws -> [Variable] {
    var x = image
    return stages.prefix(count).enumerated().map { index, stage in
      context.marks(stage.embedding.projection.weight)
      x = stage.embedding(x, context)
      for block in stage.blocks { x = block(x, context) }
      x = stage.norm(x, context)
      if index == 0 { x = context.restyled(x) }
      return x
    }
  }
}

/// Strided convolution with overlapping patches, then layer norm.
package struct PatchEmbedding {
  let projection: Convolution
  let norm: LayerNorm

  package init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int, kernel: Int, stride: Int) {
    projection = Convolution(
      registry, "\(name).proj", inputs: inputs, outputs: outputs, ConvolutionGeometry(kernel: kernel, stride: stride))
    norm = LayerNorm(registry, "\(name).norm", channels: outputs, epsilon: 1e-5)
  }

  package func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    norm(projection(x, context), context)
  }
}

/// Pre-norm transformer block: attention, then feed-forward, each on a residual branch with drop path.
package struct Block {
  let name: String
  let norm1: LayerNorm
  let attention: ReducedAttention
  let norm2: LayerNorm
  let feedForward: MixFeedForward
  let dropPath: Float

  package init(
    _ registry: ParameterRegistry, _ name: String, channels: Int, heads: Int, reduction: Int, expansion: Int = 4,
    dropPath: Float
  ) {
    self.name = name
    self.dropPath = dropPath
    norm1 = LayerNorm(registry, "\(name).norm1", channels: channels, epsilon: 1e-6)
    attention = ReducedAttention(
      registry, "\(name).attn", channels: channels, heads: heads, reduction: reduction)
    norm2 = LayerNorm(registry, "\(name).norm2", channels: channels, epsilon: 1e-6)
    feedForward = MixFeedForward(registry, "\(name).mlp", channels: channels, hidden: expansion * channels)
  }

  package func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    context.marks(norm1.scale)
    let y = residual(x, attention(norm1(x, context), context), dropRate: dropPath, layer: "\(name).attn", context)
    return residual(
      y, feedForward(norm2(y, context), context), dropRate: dropPath, layer: "\(name).mlp", context)
  }
}

/// Self-attention whose keys and values come from a summary of the map: a convolution with kernel = stride = reduction.
package struct ReducedAttention {
  let heads: Int
  let query: Linear
  let keyValue: Linear
  let projection: Linear
  let summary: (convolution: Convolution, norm: LayerNorm)?

  package init(_ registry: ParameterRegistry, _ name: String, channels: Int, heads: Int, reduction: Int) {
    self.heads = heads
    query = Linear(registry, "\(name).q", inputs: channels, outputs: channels)
    keyValue = Linear(registry, "\(name).kv", inputs: channels, outputs: 2 * channels)
    projection = Linear(registry, "\(name).proj", inputs: channels, outputs: channels)
    summary =
      reduction > 1
      ? (
        Convolution(
          registry, "\(name).sr", inputs: channels, outputs: channels,
          ConvolutionGeometry(kernel: reduction, stride: reduction, padding: 0)),
        LayerNorm(registry, "\(name).norm", channels: channels, epsilon: 1e-5)
      ) : nil
  }

  package func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    let source = summary.map { $0.norm($0.convolution(x, context), context) } ?? x
    let y = Autograd.attention(
      queries: asTokens(query(x, context)), keysValues: asTokens(keyValue(source, context)), heads: heads, context)
    return projection(y.reshaped(x.value.shape), context)
  }

  private func asTokens(_ x: Variable) -> Variable {
    let shape = x.value.shape
    return x.reshaped([shape[0], shape[1] * shape[2], shape[3]])
  }
}

/// Linear, depthwise 3×3, GELU, linear.
package struct MixFeedForward {
  let expand: Linear
  let depthwise: DepthwiseConvolution
  let contract: Linear

  package init(_ registry: ParameterRegistry, _ name: String, channels: Int, hidden: Int) {
    expand = Linear(registry, "\(name).fc1", inputs: channels, outputs: hidden)
    depthwise = DepthwiseConvolution(registry, "\(name).dwconv.dwconv", channels: hidden)
    contract = Linear(registry, "\(name).fc2", inputs: hidden, outputs: channels)
  }

  package func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable {
    linearOfGELU(depthwise(expand(x, context), context), contract.weight, contract.bias, context)
  }
}
