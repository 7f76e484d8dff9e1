// Centroids of features: what a class looks like on average, and which class a cell is nearest to. Vectors of images are
// taken in one by one, in the order of images, so that ranks agree to the bit. N samples, h×w cells, C channels, K classes.

import Kernels
import Support
import Tensors

/// A mean feature of a class in an image.
public struct ClassVector: Equatable, Sendable {
  /// The class.
  public let label: Int
  /// Its mean feature, C numbers.
  public let values: [Float]

  /// A vector of a class.
  public init(label: Int, values: [Float]) {
    self.label = label
    self.values = values
  }
}

/// For each sample the mean features of its classes, in ascending order, over the cells that are predicted as the class
/// and, where labels are given, labelled so. Classes of fewer than `least` cells are left out.
///
/// Shapes: `features` [N, h, w, C]; `logits` [N, h', w', K], whose arg-max goes to the nearest cells.
/// - Parameters:
///   - features: of a network.
///   - logits: of the same network.
///   - labels: [N, h, w], 255 ignored; nil: predictions alone.
///   - least: cells of a class at least.
/// Source: Shen et al., DiGA, CVPR 2023, section 3.3 and its code.
public func classVectors(
  _ features: Tensor, logits: Tensor, labels: LabelMap? = nil, least: Int
) -> [[ClassVector]] {
  let found = nearest(argMax(logits), height: features.shape[1], width: features.shape[2])
  let cells = labels.map(found.agreeing) ?? found
  let (classes, channels) = (logits.channels, features.channels)
  let sums = classSums(features, labels: cells, classes: classes)
  return (0..<features.samples).map { sample in
    (0..<classes).compactMap { label in
      let first = (sample * classes + label) * (channels + 1)
      let count = sums[first + channels]
      guard count >= Double(least) else { return nil }
      return ClassVector(label: label, values: sums[first..<first + channels].map { Float($0 / count) })
    }
  }
}

extension LabelMap {
  /// The labels with which others agree, 255 elsewhere.
  /// - Precondition: both are of one size.
  public func agreeing(with others: LabelMap) -> LabelMap {
    precondition(
      (samples, height, width) == (others.samples, others.height, others.width),
      "\(samples)x\(height)x\(width) labels beside \(others.samples)x\(others.height)x\(others.width)")
    return LabelMap(
      samples: samples, height: height, width: width,
      values: zip(values, others.values).map { $0 == $1 ? $0 : LabelMap.ignored })
  }
}

extension [ClassVector] {
  /// As numbers that ranks tell each other.
  public var row: [Float] { flatMap { [Float($0.label)] + $0.values } }

  /// From such numbers.
  public init(row: [Float], channels: Int) {
    precondition(row.count.isMultiple(of: channels + 1), "\(row.count) numbers of vectors of \(channels)")
    self = stride(from: 0, to: row.count, by: channels + 1).map { (first: Int) -> ClassVector in
      let values = row[first + 1..<first + 1 + channels]
      return ClassVector(label: Int(row[first]), values: [Float](values))
    }
  }
}

/// A centroid for each class. The same on all ranks, if all take in the same vectors in the same order.
public final class ClassCentroids {
  /// The centroids, `[K, C]`; 0 for a class that was never seen.
  public let values: Tensor

  /// Centroids of nothing.
  public init(classes: Int, channels: Int) { values = Tensor(zeros: [classes, channels]) }

  /// `softmax(-‖f - μ_c‖₂)` over the classes.
  ///
  /// Shapes: `features` [N, h, w, C]; result [N, h, w, K].
  public func scores(_ features: Tensor) -> Tensor { softmax(scaled(centroidDistances(features, values), by: -1)) }

  /// The class of the highest score, enlarged with aligned corners.
  public func nearestLabels(_ features: Tensor, height: Int, width: Int) -> LabelMap {
    argMax(bilinear(scores(features), height: height, width: width, alignCorners: true))
  }

  /// Moves by vectors, one after the other: `μ ← (1 - m) μ + m v`. One whose sum is 0 is left out.
  public func move(by vectors: [ClassVector], momentum: Double) {
    take(vectors) { mean, _, value in (1 - momentum) * mean + momentum * value }
  }

  /// Plain means of vectors, one after the other: `μ ← (n μ + v) / (n + 1)`.
  /// - Parameters:
  ///   - vectors: in the order of images. One whose sum is 0 is left out.
  ///   - counts: n of each class; counts on.
  ///   - cap: the largest n, after which a vector weighs 1 / (cap + 1); nil: none.
  public func average(_ vectors: [ClassVector], counts: inout [Int], cap: Int? = nil) {
    var numbers = counts
    take(vectors, { mean, label, value in (Double(numbers[label]) * mean + value) / Double(numbers[label] + 1) }) {
      numbers[$0] = min(numbers[$0] + 1, cap ?? .max)
    }
    counts = numbers
  }

  private func take(
    _ vectors: [ClassVector], _ moved: (_ mean: Double, _ label: Int, _ value: Double) -> Double,
    taken: (_ label: Int) -> Void = { _ in }
  ) {
    let channels = values.channels
    var all = values.values.map(Double.init)
    for vector in vectors where vector.values.reduce(0, +) != 0 {
      precondition(vector.values.count == channels, "a vector of \(vector.values.count) for centroids \(values.shape)")
      for (channel, value) in vector.values.enumerated() {
        let place = vector.label * channels + channel
        all[place] = moved(all[place], vector.label, Double(value))
      }
      taken(vector.label)
    }
    values.assign(Tensor(all.map { Float($0) }, values.shape))
  }
}
