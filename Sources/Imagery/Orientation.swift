// How a picture is turned upright: the tag that cameras write (Exif 2.32, tag 274), and the turning.

import Support

/// One of the eight ways in which the stored rows and columns of a picture can lie.
public struct Orientation: Sendable, Equatable {
  /// 1 ... 8, as in Exif: 1 is upright, 3 upside down, 6 and 8 lie on their sides, the even ones below 5 and the odd
  /// ones from 5 on are mirrored.
  public let tag: Int

  /// Upright as it is stored.
  public static let upright = Orientation(tag: 1)

  /// Whether rows become columns.
  public var isSideways: Bool { tag >= 5 }

  /// The size that a picture of some stored size has upright.
  public func applied(to stored: PixelSize) -> PixelSize {
    isSideways ? PixelSize(height: stored.width, width: stored.height) : stored
  }

  private init(tag: Int) { self.tag = tag }

  /// The orientation in the bytes of an Exif block, a small TIFF file; upright where it says none, or nonsense.
  ///
  /// Every position is checked against the bytes that are there.
  init(exif: ArraySlice<UInt8>) { tag = Orientation.tag(in: Array(exif)) ?? 1 }

  private static func tag(in bytes: [UInt8]) -> Int? {
    let order = bytes.prefix(4)
    guard order.elementsEqual([0x49, 0x49, 42, 0]) || order.elementsEqual([0x4d, 0x4d, 0, 42]) else { return nil }
    let isLittle = bytes[0] == 0x49
    func number(_ position: Int, _ count: Int) -> Int? {
      guard position >= 0, position <= bytes.count - count else { return nil }
      let digits = bytes[position..<position + count]
      return isLittle
        ? digits.reversed().reduce(0) { $0 << 8 | Int($1) } : digits.reduce(0) { $0 << 8 | Int($1) }
    }
    guard let directory = number(4, 4), let entries = number(directory, 2) else { return nil }
    for entry in 0..<entries {
      let start = directory + 2 + entry * 12
      guard let tag = number(start, 2) else { return nil }
      guard tag == 0x112 else { continue }
      // A short (type 3), of which there is one; its value lies in the entry.
      guard number(start + 2, 2) == 3, number(start + 4, 4) == 1, let value = number(start + 8, 2) else { return nil }
      return (1...8).contains(value) ? value : nil
    }
    return nil
  }
}

extension RGBImage {
  /// The picture turned upright from how it was stored.
  public func turned(_ orientation: Orientation) -> RGBImage {
    guard orientation != .upright else { return self }
    let size = orientation.applied(to: PixelSize(height: height, width: width))
    // Where the upright picture's first pixel is stored, and how far a step right and a step down go from there.
    let (last, lastRow) = (width - 1, (height - 1) * width)
    let (first, right, down) =
      switch orientation.tag {
      case 2: (last, -1, width)
      case 3: (lastRow + last, -1, -width)
      case 4: (lastRow, 1, -width)
      case 5: (0, width, 1)
      case 6: (lastRow, -width, 1)
      case 7: (lastRow + last, -width, -1)
      default: (last, width, -1)
      }
    var result = RGBImage(height: size.height, width: size.width)
    pixels.withUnsafeBufferPointer { stored in
      result.pixels.withUnsafeMutableBufferPointer { upright in
        var output = 0
        for row in 0..<size.height {
          var input = 3 * (first + row * down)
          for _ in 0..<size.width {
            for channel in 0..<3 { upright[output + channel] = stored[input + channel] }
            output += 3
            input += 3 * right
          }
        }
      }
    }
    return result
  }
}
