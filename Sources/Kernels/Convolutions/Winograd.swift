// 3×3 convolution of stride 1 by Winograd's minimal filtering (Lavin and Gray, CVPR 2016). F(2×2, 3×3): 16 matrix products
// over tiles of 2×2 outputs do the work of 36; F(4×4, 3×3): 36 do the work of 144. N samples, H×W pixels, I inputs, O
// outputs, T tiles.

import CKernels
import Support
import Synchronization
import Tensors

/// How 3×3 convolutions of stride 1 are computed.
public enum ConvolutionMethod: String, Sendable, CaseIterable {
  /// As one sum for every output.
  case direct
  /// By Winograd's F(2×2, 3×3): rounding errors nearly those of direct sums.
  case winograd2
  /// By Winograd's F(4×4, 3×3): fewer multiplications, rounding errors several times as large.
  case winograd4
  /// The default: F(2×2, 3×3) for values that a gradient is going to pass through, F(4×4, 3×3) for the gradients
  /// themselves and for passes without gradient.
  ///
  /// A rectifier cuts a gradient by the sign of its input, so rounding there is worth the most digits; gradients and
  /// predictions follow their sums continuously.
  case winograd

  /// Outputs of a tile along a side; 0 without tiles.
  func side(_ role: ConvolutionRole) -> Int {
    switch self {
    case .direct: 0
    case .winograd2: 2
    case .winograd4: 4
    case .winograd: role == .activation ? 2 : 4
    }
  }

  /// The method in use by the process. Change it only while no kernel runs; sums then differ in their last bits.
  public static var current: ConvolutionMethod {
    get { allCases[chosen.load(ordering: .relaxed)] }
    set { chosen.store(allCases.firstIndex(of: newValue) ?? 0, ordering: .relaxed) }
  }
  private static let chosen = Atomic<Int>(3)
}

/// What the result of a convolution is for.
public enum ConvolutionRole: Sendable {
  /// Values that a gradient is going to pass through.
  case activation
  /// Values of a pass without gradient.
  case prediction
  /// A gradient.
  case gradient
}

/// Sizes and cuts of one Winograd call. Everything follows from one sample's shape.
private struct WinogradPlan {
  /// Channels that are transformed and multiplied together.
  static let chunk = 256
  /// Panels of outputs whose taps are transformed together.
  static let panels = 2
  /// Scratch that the samples of a round of several may take, in numbers; a round of one takes what it needs.
  static let roundLimit = 8 << 20

  /// Outputs of a tile along a side.
  let side: Int
  let height: Int
  let width: Int
  let inputs: Int
  let outputs: Int
  let tileRows: Int
  let tileColumns: Int

  init(_ x: Shape, outputs: Int, _ role: ConvolutionRole) {
    side = ConvolutionMethod.current.side(role)
    height = x[1]
    width = x[2]
    inputs = x[3]
    self.outputs = outputs
    tileRows = (height + side - 1) / side
    tileColumns = (width + side - 1) / side
  }

  /// Numbers that stand for a tile and a channel.
  var positions: Int { (side + 2) * (side + 2) }
  var tiles: Int { tileRows * tileColumns }

  /// Elements between positions: 16 more than the next multiple of 16, since counts are often multiples of a large power
  /// of two, at which distance the streams of a transform would share cache sets.
  static func stride(_ count: Int) -> Int { (count + 15) / 16 * 16 + 16 }
}

/// Whether a convolution takes Winograd's way: 3×3, stride 1, one pixel of padding, enough channels and tiles for the
/// transforms to pay for their time and their rounding.
func prefersWinograd(_ geometry: ConvolutionGeometry, inputs: Int, outputs: Int, height: Int, width: Int) -> Bool {
  ConvolutionMethod.current != .direct && geometry.kernel == 3 && geometry.stride == 1 && geometry.padding == 1
    && geometry.dilation == 1 && inputs >= 64 && outputs >= 64 && height >= 8 && width >= 8
}

