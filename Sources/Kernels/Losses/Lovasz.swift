// The Lovász extension of the Jaccard loss: what the order of errors says of the intersection over union.

import Support
import Tensors

/// Errors of one class, `|[label is the class] - p|`, of pixels that have a label.
public struct ClassErrors {
  /// The errors; those of pixels of the class are stored negative, -0 included.
  public var signed: [Float] = []

  /// None.
  public init() {}

  /// The errors of several stretches of pixels, one after the other.
  public init(joining parts: [[Float]]) { signed = parts.flatMap { $0 } }

  /// Errors of one class in some samples.
  /// - Parameters:
  ///   - probabilities: soft-max, [N, H, W, K].
  ///   - labels: [N, H, W]; pixels of label 255 are left out.
  ///   - label: the class.
  ///   - samples: which samples.
  public init(_ probabilities: Tensor, _ labels: LabelMap, label: Int, samples: Range<Int>) {
    let perSample = labels.height * labels.width
    for pixel in samples.lowerBound * perSample..<samples.upperBound * perSample {
      guard labels.values[pixel] != LabelMap.ignored else { continue }
      let p = probabilities.pointer[pixel * probabilities.channels + label]
      signed.append(Int(labels.values[pixel]) == label ? -abs(1 - p) : abs(p))
    }
  }

  /// For every error, in the order of the pixels, the derivative of the class's loss by it; the loss is the sum of the
  /// products. Of equal errors the first comes first. Nothing is derived if no pixel has the class.
  ///
  /// Source: Berman, Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018, algorithm 1.
  public func jaccardSlopes() -> [Double] {
    var slopes = [Double](repeating: 0, count: signed.count)
    let total = signed.reduce(0.0) { $0 + ($1.sign == .minus ? 1 : 0) }
    guard total > 0 else { return slopes }
    var (inside, union, before) = (total, total, 0.0)
    for place in descending() {
      if signed[place].sign == .minus { inside -= 1 } else { union += 1 }
      let jaccard = 1 - inside / union
      slopes[place] = jaccard - before
      before = jaccard
    }
    return slopes
  }

  /// Places by error, the greatest first: sorted as whole numbers of error and place.
  private func descending() -> [Int] {
    precondition(signed.count < 1 << 32, "\(signed.count) errors")
    let keys = signed.indices.map { UInt64(~signed[$0].magnitude.bitPattern) << 32 | UInt64($0) }
    return keys.sorted().map { Int($0 & 0xffff_ffff) }
  }
}

/// Per sample, the sum over classes of `weights[c]` times the loss of class c, and the gradient of `factor` times all.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - labels: what is right, 255 ignored.
///   - slopes: by class, what `jaccardSlopes` says of this tensor's labelled pixels; empty: the class gives nothing.
///   - errors: by class, their errors.
///   - weights: by class and sample, `[K][N]`.
///   - factor: of the gradient; nil forms none.
public func lovaszLosses(
  _ logits: Tensor, labels: LabelMap, errors: [ClassErrors], slopes: [[Double]], weights: [[Double]], factor: Float?
) -> LossSums {
  checkPixels(logits, labels: labels, weights: nil)
  let places = labelledPlaces(labels)
  let perSample = labels.height * labels.width
  var sums = [Double](repeating: 0, count: labels.samples)
  for pixel in labels.values.indices where places[pixel] >= 0 {
    for label in 0..<logits.channels where !slopes[label].isEmpty {
      let error = Double(errors[label].signed[places[pixel]].magnitude)
      sums[pixel / perSample] += weights[label][pixel / perSample] * error * slopes[label][places[pixel]]
    }
  }
  guard factor != nil else { return (sums, nil) }
  let gradient = pixelLosses(logits, factor: factor) { one in
    guard places[one.pixel] >= 0 else { return nil }
    for label in 0..<one.classes {
      guard !slopes[label].isEmpty else {
        one.slope[label] = 0
        continue
      }
      let sign: Double = Int(labels.values[one.pixel]) == label ? -1 : 1
      one.slope[label] =
        sign * weights[label][one.sample] * slopes[label][places[one.pixel]] * one.probability[label]
    }
    return 0
  }.gradient
  return (sums, gradient)
}

/// The place of every pixel among those that have a label; -1 without one.
private func labelledPlaces(_ labels: LabelMap) -> [Int] {
  var next = 0
  return labels.values.map { label in
    guard label != LabelMap.ignored else { return -1 }
    next += 1
    return next - 1
  }
}
