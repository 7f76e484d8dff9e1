// Linear maps of the last axis. N samples, R rows per sample (tokens or pixels), I input and O output channels.
// Row tiles never cross a sample.

import Support
import Tensors

/// Rows of one sample that one matrix product takes.
let linearRowTile = 256

/// `y = x · weight + bias` along the last axis.
///
/// Shapes: `x` [N, ..., I], `weight` [I, O] (or any shape of I·O elements whose last axis is O), `bias` [O];
/// result [N, ..., O].
/// - Precondition: the last axis of `x` is I.
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) -> Tensor {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let outputs = weight.channels
  let inputs = weight.count / outputs
  precondition(x.channels == inputs, "linear map of \(x.shape) by weight \(weight.shape)")
  precondition(bias == nil || bias?.count == outputs, "bias \(bias?.shape ?? []) for weight \(weight.shape)")
  let y = Tensor(uninitialized: x.shape.withChannels(outputs))
  let rows = x.perSample / inputs
  let tiles = Tiles(of: rows, size: linearRowTile)
  WorkerPool.shared.run(tiles: x.samples * tiles.number) { index in
    let range = tiles[index % tiles.number]
    let first = index / tiles.number * rows + range.lowerBound
    let target = y.pointer + first * outputs
    if let bias { fillRows(target, with: bias.pointer, rows: range.count, columns: outputs) }
    multiply(
      MatrixView(x.pointer + first * inputs, stride: inputs), MatrixView(weight.pointer, stride: outputs),
      into: target, stride: outputs, rows: range.count, columns: outputs, depth: inputs, accumulate: bias != nil)
  }
  return y
}

/// Gradient of `linear` with respect to its input: `gradient · weightᵀ`.
///
/// Shapes: `gradient` [N, ..., O], `weight` [I, O]; result [N, ..., I].
public func linearInputGradient(_ gradient: Tensor, weight: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let outputs = weight.channels
  let inputs = weight.count / outputs
  precondition(gradient.channels == outputs, "gradient \(gradient.shape) of a linear map by \(weight.shape)")
  let result = Tensor(uninitialized: gradient.shape.withChannels(inputs))
  let rows = gradient.perSample / outputs
  let tiles = Tiles(of: rows, size: linearRowTile)
  WorkerPool.shared.run(tiles: gradient.samples * tiles.number) { index in
    let range = tiles[index % tiles.number]
    let first = index / tiles.number * rows + range.lowerBound
    multiply(
      MatrixView(gradient.pointer + first * outputs, stride: outputs),
      MatrixView(weight.pointer, stride: outputs, transposed: true),
      into: result.pointer + first * inputs, stride: inputs, rows: range.count, columns: inputs, depth: outputs)
  }
  return result
}

/// Gradient of `linear` with respect to its weight: per sample `xᵀ · gradient`, added once to the sample's slot.
///
/// Shapes: `x` [N, ..., I], `gradient` [N, ..., O]; a slot holds I·O numbers. The sum over rows is cut into chunks
/// of rows where the weight is small and into blocks of input channels where it is large, by shape only.
public func linearWeightGradient(_ x: Tensor, _ gradient: Tensor, into slots: GradientSlots) {
  let mark = KernelMeter.begin(.matrixProduct)
  defer { KernelMeter.end(mark) }
  let inputs = x.channels
  let outputs = gradient.channels
  precondition(slots.count == inputs * outputs, "slot of \(slots.count) for \(x.shape) and \(gradient.shape)")
  precondition(x.samples <= slots.samples, "\(x.samples) samples for \(slots.samples) slots")
  let rows = x.perSample / inputs
  let chunks = Tiles(of: rows, size: inputs < 128 ? 1024 : rows)
  let blocks = Tiles(of: inputs, size: inputs < 128 ? inputs : 64)
  let size = inputs * outputs
  let partial = Tensor(uninitialized: [x.samples, chunks.number, size])
  WorkerPool.shared.run(tiles: x.samples * chunks.number * blocks.number) { index in
    let block = blocks[index % blocks.number]
    let part = index / blocks.number
    let range = chunks[part % chunks.number]
    let first = part / chunks.number * rows + range.lowerBound
    multiply(
      MatrixView(x.pointer + first * inputs + block.lowerBound, stride: inputs, transposed: true),
      MatrixView(gradient.pointer + first * outputs, stride: outputs),
      into: partial.pointer + part * size + block.lowerBound * outputs, stride: outputs,
      rows: block.count, columns: outputs, depth: range.count)
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
