// Class labels per pixel.

/// Labels `[sample, height, width]`, one byte each; 255 is an ignored pixel.
public struct LabelMap: Sendable, Equatable {
  /// Marks a pixel without a label.
  public static let ignored: UInt8 = 255

  /// Number of maps.
  public let samples: Int
  /// Rows.
  public let height: Int
  /// Columns.
  public let width: Int
  /// Row-major labels of all samples.
  public var values: [UInt8]

  /// Given labels, or all ignored.
  /// - Precondition: there are `samples * height * width` values.
  public init(samples: Int = 1, height: Int, width: Int, values: [UInt8]? = nil) {
    let count = samples * height * width
    self.samples = samples
    self.height = height
    self.width = width
    self.values = values ?? [UInt8](repeating: LabelMap.ignored, count: count)
    precondition(self.values.count == count, "\(self.values.count) labels for \(samples)x\(height)x\(width)")
  }

  /// Labels of one sample.
  public func sample(_ index: Int) -> LabelMap {
    LabelMap(height: height, width: width, values: Array(values[index * height * width..<(index + 1) * height * width]))
  }

  /// Maps of equal size, one after the other.
  /// - Precondition: there is at least one map and all sizes agree.
  public init(stacking maps: [LabelMap]) {
    precondition(!maps.isEmpty, "nothing to stack")
    precondition(
      maps.allSatisfy { $0.height == maps[0].height && $0.width == maps[0].width }, "label maps of different sizes")
    self.init(
      samples: maps.reduce(0) { $0 + $1.samples }, height: maps[0].height, width: maps[0].width,
      values: maps.flatMap(\.values))
  }

  /// The maps in the upper left corner of larger ones, whose other pixels are ignored.
  /// - Precondition: both sides are as large as the map's, or larger.
  public func filledUp(height newHeight: Int, width newWidth: Int) -> LabelMap {
    precondition(newHeight >= height && newWidth >= width, "\(newHeight)x\(newWidth) around \(height)x\(width)")
    var result = LabelMap(samples: samples, height: newHeight, width: newWidth)
    for row in 0..<samples * height {
      let first = (row / height * newHeight + row % height) * newWidth
      result.values.replaceSubrange(first..<first + width, with: values[row * width..<(row + 1) * width])
    }
    return result
  }

  /// The part inside a box, of every sample.
  /// - Precondition: the box lies inside the map.
  public func cropped(to box: Box) -> LabelMap {
    precondition(
      box.top >= 0 && box.left >= 0 && box.bottom <= height && box.right <= width, "\(box) of \(height)x\(width)")
    var cropped = [UInt8]()
    cropped.reserveCapacity(samples * box.height * box.width)
    for sample in 0..<samples {
      for row in box.top..<box.bottom {
        let start = (sample * height + row) * width
        cropped.append(contentsOf: values[start + box.left..<start + box.right])
      }
    }
    return LabelMap(samples: samples, height: box.height, width: box.width, values: cropped)
  }

  /// The part inside a box for each sample; a single box serves all.
  /// - Precondition: one box, or one of equal size for each sample; they lie inside the map.
  public func cropped(to boxes: [Box]) -> LabelMap {
    guard boxes.count != 1 else { return cropped(to: boxes[0]) }
    precondition(boxes.count == samples, "\(boxes.count) boxes for \(samples) label maps")
    return LabelMap(stacking: boxes.enumerated().map { sample($0).cropped(to: $1) })
  }
}

/// A rectangle of pixels, `top ..< bottom` by `left ..< right`.
public struct Box: Hashable, Sendable, CustomStringConvertible {
  /// First row.
  public let top: Int
  /// One past the last row.
  public let bottom: Int
  /// First column.
  public let left: Int
  /// One past the last column.
  public let right: Int

  /// From its edges.
  public init(top: Int, bottom: Int, left: Int, right: Int) {
    precondition(top <= bottom && left <= right, "box \(top)..<\(bottom) x \(left)..<\(right)")
    self.top = top
    self.bottom = bottom
    self.left = left
    self.right = right
  }

  /// Rows.
  public var height: Int { bottom - top }
  /// Columns.
  public var width: Int { right - left }
  /// Every edge divided by `factor`, rounded towards zero.
  public func divided(by factor: Int) -> Box {
    Box(top: top / factor, bottom: bottom / factor, left: left / factor, right: right / factor)
  }
  /// Such as `rows 0..<64, columns 8..<72`.
  public var description: String { "rows \(top)..<\(bottom), columns \(left)..<\(right)" }
}