/// Convolution by 3×3 taps with one pixel of zero padding.
///
/// Shapes: `x` [N, H, W, I]; `weight` [3, 3, I, O], or, `turned`, the taps read backwards and [3, 3, O, I], which is the
/// gradient with respect to the input; `bias` [O]; result [N, H, W, O].
func winogradConvolution(
  _ x: Tensor, weight: Tensor, bias: Tensor?, outputs: Int, turned: Bool, _ role: ConvolutionRole
) -> Tensor {
  let plan = WinogradPlan(x.shape, outputs: outputs, role)
  let result = Tensor(uninitialized: [x.samples, plan.height, plan.width, outputs])
  let inputChunks = Tiles(of: plan.inputs, size: WinogradPlan.chunk)
  let outputChunks = Tiles(of: outputs, size: WinogradPlan.chunk)
  let inputStride = WinogradPlan.stride(plan.tiles * min(plan.inputs, WinogradPlan.chunk))
  let outputStride = WinogradPlan.stride(plan.tiles * min(outputs, WinogradPlan.chunk))
  let perSample = plan.positions * (inputStride + outputStride)
  let round = max(1, min(x.samples, WinogradPlan.roundLimit / perSample))
  let transformed = Tensor(uninitialized: [round, plan.positions, inputStride])
  let products = Tensor(uninitialized: [round, plan.positions, outputStride])
  let turnedTaps =
    turned
    ? Tensor(uninitialized: [9, min(plan.inputs, WinogradPlan.chunk), min(outputs, WinogradPlan.chunk)]) : nil
  for first in Swift.stride(from: 0, to: x.samples, by: round) {
    let samples = first..<min(first + round, x.samples)
    for outputChunk in 0..<outputChunks.number {
      for inputChunk in 0..<inputChunks.number {
        let (ins, outs) = (inputChunks[inputChunk], outputChunks[outputChunk])
        if outputChunk == 0 || inputChunks.number > 1 {
          transformInput(x, plan, samples, ins, into: transformed, positionStride: inputStride)
        }
        let taps =
          turnedTaps.map { turn(weight, plan, ins, outs, into: $0) }
          ?? TapView(
            base: weight.pointer + ins.lowerBound * outputs + outs.lowerBound, tapStride: plan.inputs * outputs,
            rowStride: outputs)
        multiplyPositions(
          transformed, inputStride, taps, into: products, outputStride, plan, samples.count, ins.count, outs.count,
          accumulate: inputChunk > 0)
      }
      transformOutput(products, outputStride, plan, samples, outputChunks[outputChunk], bias, into: result)
    }
  }
  return result
}

/// Some outputs of some samples, from the products of all positions.
private func transformOutput(
  _ products: Tensor, _ positionStride: Int, _ plan: WinogradPlan, _ samples: Range<Int>, _ outs: Range<Int>,
  _ bias: Tensor?, into result: Tensor
) {
  WorkerPool.shared.run(tiles: samples.count * plan.tileRows) { index in
    let (local, row) = index.quotientAndRemainder(dividingBy: plan.tileRows)
    ck_winograd_output(
      Int32(plan.side), products.pointer + local * products.perSample + row * plan.tileColumns * outs.count,
      positionStride, bias.map { $0.pointer + outs.lowerBound },
      result.pointer + (samples.lowerBound + local) * result.perSample + outs.lowerBound, plan.height, plan.width,
      plan.outputs, outs.count, row)
  }
}

/// Nine matrices of taps inside larger ones: rows of inputs, in which outputs follow each other.
private struct TapView {
  let base: UnsafePointer<Float>
  let tapStride: Int
  let rowStride: Int
}

/// The taps of [3, 3, O, I] between some inputs and outputs backwards, as [3, 3, I, O].
private func turn(
  _ weight: Tensor, _ plan: WinogradPlan, _ ins: Range<Int>, _ outs: Range<Int>, into target: Tensor
) -> TapView {
  let blocks = Tiles(of: ins.count, size: 32)
  WorkerPool.shared.run(tiles: 9 * blocks.number) { index in
    let (tap, rows) = (index / blocks.number, blocks[index % blocks.number])
    ck_transpose(
      weight.pointer + ((8 - tap) * plan.outputs + outs.lowerBound) * plan.inputs + ins.lowerBound + rows.lowerBound,
      plan.inputs, outs.count, rows.count, target.pointer + (tap * ins.count + rows.lowerBound) * outs.count,
      outs.count)
  }
  return TapView(base: target.pointer, tapStride: ins.count * outs.count, rowStride: outs.count)
}

