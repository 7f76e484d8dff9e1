// Where training crops are cut out.

import Support
import Tensors

/// How crops of labelled images are chosen.
public struct CropRules: Sendable, Equatable {
  /// Size of every crop.
  public var crop: PixelSize
  /// A source crop is redrawn while one class holds at least this share of its labelled pixels; 1 turns the rule off.
  public var dominantShare: Double
  /// Redraws of each rule; the last crop is kept whatever it holds.
  public var redraws: Int

  /// The published values but for the crop's size.
  public init(crop: PixelSize, dominantShare: Double = 0.75, redraws: Int = 10) {
    self.crop = crop
    self.dominantShare = dominantShare
    self.redraws = redraws
  }

  /// A place of the crop, uniform over all that lie inside an image; the last row and column included.
  /// - Precondition: the crop fits into `size`.
  func drawBox(in size: PixelSize, _ stream: inout RandomStream) -> Box {
    precondition(crop.fits(in: size), "crop \(crop) of image \(size)")
    let top = stream.nextIndex(below: size.height - crop.height + 1)
    let left = stream.nextIndex(below: size.width - crop.width + 1)
    return Box(top: top, bottom: top + crop.height, left: left, right: left + crop.width)
  }

  /// A place of the crop in a labelled image.
  ///
  /// A crop is redrawn while one class dominates it, up to `redraws` times; the whole is repeated while the crop does
  /// not hold enough of the class, up to the wish's own number of times.
  /// - Precondition: the crop fits into the labels.
  /// Source: the published code of DAFormer and HRDA (random crop with a category limit, rare class sampling).
  func drawBox(in labels: LabelMap, wish: RareClassWish?, _ stream: inout RandomStream) -> Box {
    let size = PixelSize(height: labels.height, width: labels.width)
    var (box, pixels) = drawVariedBox(in: labels, size, &stream)
    // A crop as large as the image has one place only.
    guard let wish, crop != size else { return box }
    var left = wish.redraws
    while pixels[wish.label] <= wish.minimumPixels && left > 0 {
      (box, pixels) = drawVariedBox(in: labels, size, &stream)
      left -= 1
    }
    return box
  }

  private func drawVariedBox(
    in labels: LabelMap, _ size: PixelSize, _ stream: inout RandomStream
  ) -> (box: Box, pixels: [Int]) {
    var box = drawBox(in: size, &stream)
    var pixels = labelHistogram(labels, in: box)
    var left = crop == size ? 0 : redraws
    while !isVaried(pixels) && left > 0 {
      box = drawBox(in: size, &stream)
      pixels = labelHistogram(labels, in: box)
      left -= 1
    }
    return (box, pixels)
  }

  /// Whether no class dominates pixels counted by label.
  ///
  /// At least two classes must occur and none may reach `dominantShare` of the labelled pixels.
  public func isVaried(_ pixels: [Int]) -> Bool {
    guard dominantShare < 1 else { return true }
    let present = pixels.prefix(Int(LabelMap.ignored)).filter { $0 > 0 }
    guard present.count > 1, let largest = present.max() else { return false }
    return Double(largest) / Double(present.reduce(0, +)) < dominantShare
  }
}

/// What rare class sampling asks of a crop.
struct RareClassWish: Sendable {
  /// The class drawn.
  let label: Int
  /// The crop should hold more pixels of it than this.
  let minimumPixels: Int
  /// Redraws of a crop that does not.
  let redraws: Int
}

/// Rows and columns at the edges of a target image whose pseudo-labels are not trusted, in pixels of the image as the
/// data set returns it.
public struct ImageMargins: Sendable, Equatable {
  /// Rows at the top.
  public var top: Int
  /// Rows at the bottom.
  public var bottom: Int
  /// Columns at the left.
  public var left: Int
  /// Columns at the right.
  public var right: Int

  /// From its widths.
  public init(top: Int, bottom: Int, left: Int, right: Int) {
    self.top = top
    self.bottom = bottom
    self.left = left
    self.right = right
  }

  /// HRDA's margins of Cityscapes images at 2048x1024: the car's bonnet and the edges of the rectified picture.
  public static let cityscapes = ImageMargins(top: 30, bottom: 240, left: 30, right: 30)

  /// 1 where pixels of a crop lie inside the margins of its image, else 0; row-major.
  ///
  /// The mask belongs to the whole image and is cropped and flipped with it.
  public func mask(of box: Box, in size: PixelSize, flipped: Bool) -> [Float] {
    let columns = (box.left..<box.right).map { $0 >= left && $0 < size.width - right }
    let ordered = flipped ? columns.reversed() : columns
    return (box.top..<box.bottom).flatMap { row -> [Float] in
      let trusted = row >= top && row < size.height - bottom
      return ordered.map { trusted && $0 ? 1 : 0 }
    }
  }
}
