// Moving pixels and channels about: crops, padding, concatenation, sliding windows, flips.
// N samples, H×W pixels, C channels.

import CKernels
import Support
import Tensors

/// Refuses a box that leaves a map.
func checkInside(_ box: Box, height: Int, width: Int) {
  precondition(
    box.top >= 0 && box.left >= 0 && box.bottom <= height && box.right <= width, "\(box) of \(height)x\(width)")
}

/// Runs `body(sample, row)` for every row of every map, a fixed number of rows per tile.
func forEachMapRow(samples: Int, height: Int, _ body: (_ sample: Int, _ row: Int) -> Void) {
  let size = 16
  let tiles = (height + size - 1) / size
  guard tiles > 0 else { return }
  WorkerPool.shared.run(tiles: samples * tiles) { index in
    let (sample, tile) = index.quotientAndRemainder(dividingBy: tiles)
    for row in tile * size..<min(height, (tile + 1) * size) { body(sample, row) }
  }
}

/// The part of every map inside a box; the adjoint of `padded`.
///
/// Shapes: `x` [N, H, W, C]; result [N, box.height, box.width, C].
/// - Precondition: the box lies inside the map.
public func cropped(_ x: Tensor, to box: Box) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  checkInside(box, height: x.shape[1], width: x.shape[2])
  let result = Tensor(uninitialized: [x.samples, box.height, box.width, x.channels])
  let run = box.width * x.channels
  forEachMapRow(samples: x.samples, height: box.height) { sample, y in
    let source = ((sample * x.shape[1] + box.top + y) * x.shape[2] + box.left) * x.channels
    (result.pointer + (sample * box.height + y) * run).update(from: x.pointer + source, count: run)
  }
  return result
}

/// Every map pasted at a box of a larger one that is zero elsewhere; the adjoint of `cropped`.
///
/// Shapes: `x` [N, box.height, box.width, C]; result [N, height, width, C].
/// - Precondition: the box has the map's size and lies inside the larger map.
public func padded(_ x: Tensor, into box: Box, height: Int, width: Int) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  checkInside(box, height: height, width: width)
  precondition(x.shape[1] == box.height && x.shape[2] == box.width, "\(x.shape) into \(box)")
  let result = Tensor(uninitialized: [x.samples, height, width, x.channels])
  let run = box.width * x.channels
  forEachMapRow(samples: x.samples, height: height) { sample, y in
    let target = result.pointer + (sample * height + y) * width * x.channels
    target.update(repeating: 0, count: width * x.channels)
    guard y >= box.top, y < box.bottom else { return }
    let source = x.pointer + (sample * box.height + y - box.top) * run
    (target + box.left * x.channels).update(from: source, count: run)
  }
  return result
}

/// Tensors side by side along the last axis; the adjoint of `channelSlices`.
///
/// Shapes: parts [N, ..., Cᵢ]; result [N, ..., Σ Cᵢ].
/// - Precondition: there is a part, and all axes but the last agree.
public func concatenatedChannels(_ parts: [Tensor]) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  precondition(!parts.isEmpty, "nothing to concatenate")
  precondition(
    parts.allSatisfy { $0.shape.withChannels(1) == parts[0].shape.withChannels(1) },
    "cannot concatenate the channels of \(parts.map(\.shape))")
  let channels = parts.reduce(0) { $0 + $1.channels }
  let result = Tensor(uninitialized: parts[0].shape.withChannels(channels))
  SampleTiles(rowsOf: result).run { _, _, first, rows in
    var left = 0
    for part in parts {
      let width = part.channels
      for row in first..<first + rows {
        (result.pointer + row * channels + left).update(from: part.pointer + row * width, count: width)
      }
      left += width
    }
  }
  return result
}

/// The last axis cut into pieces of the given widths; the adjoint of `concatenatedChannels`.
///
/// Shapes: `x` [N, ..., C]; results [N, ..., widths[i]].
/// - Precondition: the widths add up to C.
public func channelSlices(_ x: Tensor, widths: [Int]) -> [Tensor] {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(widths.reduce(0, +) == channels, "slices of \(widths) channels of \(x.shape)")
  let slices = widths.map { Tensor(uninitialized: x.shape.withChannels($0)) }
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    var left = 0
    for slice in slices {
      let width = slice.channels
      for row in first..<first + rows {
        (slice.pointer + row * width).update(from: x.pointer + row * channels + left, count: width)
      }
      left += width
    }
  }
  return slices
}

/// Some neighbouring channels; the adjoint of `placedChannels`.
///
/// Shapes: `x` [N, ..., C]; result [N, ..., range.count].
/// - Precondition: the range lies in 0..<C.
public func channels(_ x: Tensor, _ range: Range<Int>) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let channels = x.channels
  precondition(range.lowerBound >= 0 && range.upperBound <= channels, "channels \(range) of \(x.shape)")
  let result = Tensor(uninitialized: x.shape.withChannels(range.count))
  SampleTiles(rowsOf: x).run { _, _, first, rows in
    for row in first..<first + rows {
      (result.pointer + row * range.count).update(
        from: x.pointer + row * channels + range.lowerBound, count: range.count)
    }
  }
  return result
}