/// Transforms some channels of some samples.
private func transformInput(
  _ x: Tensor, _ plan: WinogradPlan, _ samples: Range<Int>, _ channels: Range<Int>, into target: Tensor,
  positionStride: Int
) {
  WorkerPool.shared.run(tiles: samples.count * plan.tileRows) { index in
    let (local, row) = index.quotientAndRemainder(dividingBy: plan.tileRows)
    ck_winograd_input(
      Int32(plan.side), x.pointer + (samples.lowerBound + local) * x.perSample + channels.lowerBound, plan.height,
      plan.width,
      plan.inputs, channels.count, row,
      target.pointer + local * target.perSample + row * plan.tileColumns * channels.count, positionStride)
  }
}

/// The products of all positions. A tile transforms the taps of a line of positions and a few outputs, which then stay in
/// its core's cache while every sample is multiplied by them.
private func multiplyPositions(
  _ transformed: Tensor, _ inputStride: Int, _ taps: TapView, into products: Tensor, _ outputStride: Int,
  _ plan: WinogradPlan, _ samples: Int, _ inputs: Int, _ outputs: Int, accumulate: Bool
) {
  let groups = Tiles(of: outputs, size: WinogradPlan.panels * panelColumns)
  let line = plan.side + 2
  let panelSize = inputs * panelColumns
  WorkerPool.shared.run(tiles: groups.number * line) { index in
    let (group, row) = (groups[index / line], index % line)
    let panels = Tiles(of: group.count, size: panelColumns)
    let positionSize = WinogradPlan.stride(panels.number * panelSize)
    BufferPool.shared.withScratch(line * positionSize) { scratch in
      for panel in 0..<panels.number {
        ck_winograd_weight(
          Int32(plan.side), taps.base + group.lowerBound + panels[panel].lowerBound, taps.tapStride, taps.rowStride,
          inputs, panels[panel].count, Int32(row), scratch + panel * panelSize, positionSize)
      }
      for sample in 0..<samples {
        for column in 0..<line {
          let position = row * line + column
          multiply(
            MatrixView(transformed.pointer + sample * transformed.perSample + position * inputStride, stride: inputs),
            panels: scratch + column * positionSize,
            into: products.pointer + sample * products.perSample + position * outputStride + group.lowerBound,
            stride: outputs, rows: plan.tiles, columns: group.count, depth: inputs, accumulate: accumulate)
        }
      }
    }
  }
}

/// Gradient of a 3×3 convolution with one pixel of padding with respect to its weight, added once to each sample's slot.
///
/// Shapes: `x` [N, H, W, I], `gradient` [N, H, W, O]; a slot holds [3, 3, I, O].
func winogradWeightGradient(_ x: Tensor, _ gradient: Tensor, into slots: GradientSlots) {
  let plan = WinogradPlan(x.shape, outputs: gradient.channels, .gradient)
  let chunks = Tiles(of: plan.inputs, size: 64)
  let outputStride = WinogradPlan.stride(plan.tiles * panelCount(plan.outputs) * panelColumns)
  let inputStride = WinogradPlan.stride(plan.tiles * min(plan.inputs, chunks.size))
  let productStride = WinogradPlan.stride(min(plan.inputs, chunks.size) * plan.outputs)
  let cotangents = Tensor(uninitialized: [plan.positions, outputStride])
  let transformed = Tensor(uninitialized: [1, plan.positions, inputStride])
  let products = Tensor(uninitialized: [plan.positions, productStride])
  for sample in 0..<x.samples {
    WorkerPool.shared.run(tiles: plan.tileRows) { row in
      ck_winograd_output_gradient(
        Int32(plan.side), gradient.pointer + sample * gradient.perSample, plan.height, plan.width, plan.outputs,
        plan.outputs, row, cotangents.pointer, outputStride)
    }
    for chunk in 0..<chunks.number {
      let ins = chunks[chunk]
      transformInput(x, plan, sample..<sample + 1, ins, into: transformed, positionStride: inputStride)
      WorkerPool.shared.run(tiles: plan.positions) { position in
        multiply(
          MatrixView(transformed.pointer + position * inputStride, stride: ins.count, transposed: true),
          panels: cotangents.pointer + position * outputStride,
          into: products.pointer + position * productStride, stride: plan.outputs, rows: ins.count,
          columns: plan.outputs, depth: plan.tiles)
      }
      let slot = slots.pointer(sample)
      WorkerPool.shared.run(tiles: ins.count) { row in
        ck_winograd_weight_gradient(
          Int32(plan.side), products.pointer + row * plan.outputs, productStride, plan.outputs,
          slot + (ins.lowerBound + row) * plan.outputs, plan.inputs * plan.outputs)
      }
    }
  }
}
