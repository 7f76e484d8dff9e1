// Counts of labelled pixels by true and predicted class, and the scores made of them.

import Support
import Tensors

/// Pixels by label (row) and prediction (column).
public struct ConfusionMatrix: Sendable, Equatable {
  /// Number of classes.
  public let classCount: Int
  /// Row-major counts.
  public private(set) var counts: [Int64]

  /// Zeros, or given counts.
  /// - Precondition: there are `classCount * classCount` counts.
  public init(classCount: Int, counts: [Int64]? = nil) {
    self.classCount = classCount
    self.counts = counts ?? [Int64](repeating: 0, count: classCount * classCount)
    precondition(self.counts.count == classCount * classCount, "\(self.counts.count) counts for \(classCount) classes")
  }

  /// Counts the pixels of an image; ignored ones (255) are left out.
  /// - Parameters:
  ///   - labels: what is right.
  ///   - predictions: class of every pixel.
  ///   - scoredAs: class that each predicted class counts as.
  /// - Precondition: sizes agree; labels and predictions are below `classCount` (labels may be 255).
  public mutating func add(labels: LabelMap, predictions: LabelMap, scoredAs: [UInt8]) {
    precondition(labels.values.count == predictions.values.count, "labels and predictions of different sizes")
    for (label, prediction) in zip(labels.values, predictions.values) where label != LabelMap.ignored {
      counts[Int(label) * classCount + Int(scoredAs[Int(prediction)])] += 1
    }
  }

  /// Intersection over union of each class in percent; nil where the union is empty.
  public var iou: [Double?] {
    (0..<classCount).map { index in
      let both = counts[index * classCount + index]
      let labelled = (0..<classCount).reduce(Int64(0)) { $0 + counts[index * classCount + $1] }
      let predicted = (0..<classCount).reduce(Int64(0)) { $0 + counts[$1 * classCount + index] }
      let union = labelled + predicted - both
      return union > 0 ? 100 * Double(both) / Double(union) : nil
    }
  }

  /// Mean over the classes whose union is not empty, in percent; 0 if there is none.
  public var meanIoU: Double {
    let present = iou.compactMap { $0 }
    return present.isEmpty ? 0 : present.reduce(0, +) / Double(present.count)
  }

  /// Over how many classes the mean goes, such as `14 of 19 classes`.
  public var coverage: String { "\(iou.compactMap { $0 }.count) of \(classCount) classes" }

  /// Share of labelled pixels that are right, in percent; 0 if there are none.
  public var pixelAccuracy: Double {
    let total = counts.reduce(0, +)
    let right = (0..<classCount).reduce(Int64(0)) { $0 + counts[$1 * classCount + $1] }
    return total > 0 ? 100 * Double(right) / Double(total) : 0
  }
}
