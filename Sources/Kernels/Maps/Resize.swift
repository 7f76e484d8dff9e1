// Resizing of maps (bilinear, with its adjoint) and labels (nearest), as torch.nn.functional.interpolate does it.
// N samples, h x w input, H x W output, C channels. The vector loops are in CKernels/resize_body.h.

import CKernels
import Support
import Synchronization
import Tensors

/// Bilinear resampling with half-pixel centres (or aligned corners), without antialiasing.
///
/// Source positions are computed in Float32: (p + 1/2)·h/H - 1/2, not below 0; with aligned corners p·(h-1)/(H-1).
/// Shapes: `x` [N, h, w, C]; result [N, height, width, C]. Of equal size, the result is `x` itself.
/// - Precondition: `x` has rank 4 and all sizes are positive.
/// Source: PyTorch `interpolate(mode="bilinear")` given a size. Given a factor instead, PyTorch divides by the factor,
/// which differs only where side times factor is no whole number.
public func bilinear(_ x: Tensor, height: Int, width: Int, alignCorners: Bool = false) -> Tensor {
  let mark = KernelMeter.begin(.resize)
  defer { KernelMeter.end(mark) }
  precondition(x.shape.rank == 4 && height > 0 && width > 0, "bilinear \(x.shape) to \(height)x\(width)")
  if x.shape[1] == height && x.shape[2] == width { return x }
  let result = Tensor(uninitialized: [x.samples, height, width, x.channels])
  bilinear(x, into: ChannelSlice(result), alignCorners: alignCorners)
  return result
}

/// The same into some channels of another tensor `[N, height, width, ...]`, written or added. A map of equal size is
/// copied.
public func bilinear(_ x: Tensor, into result: ChannelSlice, adding: Bool = false, alignCorners: Bool = false) {
  let mark = KernelMeter.begin(.resize)
  defer { KernelMeter.end(mark) }
  let (inHeight, inWidth, channels) = (x.shape[1], x.shape[2], x.shape[3])
  let (height, width) = (result.tensor.shape[1], result.tensor.shape[2])
  precondition(
    result.tensor.samples == x.samples && result.channels.count == channels,
    "bilinear \(x.shape) into channels \(result.channels) of \(result.tensor.shape)")
  let rowAxis = ResizeAxis.between(input: inHeight, output: height, alignCorners: alignCorners)
  let columnAxis = ResizeAxis.between(input: inWidth, output: width, alignCorners: alignCorners)
  let tiles = RowTiles(samples: x.samples, rows: height, elementsPerRow: width * channels, elements: 1 << 16)
  WorkerPool.shared.run(tiles: tiles.count) { index in
    let (sample, rows) = tiles.tile(index)
    ck_resize_rows(
      x.pointer + sample * x.perSample, result.row(sample * result.rows), result.stride, adding ? 1 : 0, inHeight,
      inWidth, width, channels, rowAxis.lower, rowAxis.fraction, columnAxis.lower, columnAxis.fraction,
      rows.lowerBound, rows.upperBound)
  }
}

/// The part inside a box of what `bilinear` makes of a map, without the rest; mirrored left to right if asked.
///
/// Shapes: `x` [1, h, w, C]; result [1, rows, columns, C] of the box.
/// - Precondition: the box lies inside `height` × `width`.
public func bilinear(_ x: Tensor, height: Int, width: Int, inside box: Box, mirrored: Bool) -> Tensor {
  let mark = KernelMeter.begin(.resize)
  defer { KernelMeter.end(mark) }
  precondition(x.shape.rank == 4 && x.samples == 1, "a part of \(x.shape)")
  checkInside(box, height: height, width: width)
  let rows = ResizeAxis.between(input: x.shape[1], output: height, alignCorners: false)
  let columns = ResizeAxis.between(input: x.shape[2], output: width, alignCorners: false)
  func part<Value>(_ values: [Value], _ first: Int, _ end: Int, reversed: Bool = false) -> [Value] {
    reversed ? values[first..<end].reversed() : Array(values[first..<end])
  }
  let result = Tensor(uninitialized: [1, box.height, box.width, x.channels])
  ck_resize_rows(
    x.pointer, result.pointer, x.channels, 0, x.shape[1], x.shape[2], box.width, x.channels,
    part(rows.lower, box.top, box.bottom), part(rows.fraction, box.top, box.bottom),
    part(columns.lower, box.left, box.right, reversed: mirrored),
    part(columns.fraction, box.left, box.right, reversed: mirrored), 0, box.height)
  return result
}

/// Exact adjoint of `bilinear`: each input cell gathers from the outputs it went into, in their order.
///
/// Shapes: `gradient` [N, H, W, C]; result [N, height, width, C], the size of `bilinear`'s input. Of equal size, the
/// result is `gradient` itself.
/// - Precondition: `gradient` has rank 4 and all sizes are positive.
/// - Complexity: O(N·H·W·C), one scratch line of W·C floats per tile.
public func bilinearGradient(_ gradient: Tensor, height: Int, width: Int, alignCorners: Bool = false) -> Tensor {
  let mark = KernelMeter.begin(.resize)
  defer { KernelMeter.end(mark) }
  precondition(
    gradient.shape.rank == 4 && height > 0 && width > 0, "adjoint of \(height)x\(width) to \(gradient.shape)")
  if gradient.shape[1] == height && gradient.shape[2] == width { return gradient }
  return bilinearGradient(ChannelSlice(gradient), height: height, width: width, alignCorners: alignCorners)
}

