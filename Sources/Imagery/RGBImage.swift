// Eight-bit colour images as they lie in files.

/// Eight-bit RGB pixels, row-major, three bytes each.
public struct RGBImage: Sendable, Equatable {
  /// Rows.
  public let height: Int
  /// Columns.
  public let width: Int
  /// `height * width * 3` bytes.
  public var pixels: [UInt8]

  /// Given pixels, or black.
  /// - Precondition: there are `height * width * 3` bytes.
  public init(height: Int, width: Int, pixels: [UInt8]? = nil) {
    self.height = height
    self.width = width
    self.pixels = pixels ?? [UInt8](repeating: 0, count: height * width * 3)
    precondition(self.pixels.count == height * width * 3, "\(self.pixels.count) bytes for \(height)x\(width) RGB")
  }
}
