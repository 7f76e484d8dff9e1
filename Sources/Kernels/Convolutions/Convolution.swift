// Dense two-dimensional convolution, channels last, as matrix products over gathered patches.
// N samples, H×W input and h×w output pixels, I input and O output channels, k×k taps; a patch has k·k·I numbers.

import Support
import Tensors

/// Sizes of one convolution call.
private struct ConvolutionSizes {
  let geometry: ConvolutionGeometry
  let height: Int
  let width: Int
  let inputs: Int
  let outputHeight: Int
  let outputWidth: Int
  let outputs: Int

  init(_ geometry: ConvolutionGeometry, input: Shape, outputs: Int) {
    precondition(input.rank == 4, "a convolution takes [N, H, W, C], not \(input)")
    self.geometry = geometry
    height = input[1]
    width = input[2]
    inputs = input[3]
    outputHeight = geometry.outputExtent(height)
    outputWidth = geometry.outputExtent(width)
    self.outputs = outputs
  }

  var prefersWinograd: Bool {
    Kernels.prefersWinograd(geometry, inputs: inputs, outputs: outputs, height: height, width: width)
  }
  var patch: Int { geometry.kernel * geometry.kernel * inputs }
  /// Output rows of a tile: those of a product that threads can share, their patches in at most two megabytes.
  var rowTiles: Tiles {
    let positions = productRows(outputHeight * outputWidth, columns: outputs, depth: patch).size
    let limit = (512 << 10) / max(1, outputWidth * patch)
    return Tiles(of: outputHeight, size: max(1, min(limit, (positions + outputWidth - 1) / outputWidth)))
  }

  /// Gathers the patches of some output rows, zeros outside the image.
  func gatherPatches(
    _ image: UnsafePointer<Float>, rows: Range<Int>, into patches: UnsafeMutablePointer<Float>
  ) {
    let kernel = geometry.kernel
    let run = kernel * inputs
    for (line, y) in rows.enumerated() {
      for x in 0..<outputWidth {
        var target = patches + (line * outputWidth + x) * patch
        let left = x * geometry.stride - geometry.padding
        for tap in 0..<kernel {
          let sourceRow = y * geometry.stride - geometry.padding + tap * geometry.dilation
          if sourceRow < 0 || sourceRow >= height {
            target.update(repeating: 0, count: run)
          } else if geometry.dilation == 1, left >= 0, left + kernel <= width {
            target.update(from: image + (sourceRow * width + left) * inputs, count: run)
          } else {
            gatherRun(image + sourceRow * width * inputs, left: left, into: target)
          }
          target += run
        }
      }
    }
  }

  private func gatherRun(_ row: UnsafePointer<Float>, left: Int, into target: UnsafeMutablePointer<Float>) {
    for tap in 0..<geometry.kernel {
      let column = left + tap * geometry.dilation
      let place = target + tap * inputs
      if column < 0 || column >= width {
        place.update(repeating: 0, count: inputs)
      } else {
        place.update(from: row + column * inputs, count: inputs)
      }
    }
  }
}

/// Convolution with zero padding.
///
/// Shapes: `x` [N, H, W, I], `weight` [k, k, I, O], `bias` [O]; result [N, h, w, O].
///
/// `role` says what the result is for, on which its rounding may depend; see `ConvolutionMethod`.
/// - Precondition: the shapes fit `geometry`.
public func convolution(
  _ x: Tensor, weight: Tensor, bias: Tensor? = nil, _ geometry: ConvolutionGeometry,
  role: ConvolutionRole = .activation
) -> Tensor {
  if geometry.isPointwise { return linear(x, weight: weight, bias: bias) }
  let mark = KernelMeter.begin(.convolution)
  defer { KernelMeter.end(mark) }
  let sizes = ConvolutionSizes(geometry, input: x.shape, outputs: weight.channels)
  precondition(weight.count == sizes.patch * sizes.outputs, "weight \(weight.shape) for input \(x.shape)")
  precondition(bias == nil || bias?.count == sizes.outputs, "bias \(bias?.shape ?? []) for weight \(weight.shape)")
  if sizes.prefersWinograd {
    return winogradConvolution(x, weight: weight, bias: bias, outputs: sizes.outputs, turned: false, role)
  }
  let y = Tensor(uninitialized: [x.samples, sizes.outputHeight, sizes.outputWidth, sizes.outputs])
  let tiles = sizes.rowTiles
  WorkerPool.shared.run(tiles: x.samples * tiles.number) { index in
    let sample = index / tiles.number
    let rows = tiles[index % tiles.number]
    let positions = rows.count * sizes.outputWidth
    BufferPool.shared.withScratch(positions * sizes.patch) { patches in
      sizes.gatherPatches(x.pointer + sample * x.perSample, rows: rows, into: patches)
      let target = y.pointer + sample * y.perSample + rows.lowerBound * sizes.outputWidth * sizes.outputs
      if let bias { fillRows(target, with: bias.pointer, rows: positions, columns: sizes.outputs) }
      multiply(
        MatrixView(patches, stride: sizes.patch), MatrixView(weight.pointer, stride: sizes.outputs),
        into: target, stride: sizes.outputs, rows: positions, columns: sizes.outputs, depth: sizes.patch,
        accumulate: bias != nil)
    }
  }
  return y
}

