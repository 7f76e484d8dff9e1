// Maps of numbers that images bring besides labels, such as depth: they follow every crop and flip.

import Support
import Tensors

/// A number for each pixel of an image.
public struct PixelMap: Sendable, Equatable {
  /// Name of the map of depths, in units of `DepthCode`.
  public static let depth = "depth"

  /// Rows.
  public let height: Int
  /// Columns.
  public let width: Int
  /// The numbers, row-major.
  public private(set) var values: [Float]

  /// From its numbers.
  /// - Precondition: there is a number for each pixel.
  public init(height: Int, width: Int, values: [Float]) {
    precondition(values.count == height * width, "\(values.count) numbers for \(height)x\(width)")
    self.height = height
    self.width = width
    self.values = values
  }

  /// Its size.
  public var size: PixelSize { PixelSize(height: height, width: width) }

  /// Nearest-neighbour resize, as labels are resized: numbers that mean nothing is known are not blended.
  /// - Precondition: both sizes are positive.
  public func resized(height newHeight: Int, width newWidth: Int) -> PixelMap {
    precondition(min(height, width, newHeight, newWidth) > 0, "\(height)x\(width) to \(newHeight)x\(newWidth)")
    if newHeight == height && newWidth == width { return self }
    let columns = (0..<newWidth).map { $0 * width / newWidth }
    var resized = [Float]()
    resized.reserveCapacity(newHeight * newWidth)
    for row in 0..<newHeight {
      let start = row * height / newHeight * width
      for column in columns { resized.append(values[start + column]) }
    }
    return PixelMap(height: newHeight, width: newWidth, values: resized)
  }

  /// The part inside a box.
  /// - Precondition: the box lies inside the map.
  public func cropped(to box: Box) -> PixelMap {
    precondition(
      box.top >= 0 && box.left >= 0 && box.bottom <= height && box.right <= width, "\(box) of \(height)x\(width)")
    return PixelMap(
      height: box.height, width: box.width,
      values: (box.top..<box.bottom).flatMap { values[$0 * width + box.left..<$0 * width + box.right] })
  }

  /// Mirrored left to right.
  public func flippedHorizontally() -> PixelMap {
    var result = self
    for row in 0..<height {
      for column in 0..<width { result.values[row * width + column] = values[row * width + width - 1 - column] }
    }
    return result
  }
}

extension Tensor {
  /// Maps of one size as `[n, H, W]`.
  /// - Precondition: there is a map.
  public init(stacking maps: [PixelMap]) {
    precondition(maps.allSatisfy { $0.size == maps[0].size }, "maps of different sizes")
    self.init(maps.flatMap(\.values), [maps.count, maps[0].height, maps[0].width])
  }
}
