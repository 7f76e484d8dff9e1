// Linear maps of the last axis. N samples, R rows per sample (tokens or pixels), I input and O output channels.
// Row tiles never cross a sample.

import CKernels
import Support
import Tensors

/// Some neighbouring channels of a tensor, `[N, ..., channels]`.
public struct ChannelSlice {
  let tensor: Tensor
  let channels: Range<Int>

  /// The channels of `tensor` in a range.
  /// - Precondition: the tensor has them.
  public init(_ tensor: Tensor, _ channels: Range<Int>) {
    precondition(channels.upperBound <= tensor.channels, "channels \(channels) of \(tensor.shape)")
    self.tensor = tensor
    self.channels = channels
  }

  /// All channels.
  init(_ tensor: Tensor) { self.init(tensor, 0..<tensor.channels) }

  /// Rows of one sample.
  var rows: Int { tensor.perSample / tensor.channels }
  /// Elements from one row to the next.
  var stride: Int { tensor.channels }
  /// The slice in one row, rows counted over all samples.
  func row(_ index: Int) -> UnsafeMutablePointer<Float> { tensor.pointer + index * stride + channels.lowerBound }
}

/// `y = x · weight + bias` along the last axis.
///
/// Shapes: `x` [N, ..., I], `weight` [I, O] (or any shape of I·O elements whose last axis is O), `bias` [O];
/// result [N, ..., O].
/// - Precondition: the last axis of `x` is I.
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) -> Tensor {
  let y = Tensor(uninitialized: x.shape.withChannels(weight.channels))
  linear(x, weight: weight, bias: bias, into: ChannelSlice(y))
  return y
}

/// The same into some channels of another tensor, which has as many samples of as many rows.
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil, into result: ChannelSlice) {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let outputs = result.channels.count
  let inputs = x.channels
  let rows = x.perSample / inputs
  precondition(
    weight.count == inputs * outputs && result.rows == rows && result.tensor.samples == x.samples,
    "linear map of \(x.shape) by weight \(weight.shape) into \(result.tensor.shape)")
  precondition(bias == nil || bias?.count == outputs, "bias \(bias?.shape ?? []) for weight \(weight.shape)")
  let tiles = productRows(rows, columns: outputs, depth: inputs)
  WorkerPool.shared.run(tiles: x.samples * tiles.number) { index in
    let range = tiles[index % tiles.number]
    let first = index / tiles.number * rows + range.lowerBound
    if let bias {
      for row in first..<first + range.count { result.row(row).update(from: bias.pointer, count: outputs) }
    }
    multiply(
      MatrixView(x.pointer + first * inputs, stride: inputs), MatrixView(weight.pointer, stride: outputs),
      into: result.row(first), stride: result.stride, rows: range.count, columns: outputs, depth: inputs,
      accumulate: bias != nil)
  }
}

/// Gradient of `linear` with respect to its input: `gradient · weightᵀ`.
///
/// Shapes: `gradient` [N, ..., O], `weight` [I, O]; result [N, ..., I].
public func linearInputGradient(_ gradient: Tensor, weight: Tensor) -> Tensor {
  linearInputGradient(ChannelSlice(gradient), weight: weight)
}

/// The same of a gradient that lies among other channels.
public func linearInputGradient(_ gradient: ChannelSlice, weight: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let outputs = weight.channels
  let inputs = weight.count / outputs
  precondition(gradient.channels.count == outputs, "gradient \(gradient.channels) of a map by \(weight.shape)")
  let result = Tensor(uninitialized: gradient.tensor.shape.withChannels(inputs))
  let rows = gradient.rows
  let tiles = TransposedProductTiles(rows: rows, columns: inputs)
  WorkerPool.shared.run(tiles: result.samples * tiles.number) { index in
    let (range, columns) = tiles[index % tiles.number]
    let first = index / tiles.number * rows + range.lowerBound
    multiply(
      MatrixView(gradient.row(first), stride: gradient.stride),
      MatrixView(weight.pointer + columns.lowerBound * outputs, stride: outputs, transposed: true),
      into: result.pointer + first * inputs + columns.lowerBound, stride: inputs, rows: range.count,
      columns: columns.count, depth: outputs)
  }
  return result
}