/// Gradient of `convolution` with respect to its input.
///
/// Shapes: `gradient` [N, h, w, O], `weight` [k, k, I, O]; result [N, height, width, I]. Each input pixel gathers from
/// the patches it belongs to in the order of the taps, so that no thread adds to another's pixel.
public func convolutionInputGradient(
  _ gradient: Tensor, weight: Tensor, height: Int, width: Int, _ geometry: ConvolutionGeometry
) -> Tensor {
  if geometry.isPointwise { return linearInputGradient(gradient, weight: weight) }
  let mark = KernelMeter.begin(.convolution)
  defer { KernelMeter.end(mark) }
  let outputs = weight.channels
  let inputs = weight.count / outputs / (geometry.kernel * geometry.kernel)
  let sizes = ConvolutionSizes(geometry, input: [gradient.samples, height, width, inputs], outputs: outputs)
  precondition(
    gradient.shape == [gradient.samples, sizes.outputHeight, sizes.outputWidth, outputs],
    "gradient \(gradient.shape) of a convolution of \(height)x\(width) by \(weight.shape)")
  if sizes.prefersWinograd {
    return winogradConvolution(gradient, weight: weight, bias: nil, outputs: inputs, turned: true, .gradient)
  }
  let result = Tensor(uninitialized: [gradient.samples, height, width, inputs])
  let positions = sizes.outputHeight * sizes.outputWidth
  let tiles = TransposedProductTiles(rows: positions, columns: sizes.patch)
  BufferPool.shared.withScratch(positions * sizes.patch) { patches in
    for sample in 0..<gradient.samples {
      WorkerPool.shared.run(tiles: tiles.number) { index in
        let (rows, columns) = tiles[index]
        multiply(
          MatrixView(gradient.pointer + sample * gradient.perSample + rows.lowerBound * outputs, stride: outputs),
          MatrixView(weight.pointer + columns.lowerBound * outputs, stride: outputs, transposed: true),
          into: patches + rows.lowerBound * sizes.patch + columns.lowerBound, stride: sizes.patch,
          rows: rows.count, columns: columns.count, depth: outputs)
      }
      WorkerPool.shared.run(tiles: height) { row in
        scatterRow(row, from: patches, sizes, into: result.pointer + (sample * height + row) * width * inputs)
      }
    }
  }
  return result
}

/// Sums what every patch says about one input row, tap by tap.
private func scatterRow(
  _ row: Int, from patches: UnsafePointer<Float>, _ sizes: ConvolutionSizes, into target: UnsafeMutablePointer<Float>
) {
  let geometry = sizes.geometry
  target.update(repeating: 0, count: sizes.width * sizes.inputs)
  for tapRow in 0..<geometry.kernel {
    let distance = row + geometry.padding - tapRow * geometry.dilation
    guard distance >= 0, distance % geometry.stride == 0, distance / geometry.stride < sizes.outputHeight else {
      continue
    }
    let outputRow = distance / geometry.stride
    for tapColumn in 0..<geometry.kernel {
      let tap = (tapRow * geometry.kernel + tapColumn) * sizes.inputs
      let valid = geometry.validOutputs(tap: tapColumn, extent: sizes.width, outputs: sizes.outputWidth)
      for x in valid {
        let column = x * geometry.stride - geometry.padding + tapColumn * geometry.dilation
        let source = patches + (outputRow * sizes.outputWidth + x) * sizes.patch + tap
        let place = target + column * sizes.inputs
        for channel in 0..<sizes.inputs { place[channel] += source[channel] }
      }
    }
  }
}

/// Gradient of `convolution` with respect to its weight, per sample, added once to the sample's slot.
///
/// Shapes: `x` [N, H, W, I], `gradient` [N, h, w, O]; a slot holds k·k·I·O numbers. Small weights sum gathered patches
/// over chunks of output rows; large ones multiply all patches at once, or run tap by tap over the rows where the patches
/// would take much memory. The choice depends on shape.
/// - Precondition: `geometry` takes H×W to h×w; slots as above, at least as many as samples.
public func convolutionWeightGradient(
  _ x: Tensor, _ gradient: Tensor, into slots: GradientSlots, _ geometry: ConvolutionGeometry
) {
  if geometry.isPointwise { return linearWeightGradient(x, gradient, into: slots) }
  let mark = KernelMeter.begin(.convolution)
  defer { KernelMeter.end(mark) }
  let sizes = ConvolutionSizes(geometry, input: x.shape, outputs: gradient.channels)
  precondition(
    gradient.shape == [x.samples, sizes.outputHeight, sizes.outputWidth, sizes.outputs],
    "gradient \(gradient.shape) of a convolution of \(x.shape)")
  precondition(slots.count == sizes.patch * sizes.outputs, "slot of \(slots.count) for \(x.shape), \(gradient.shape)")
  precondition(x.samples <= slots.samples, "\(x.samples) samples for \(slots.samples) slots")
  if sizes.prefersWinograd {
    winogradWeightGradient(x, gradient, into: slots)
  } else if slots.count <= 64 << 10 {
    patchwiseWeightGradient(x, gradient, sizes, into: slots)
  } else if sizes.outputHeight * sizes.outputWidth * sizes.patch <= 1 << 20 {
    gatheredWeightGradient(x, gradient, sizes, into: slots)
  } else {
    tapwiseWeightGradient(x, gradient, sizes, into: slots)
  }
}

