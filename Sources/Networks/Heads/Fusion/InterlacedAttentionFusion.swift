// Fusion by interlaced sparse self-attention (Huang et al., 2019): attention between far pixels, then between near ones.
// N samples, H×W pixels, C channels.

import Autograd
import Kernels
import Tensors

/// 1×1 convolution, then self-attention among the pixels at one place of every 8×8 cell, then among those of one cell.
///
/// Cells that stick out of the map are filled up with zeros on both sides, which take part in attention and in batch
/// statistics, as in the published code. Keys and queries have as many channels as values; both are 256 there.
struct InterlacedAttentionFusion: Fusion {
  private static let side = 8

  private let input: ConvolutionModule
  private let far: GroupAttention
  private let near: GroupAttention

  init(_ registry: ParameterRegistry, _ name: String, inputs: Int, outputs: Int) {
    input = ConvolutionModule(registry, "\(name).in_conv", inputs: inputs, outputs: outputs, kernel: 1)
    far = GroupAttention(registry, "\(name).global_relation", channels: outputs, .interlaced)
    near = GroupAttention(registry, "\(name).local_relation", channels: outputs, .cells)
  }

  func callAsFunction(_ levels: [Variable], _ context: ForwardContext) throws -> Variable {
    let (height, width) = (levels[0].value.shape[1], levels[0].value.shape[2])
    let side = InterlacedAttentionFusion.side
    let filledHeight = (height + side - 1) / side * side
    let filledWidth = (width + side - 1) / side * side
    let top = (filledHeight - height) / 2
    let left = (filledWidth - width) / 2
    let box = Box(top: top, bottom: top + height, left: left, right: left + width)
    let isWhole = (filledHeight, filledWidth) == (height, width)
    var y = try input(levels, context)
    if !isWhole { y = padded(y, into: box, height: filledHeight, width: filledWidth, context) }
    y = try far(y, side: side, context)
    y = try near(y, side: side, context)
    return isWhole ? y : cropped(y, to: box, context)
  }
}

/// One-headed self-attention inside groups of pixels, without a residual branch.
private struct GroupAttention {
  let grouping: PixelGrouping
  let query: ConvolutionModule
  let key: ConvolutionModule
  let value: Convolution
  let output: ConvolutionModule

  init(_ registry: ParameterRegistry, _ name: String, channels: Int, _ grouping: PixelGrouping) {
    self.grouping = grouping
    func module(_ part: String) -> ConvolutionModule {
      ConvolutionModule(registry, "\(name).\(part)", inputs: channels, outputs: channels, kernel: 1)
    }
    key = module("key_project")
    query = module("query_project")
    value = Convolution(
      registry, "\(name).value_project", inputs: channels, outputs: channels, ConvolutionGeometry(kernel: 1))
    output = module("output_project")
  }

  func callAsFunction(_ x: Variable, side: Int, _ context: ForwardContext) throws -> Variable {
    let (height, width) = (x.value.shape[1], x.value.shape[2])
    func grouped(_ map: Variable) -> Variable { groupedPixels(map, side: side, grouping, context) }
    let keys = try key(x, context)
    let queries = grouped(try query(x, context))
    let keysValues = grouped(concatenated([keys, value(x, context)], context))
    let attended = attention(queries: queries, keysValues: keysValues, heads: 1, context)
    return try output(
      ungroupedPixels(attended, height: height, width: width, side: side, grouping, context), context)
  }
}
