// Resizing, cropping and mirroring of images and label maps.

import Tensors

/// Source cells and weight of one output position in a bilinear resize.
private struct Taps {
  let first: Int
  let second: Int
  let weight: Float

  /// Half-pixel centres, clamped at the border: PyTorch's `align_corners=False` without antialiasing.
  static func all(from inputs: Int, to outputs: Int) -> [Taps] {
    let scale = Float(inputs) / Float(outputs)
    return (0..<outputs).map { output in
      let position = max(0, (Float(output) + 0.5) * scale - 0.5)
      let first = min(Int(position), inputs - 1)
      return Taps(first: first, second: min(first + 1, inputs - 1), weight: position - Float(first))
    }
  }
}

extension RGBImage {
  /// Bilinear resize with half-pixel centres and without antialiasing, rounded to the nearest byte.
  ///
  /// As PyTorch's `interpolate(mode="bilinear", align_corners=False)`, whose result is not rounded.
  /// - Precondition: both sizes are positive.
  public func resized(height newHeight: Int, width newWidth: Int) -> RGBImage {
    precondition(min(height, width, newHeight, newWidth) > 0, "\(height)x\(width) to \(newHeight)x\(newWidth)")
    if newHeight == height && newWidth == width { return self }
    let rows = Taps.all(from: height, to: newHeight)
    let columns = Taps.all(from: width, to: newWidth)
    var result = RGBImage(height: newHeight, width: newWidth)
    pixels.withUnsafeBufferPointer { input in
      result.pixels.withUnsafeMutableBufferPointer { output in
        for (y, row) in rows.enumerated() {
          let upper = row.first * width * 3
          let lower = row.second * width * 3
          for (x, column) in columns.enumerated() {
            let left = column.first * 3
            let right = column.second * 3
            for channel in 0..<3 {
              let top = blend(input[upper + left + channel], input[upper + right + channel], column.weight)
              let bottom = blend(input[lower + left + channel], input[lower + right + channel], column.weight)
              output[(y * newWidth + x) * 3 + channel] = UInt8(top + row.weight * (bottom - top) + 0.5)
            }
          }
        }
      }
    }
    return result
  }

  /// The part inside a box.
  /// - Precondition: the box lies inside the image.
  public func cropped(to box: Box) -> RGBImage {
    precondition(
      box.top >= 0 && box.left >= 0 && box.bottom <= height && box.right <= width, "\(box) of \(height)x\(width)")
    var cropped = [UInt8]()
    cropped.reserveCapacity(box.height * box.width * 3)
    for row in box.top..<box.bottom {
      cropped.append(contentsOf: pixels[(row * width + box.left) * 3..<(row * width + box.right) * 3])
    }
    return RGBImage(height: box.height, width: box.width, pixels: cropped)
  }

  /// Mirrored left to right.
  public func flippedHorizontally() -> RGBImage {
    var result = self
    for row in 0..<height {
      for column in 0..<width {
        for channel in 0..<3 {
          result.pixels[(row * width + column) * 3 + channel] =
            pixels[(row * width + width - 1 - column) * 3 + channel]
        }
      }
    }
    return result
  }
}

extension LabelMap {
  /// Nearest-neighbour resize of every sample; cell `floor(y * height / newHeight)` is taken, as PyTorch and OpenCV do.
  /// - Precondition: both sizes are positive.
  public func resized(height newHeight: Int, width newWidth: Int) -> LabelMap {
    precondition(min(height, width, newHeight, newWidth) > 0, "\(height)x\(width) to \(newHeight)x\(newWidth)")
    if newHeight == height && newWidth == width { return self }
    let columns = (0..<newWidth).map { $0 * width / newWidth }
    var resized = [UInt8]()
    resized.reserveCapacity(samples * newHeight * newWidth)
    for sample in 0..<samples {
      for row in 0..<newHeight {
        let start = (sample * height + row * height / newHeight) * width
        for column in columns { resized.append(values[start + column]) }
      }
    }
    return LabelMap(samples: samples, height: newHeight, width: newWidth, values: resized)
  }

  /// Every sample mirrored left to right.
  public func flippedHorizontally() -> LabelMap {
    var result = self
    for row in 0..<samples * height {
      for column in 0..<width { result.values[row * width + column] = values[row * width + width - 1 - column] }
    }
    return result
  }
}

/// Between two bytes.
private func blend(_ first: UInt8, _ second: UInt8, _ weight: Float) -> Float {
  Float(first) + weight * (Float(second) - Float(first))
}