/// Channels put at `range` among others that are zero; the adjoint of `channels`.
///
/// Shapes: `x` [N, ..., range.count]; result [N, ..., channels].
/// - Precondition: the range lies in 0..<channels and has the width of `x`.
public func placedChannels(_ x: Tensor, at range: Range<Int>, of channels: Int) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  precondition(
    range.lowerBound >= 0 && range.upperBound <= channels && range.count == x.channels,
    "\(x.shape) at channels \(range) of \(channels)")
  let result = Tensor(uninitialized: x.shape.withChannels(channels))
  SampleTiles(rowsOf: result).run { _, _, first, rows in
    for row in first..<first + rows {
      let line = result.pointer + row * channels
      line.update(repeating: 0, count: channels)
      (line + range.lowerBound).update(from: x.pointer + row * range.count, count: range.count)
    }
  }
  return result
}

/// Overlapping windows in row-major order; the last row and column are shifted inwards to end at the border.
///
/// A window is never larger than the map. Rule of the published sliding inference (Hoyer et al., HRDA, ECCV 2022).
/// - Precondition: crop and stride are positive.
public func slidingWindows(
  height: Int, width: Int, crop: (height: Int, width: Int), stride: (height: Int, width: Int)
) -> [Box] {
  precondition(
    crop.height > 0 && crop.width > 0 && stride.height > 0 && stride.width > 0, "windows \(crop) every \(stride)")
  func starts(_ extent: Int, _ crop: Int, _ stride: Int) -> [Int] {
    let count = max(extent - crop + stride - 1, 0) / stride + 1
    return (0..<count).map { max(min($0 * stride + crop, extent) - crop, 0) }
  }
  let columns = starts(width, crop.width, stride.width)
  return starts(height, crop.height, stride.height).flatMap { top in
    columns.map { left in
      Box(top: top, bottom: min(top + crop.height, height), left: left, right: min(left + crop.width, width))
    }
  }
}

/// The parts inside equally large boxes, window-major: window 0 of all samples first.
///
/// Shapes: `x` [N, H, W, C]; result [windows · N, h, w, C].
/// - Precondition: there is a box, all have one size and lie inside the map.
public func windows(_ x: Tensor, _ boxes: [Box]) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let (height, width) = windowSize(boxes)
  for box in boxes { checkInside(box, height: x.shape[1], width: x.shape[2]) }
  let result = Tensor(uninitialized: [boxes.count * x.samples, height, width, x.channels])
  let run = width * x.channels
  forEachMapRow(samples: result.samples, height: height) { index, y in
    let box = boxes[index / x.samples]
    let line = (index % x.samples * x.shape[1] + box.top + y) * x.shape[2] + box.left
    (result.pointer + (index * height + y) * run).update(from: x.pointer + line * x.channels, count: run)
  }
  return result
}

/// Maps put together from windows, their mean where they overlap, added in the order of the boxes.
///
/// Shapes: `tiles` [windows · samples, h, w, C], window-major; result [samples, height, width, C].
/// - Precondition: the boxes have the size of the tiles, lie inside the map and cover it.
public func stitched(_ tiles: Tensor, _ boxes: [Box], samples: Int, height: Int, width: Int) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let size = windowSize(boxes)
  precondition(
    tiles.samples == boxes.count * samples && tiles.shape[1] == size.height && tiles.shape[2] == size.width,
    "\(tiles.shape) for \(boxes.count) windows of \(size), \(samples) samples")
  for box in boxes { checkInside(box, height: height, width: width) }
  let channels = tiles.channels
  let run = size.width * channels
  let result = Tensor(uninitialized: [samples, height, width, channels])
  let columns = Set(boxes.flatMap { [$0.left, $0.right] } + [0, width]).sorted()
  forEachMapRow(samples: samples, height: height) { sample, y in
    let line = result.pointer + (sample * height + y) * width * channels
    line.update(repeating: 0, count: width * channels)
    for (index, box) in boxes.enumerated() where y >= box.top && y < box.bottom {
      let tile = tiles.pointer + ((index * samples + sample) * size.height + y - box.top) * run
      ck_add_in_place(line + box.left * channels, tile, run)
    }
    for edge in columns.indices.dropLast() {
      let (left, right) = (columns[edge], columns[edge + 1])
      let coverage = boxes.count { y >= $0.top && y < $0.bottom && $0.left <= left && $0.right >= right }
      precondition(coverage > 0, "row \(y), columns \(left)..<\(right) lie in no window")
      for index in left * channels..<right * channels { line[index] /= Float(coverage) }
    }
  }
  return result
}

private func windowSize(_ boxes: [Box]) -> (height: Int, width: Int) {
  precondition(!boxes.isEmpty, "no windows")
  let size = (height: boxes[0].height, width: boxes[0].width)
  precondition(boxes.allSatisfy { ($0.height, $0.width) == size }, "windows of different sizes: \(boxes)")
  return size
}

/// Every map mirrored left to right; its own adjoint and inverse.
///
/// Shape: `x` [N, H, W, C].
public func horizontallyFlipped(_ x: Tensor) -> Tensor {
  let mark = KernelMeter.begin(.copy)
  defer { KernelMeter.end(mark) }
  let (width, channels) = (x.shape[2], x.channels)
  let result = Tensor(uninitialized: x.shape)
  forEachMapRow(samples: x.samples, height: x.shape[1]) { sample, y in
    let line = (sample * x.shape[1] + y) * width * channels
    for column in 0..<width {
      (result.pointer + line + column * channels)
        .update(from: x.pointer + line + (width - 1 - column) * channels, count: channels)
    }
  }
  return result
}