private func gatheredWeightGradient(
  _ x: Tensor, _ gradient: Tensor, _ sizes: ConvolutionSizes, into slots: GradientSlots
) {
  let positions = sizes.outputHeight * sizes.outputWidth
  BufferPool.shared.withScratch(positions * sizes.patch) { patches in
    for sample in 0..<x.samples {
      WorkerPool.shared.run(tiles: sizes.outputHeight) { row in
        sizes.gatherPatches(
          x.pointer + sample * x.perSample, rows: row..<row + 1,
          into: patches + row * sizes.outputWidth * sizes.patch)
      }
      addTransposedProduct(
        MatrixView(patches, stride: sizes.patch, transposed: true),
        MatrixView(gradient.pointer + sample * gradient.perSample, stride: sizes.outputs),
        rows: sizes.patch, columns: sizes.outputs, depth: positions, to: slots.pointer(sample))
    }
  }
}

private func patchwiseWeightGradient(
  _ x: Tensor, _ gradient: Tensor, _ sizes: ConvolutionSizes, into slots: GradientSlots
) {
  let chunks = Tiles(of: sizes.outputHeight, size: max(1, 512 / sizes.outputWidth))
  let partial = Tensor(uninitialized: [x.samples, chunks.number, slots.count])
  WorkerPool.shared.run(tiles: x.samples * chunks.number) { index in
    let sample = index / chunks.number
    let rows = chunks[index % chunks.number]
    let positions = rows.count * sizes.outputWidth
    let source = gradient.pointer + sample * gradient.perSample + rows.lowerBound * sizes.outputWidth * sizes.outputs
    BufferPool.shared.withScratch(positions * sizes.patch) { patches in
      sizes.gatherPatches(x.pointer + sample * x.perSample, rows: rows, into: patches)
      multiply(
        MatrixView(patches, stride: sizes.patch, transposed: true), MatrixView(source, stride: sizes.outputs),
        into: partial.pointer + index * slots.count, stride: sizes.outputs,
        rows: sizes.patch, columns: sizes.outputs, depth: positions)
    }
  }
  addPartials(partial, parts: chunks.number, to: slots)
}

private func tapwiseWeightGradient(
  _ x: Tensor, _ gradient: Tensor, _ sizes: ConvolutionSizes, into slots: GradientSlots
) {
  let geometry = sizes.geometry
  let blocks = Tiles(of: sizes.inputs, size: 128)
  let taps = geometry.kernel * geometry.kernel
  let scratch = Tensor(uninitialized: [x.samples, 1, slots.count])
  WorkerPool.shared.run(tiles: x.samples * taps * blocks.number) { index in
    let block = blocks[index % blocks.number]
    let tap = index / blocks.number % taps
    let sample = index / blocks.number / taps
    let target = scratch.pointer + sample * slots.count + (tap * sizes.inputs + block.lowerBound) * sizes.outputs
    target.update(repeating: 0, count: block.count * sizes.outputs)
    let valid = geometry.validOutputs(
      tap: tap % geometry.kernel, extent: sizes.width, outputs: sizes.outputWidth)
    let rows = geometry.validOutputs(
      tap: tap / geometry.kernel, extent: sizes.height, outputs: sizes.outputHeight)
    for y in rows where !valid.isEmpty {
      let sourceRow = y * geometry.stride - geometry.padding + tap / geometry.kernel * geometry.dilation
      let column =
        valid.lowerBound * geometry.stride - geometry.padding + tap % geometry.kernel * geometry.dilation
      let image = x.pointer + sample * x.perSample + (sourceRow * sizes.width + column) * sizes.inputs
      let line = gradient.pointer + sample * gradient.perSample
      multiply(
        MatrixView(image + block.lowerBound, stride: geometry.stride * sizes.inputs, transposed: true),
        MatrixView(line + (y * sizes.outputWidth + valid.lowerBound) * sizes.outputs, stride: sizes.outputs),
        into: target, stride: sizes.outputs, rows: block.count, columns: sizes.outputs, depth: valid.count,
        accumulate: true)
    }
  }
  addPartials(scratch, parts: 1, to: slots)
}
