// Quantiles of confidences by class, exact, from counts of stored 16-bit numbers: however images were shared and in
// whatever order they came, whole numbers add up to the same counts.

import Support
import Tensors

/// For each class, how often each confidence was stored, confidences being numbers ⌊65535 p⌋.
public struct ConfidenceHistogram: Sendable, Equatable {
  /// Distinct numbers.
  public static let levels = 1 << 16
  /// Number of classes.
  public let classes: Int
  /// Occurrences by class and number, `[classes · levels]`.
  public private(set) var counts: [Int]

  /// Nothing counted.
  public init(classes: Int) {
    self.classes = classes
    counts = [Int](repeating: 0, count: classes * ConfidenceHistogram.levels)
  }

  /// Given occurrences by class and number, such as the sums of all ranks.
  public init(classes: Int, counts: [Int]) {
    precondition(counts.count == classes * ConfidenceHistogram.levels, "\(counts.count) counts of \(classes) classes")
    self.classes = classes
    self.counts = counts
  }

  /// The number that is stored for a confidence between 0 and 1; 0 for not-a-number.
  public static func stored(_ confidence: Float) -> UInt16 {
    confidence > 0 ? UInt16(min(Double(confidence), 1) * Double(levels - 1)) : 0
  }

  /// Counts pixels by their label; 255 and other labels beyond the classes are passed over.
  /// - Precondition: as many labels as confidences.
  public mutating func add(labels: [UInt8], confidences: [UInt16]) {
    precondition(labels.count == confidences.count, "\(labels.count) labels, \(confidences.count) confidences")
    for (label, number) in zip(labels, confidences) where label < classes {
      counts[Int(label) * ConfidenceHistogram.levels + Int(number)] += 1
    }
  }

  /// Counts what another one has counted.
  /// - Precondition: it has as many classes.
  public mutating func add(_ other: ConfidenceHistogram) {
    precondition(other.classes == classes, "\(other.classes) classes added to \(classes)")
    for index in counts.indices { counts[index] += other.counts[index] }
  }

  /// Pixels counted of a class.
  public func total(_ label: Int) -> Int { row(label).reduce(0, +) }

  /// The number at index `round(n · share)` of a class's n numbers in ascending order, halves rounded to even as in NumPy
  /// and the index at most n - 1; nil for a class without pixels.
  ///
  /// Source: thresholds of SPCL (Xie et al., arXiv 2111.12358, 2021, code) and of ProCA.
  public func quantile(_ share: Double, of label: Int) -> UInt16? {
    let total = total(label)
    guard total > 0 else { return nil }
    let index = min(max(0, Int((Double(total) * share).rounded(.toNearestOrEven))), total - 1)
    return number(at: index, of: label)
  }

  /// The least of the `count` greatest numbers of a class, or of all of them if there are fewer; nil without pixels.
  public func leastOfLargest(_ count: Int, of label: Int) -> UInt16? {
    precondition(count > 0, "the greatest \(count) numbers")
    let total = total(label)
    return total > 0 ? number(at: max(0, total - count), of: label) : nil
  }

  private func number(at index: Int, of label: Int) -> UInt16 {
    var below = 0
    for (number, count) in row(label).enumerated() {
      below += count
      if below > index { return UInt16(number) }
    }
    preconditionFailure("number \(index) of \(below)")
  }

  private func row(_ label: Int) -> ArraySlice<Int> {
    counts[label * ConfidenceHistogram.levels..<(label + 1) * ConfidenceHistogram.levels]
  }
}