/// Gradient of `linear` with respect to its weight: per sample `xᵀ · gradient`, added once to the sample's slot.
///
/// Shapes: `x` [N, ..., I], `gradient` [N, ..., O]; a slot holds I·O numbers. The sum over rows is cut into chunks
/// of rows where the weight is small and into blocks of input channels where it is large, by shape only.
public func linearWeightGradient(_ x: Tensor, _ gradient: Tensor, into slots: GradientSlots) {
  linearWeightGradient(x, ChannelSlice(gradient), into: slots)
}

/// The same of a gradient that lies among other channels.
public func linearWeightGradient(_ x: Tensor, _ gradient: ChannelSlice, into slots: GradientSlots) {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let inputs = x.channels
  precondition(
    slots.count == inputs * gradient.channels.count && gradient.rows == x.perSample / inputs
      && gradient.tensor.samples == x.samples,
    "slot of \(slots.count) for \(x.shape) and \(gradient.tensor.shape)")
  precondition(x.samples <= slots.samples, "\(x.samples) samples for \(slots.samples) slots")
  let rows = x.perSample / inputs
  if inputs < 128, rows > 256 { return chunkedWeightGradient(x, gradient, into: slots) }
  for sample in 0..<x.samples {
    addTransposedProduct(
      MatrixView(x.pointer + sample * x.perSample, stride: inputs, transposed: true),
      MatrixView(gradient.row(sample * rows), stride: gradient.stride),
      rows: inputs, columns: gradient.channels.count, depth: rows, to: slots.pointer(sample))
  }
}

/// Adds `aᵀ · b` [rows, columns] once to a slot, where `a` is stored as [depth, rows].
func addTransposedProduct(
  _ a: MatrixView, _ b: MatrixView, rows: Int, columns: Int, depth: Int, to slot: UnsafeMutablePointer<Float>
) {
  let blocks = reducedProductColumns(rows)
  WorkerPool.shared.run(tiles: blocks.number) { index in
    let block = blocks[index]
    BufferPool.shared.withScratch(block.count * columns) { product in
      multiply(
        MatrixView(a.base + block.lowerBound, stride: a.stride, transposed: true), b, into: product, stride: columns,
        rows: block.count, columns: columns, depth: depth)
      ck_add_in_place(slot + block.lowerBound * columns, product, block.count * columns)
    }
  }
}

/// The weight gradient of few input channels: partial sums over chunks of rows, added up in order.
private func chunkedWeightGradient(_ x: Tensor, _ gradient: ChannelSlice, into slots: GradientSlots) {
  let inputs = x.channels
  let outputs = gradient.channels.count
  let rows = x.perSample / inputs
  let chunks = Tiles(of: rows, size: max(256, min(1024, rows / 4)))
  let partial = Tensor(uninitialized: [x.samples, chunks.number, slots.count])
  WorkerPool.shared.run(tiles: x.samples * chunks.number) { index in
    let range = chunks[index % chunks.number]
    let first = index / chunks.number * rows + range.lowerBound
    multiply(
      MatrixView(x.pointer + first * inputs, stride: inputs, transposed: true),
      MatrixView(gradient.row(first), stride: gradient.stride),
      into: partial.pointer + index * slots.count, stride: outputs,
      rows: inputs, columns: outputs, depth: range.count)
  }
  addPartials(partial, parts: chunks.number, to: slots)
}

/// Adds, for every sample, the ordered sum of its partial gradients once to its slot.
///
/// Shape: `partial` [N, parts, count].
func addPartials(_ partial: Tensor, parts: Int, to slots: GradientSlots) {
  let size = slots.count
  let pieces = Tiles(of: size, size: 16384)
  WorkerPool.shared.run(tiles: partial.samples * pieces.number) { index in
    let sample = index / pieces.number
    let piece = pieces[index % pieces.number]
    let target = slots.pointer(sample)
    let source = partial.pointer + sample * parts * size
    for position in piece {
      var sum = source[position]
      for part in 1..<max(parts, 1) { sum += source[part * size + position] }
      target[position] += sum
    }
  }
}

/// Writes `rows` copies of a row.
func fillRows(
  _ target: UnsafeMutablePointer<Float>, with row: UnsafePointer<Float>, rows: Int, columns: Int
) {
  for index in 0..<rows { (target + index * columns).update(from: row, count: columns) }
}