/// The same of a gradient that lies among other channels of a tensor `[N, H, W, ...]`; always a tensor of its own.
public func bilinearGradient(
  _ gradient: ChannelSlice, height: Int, width: Int, alignCorners: Bool = false
) -> Tensor {
  let mark = KernelMeter.begin(.resize)
  defer { KernelMeter.end(mark) }
  let (outHeight, outWidth) = (gradient.tensor.shape[1], gradient.tensor.shape[2])
  let (samples, channels) = (gradient.tensor.samples, gradient.channels.count)
  let rowAxis = ResizeAxis.between(input: height, output: outHeight, alignCorners: alignCorners)
  let columnAxis = ResizeAxis.between(input: width, output: outWidth, alignCorners: alignCorners)
  let (rowFirst, columnFirst) = (rowAxis.first, columnAxis.first)
  let result = Tensor(uninitialized: [samples, height, width, channels])
  let tiles = RowTiles(samples: samples, rows: height, tiles: 16)
  let line = outWidth * channels
  WorkerPool.shared.run(tiles: tiles.count) { index in
    let (sample, rows) = tiles.tile(index)
    BufferPool.shared.withScratch(line) { scratch in
      ck_resize_gradient_rows(
        gradient.row(sample * gradient.rows), gradient.stride, result.pointer + sample * result.perSample,
        scratch, width, outWidth, channels, rowAxis.lower, rowAxis.fraction, rowFirst,
        columnAxis.lower, columnAxis.fraction, columnFirst, rows.lowerBound, rows.upperBound)
    }
  }
  return result
}

/// Labels at the nearest lower position, floor(p·h/H) in Float32.
///
/// - Precondition: all sizes are positive.
/// Source: PyTorch `interpolate(mode="nearest")` given a size.
public func nearest(_ labels: LabelMap, height: Int, width: Int) -> LabelMap {
  let mark = KernelMeter.begin(.resize)
  defer { KernelMeter.end(mark) }
  precondition(height > 0 && width > 0, "nearest to \(height)x\(width)")
  let rows = nearestPositions(input: labels.height, output: height)
  let columns = nearestPositions(input: labels.width, output: width)
  var values = [UInt8](repeating: 0, count: labels.samples * height * width)
  labels.values.withUnsafeBufferPointer { source in
    for sample in 0..<labels.samples {
      for row in 0..<height {
        let from = (sample * labels.height + rows[row]) * labels.width
        let to = (sample * height + row) * width
        for column in 0..<width { values[to + column] = source[from + columns[column]] }
      }
    }
  }
  return LabelMap(samples: labels.samples, height: height, width: width, values: values)
}

/// The input position of every output position, without interpolation.
func nearestPositions(input: Int, output: Int) -> [Int] {
  let scale = Float(input) / Float(output)
  return (0..<output).map { min(Int(Float($0) * scale), input - 1) }
}

/// Where each output position of one axis lies between input positions.
struct ResizeAxis {
  /// The input position at or below.
  let lower: [Int32]
  /// Weight of the next input position; 0 at the last.
  let fraction: [Float]
  /// For every input position (and one past the last) the first output position at or after it.
  let first: [Int32]

  private struct Sizes: Hashable {
    let input: Int
    let output: Int
    let alignCorners: Bool
  }

  private static let known = Mutex<[Sizes: ResizeAxis]>([:])

  /// The axis of these extents: formed once, since a network resizes between few sizes.
  static func between(input: Int, output: Int, alignCorners: Bool) -> ResizeAxis {
    let sizes = Sizes(input: input, output: output, alignCorners: alignCorners)
    return known.withLock { known in
      if let axis = known[sizes] { return axis }
      if known.count >= 512 { known.removeAll() }
      let axis = ResizeAxis(sizes)
      known[sizes] = axis
      return axis
    }
  }

  private init(_ sizes: Sizes) {
    let (input, output) = (sizes.input, sizes.output)
    var lower = [Int32](repeating: 0, count: output)
    var fraction = [Float](repeating: 0, count: output)
    let intervals = Float(max(output - 1, 1))
    let scale = sizes.alignCorners ? Float(output > 1 ? input - 1 : 0) / intervals : Float(input) / Float(output)
    for position in 0..<output {
      let source = sizes.alignCorners ? scale * Float(position) : max(scale * (Float(position) + 0.5) - 0.5, 0)
      let below = min(Int(source), input - 1)
      lower[position] = Int32(below)
      fraction[position] = below == input - 1 ? 0 : min(source - Float(below), 1)
    }
    self.lower = lower
    self.fraction = fraction
    var first = [Int32](repeating: Int32(output), count: input + 1)
    var next = 0
    for (output, position) in lower.enumerated() {
      while next <= Int(position) {
        first[next] = Int32(output)
        next += 1
      }
    }
    self.first = first
  }
}

/// The largest logits of several maps, each enlarged with aligned corners first.
///
/// Shapes: `maps` [N, h, w, K] each, of any h and w; result [N, height, width, K].
/// - Precondition: there is a map.
public func largestLogits(_ maps: [Tensor], height: Int, width: Int) -> Tensor {
  precondition(!maps.isEmpty, "the largest of no logits")
  let large = maps.map { bilinear($0, height: height, width: width, alignCorners: true) }
  return large.dropFirst().reduce(large[0], larger)
}
