// When kept pseudo-labels serve instead of the teacher, and how a crop of them travels between ranks.
// N samples of a rank, H x W the crop.

import Adaptation
import Storage
import Tensors

/// How often each target image's pseudo-labels have been used since they were begun. The same on all ranks.
public struct PseudoLabelAges {
  /// Visits for which labels serve; 0 switches reuse off.
  public let period: Int
  /// Visits since an image's labels were begun; nil for an image without labels.
  private var ages: [Int?]

  /// Images without labels, or as `stored` says.
  /// - Parameters:
  ///   - period: visits that labels serve for.
  ///   - images: number of target images.
  ///   - stored: what `stored` was for as many images; nil starts without labels.
  public init(period: Int, images: Int, stored: Tensor? = nil) {
    precondition(stored == nil || stored?.count == images, "visits of \(stored?.count ?? 0) images for \(images)")
    self.period = period
    ages = stored.map { $0.values.map { $0 > 0 ? Int($0) - 1 : nil } } ?? Array(repeating: nil, count: images)
  }

  /// Visits plus one, 0 for an image without labels, `[images]`.
  public var stored: Tensor { Tensor(ages.map { Float(($0 ?? -1) + 1) }, [ages.count]) }

  /// Images that have labels.
  var labelled: [Int] { ages.indices.filter { ages[$0] != nil } }

  /// Whether an image's labels, as far as there are any, may serve once more.
  public func canServe(_ image: Int) -> Bool { ages[image].map { $0 < period } ?? false }

  /// Counts a visit at which kept labels served.
  public mutating func use(_ image: Int) { ages[image] = (ages[image] ?? 0) + 1 }

  /// Counts a visit at which the teacher spoke.
  /// - Returns: whether its labels join those of earlier visits; else they begin anew.
  public mutating func renew(_ image: Int) -> Bool {
    guard canServe(image) else {
      ages[image] = 0
      return false
    }
    use(image)
    return true
  }
}

/// Kept labels of one crop, in the orientation of the sample.
struct KeptCrop {
  let height: Int
  let width: Int
  /// Labels, confidences, then 1 where the pixel is confident; each row-major.
  let bytes: [UInt8]

  /// The crop of an entry, mirrored left to right where the sample is.
  init(_ entry: PseudoLabelEntry, _ box: Box, flipped: Bool) {
    height = box.height
    width = box.width
    let pixels = height * width
    var bytes = [UInt8](repeating: 0, count: 3 * pixels)
    let (labels, whole) = (entry.labels.values, entry.labels.width)
    for row in 0..<height {
      let first = (box.top + row) * whole
      for column in 0..<width {
        let source = first + (flipped ? box.right - 1 - column : box.left + column)
        let target = row * width + column
        bytes[target] = labels[source]
        bytes[pixels + target] = entry.confidence[source]
        bytes[2 * pixels + target] = entry.confident[source] ? 1 : 0
      }
    }
    self.bytes = bytes
  }

  /// A crop as it arrives.
  init(_ bytes: [UInt8], _ box: Box) {
    precondition(bytes.count == KeptCrop.byteCount(box), "\(bytes.count) bytes of a crop of \(box)")
    height = box.height
    width = box.width
    self.bytes = bytes
  }

  /// Bytes of a crop.
  static func byteCount(_ box: Box) -> Int { 3 * box.height * box.width }
}

extension KeptPseudoLabels {
  /// Crops of one size, one for each sample.
  init(_ crops: [KeptCrop]) {
    let (height, width) = (crops[0].height, crops[0].width)
    let pixels = height * width
    self.init(
      labels: LabelMap(
        stacking: crops.map { LabelMap(height: height, width: width, values: Array($0.bytes[..<pixels])) }),
      confidence: Tensor(
        crops.flatMap { $0.bytes[pixels..<2 * pixels].map { Float($0) / 255 } }, [crops.count, height, width]),
      confident: crops.flatMap { $0.bytes[(2 * pixels)...] })
  }
}
