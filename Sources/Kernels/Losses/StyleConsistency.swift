// Agreement of the predictions for an image and for the same image in another style.
// N samples, H×W pixels, K classes. Rows are computed in Double: the divergence is a small difference of logarithms.

import Support
import Tensors

/// Below this the mean of two probabilities counts as constant, as in the published code.
private let smallestMean = 1e-7

/// Per sample, the sum over pixels of the Jensen-Shannon divergence of two predictions.
///
///     m = clamp((p + q) / 2, 10⁻⁷, 1)      JS = (KL(p‖m) + KL(q‖m)) / 2
///
/// with p and q the soft-max of the logits. The caller multiplies by 10 and divides by the number of pixels.
/// Shapes: `logits` and `stylised` [N, H, W, K], at the stride of the head.
/// - Precondition: the shapes agree.
/// Source: SHADE (Zhao et al., ECCV 2022), as the domain generalisation variants of DAFormer and HRDA use it.
public func styleConsistencySums(_ logits: Tensor, _ stylised: Tensor) -> [Double] {
  precondition(logits.shape == stylised.shape, "predictions \(logits.shape) and \(stylised.shape)")
  let classes = logits.channels
  let tiles = SampleTiles(rowsOf: logits)
  let partial = DoubleScratch(rows: logits.samples * tiles.perSample, columns: 1)
  tiles.run { sample, tile, first, rows in
    let scratch = DoubleScratch(rows: 3, columns: classes)
    let pair = PredictionPair(scratch, classes)
    var sum = 0.0
    for row in first..<first + rows {
      pair.read(logits.pointer + row * classes, stylised.pointer + row * classes)
      sum += pair.divergence
    }
    partial.row(sample * tiles.perSample + tile).pointee = sum
    withExtendedLifetime(scratch) {}
  }
  return partial.sums(samples: logits.samples, tiles: tiles.perSample)
}

/// Gradients of `factor` times the sum of `styleConsistencySums` with respect to both logits.
///
/// Both predictions and their mean take part; where the mean is clamped it is a constant.
/// Shapes: as for `styleConsistencySums`; results as the inputs.
/// - Precondition: the shapes agree.
public func styleConsistencyGradients(
  _ logits: Tensor, _ stylised: Tensor, factor: Float
) -> (logits: Tensor, stylised: Tensor) {
  precondition(logits.shape == stylised.shape, "predictions \(logits.shape) and \(stylised.shape)")
  let classes = logits.channels
  let results = (logits: Tensor(uninitialized: logits.shape), stylised: Tensor(uninitialized: logits.shape))
  SampleTiles(rowsOf: logits).run { _, _, first, rows in
    let scratch = DoubleScratch(rows: 3, columns: classes)
    let pair = PredictionPair(scratch, classes)
    for row in first..<first + rows {
      pair.read(logits.pointer + row * classes, stylised.pointer + row * classes)
      pair.writeGradient(of: pair.first, factor: Double(factor), to: results.logits.pointer + row * classes)
      pair.writeGradient(of: pair.second, factor: Double(factor), to: results.stylised.pointer + row * classes)
    }
    withExtendedLifetime(scratch) {}
  }
  return results
}

/// Log-probabilities of one pixel in two predictions, and the logarithm of their clamped mean.
private struct PredictionPair {
  let classes: Int
  let first: UnsafeMutablePointer<Double>
  let second: UnsafeMutablePointer<Double>
  private let mean: UnsafeMutablePointer<Double>
  private let floor = smallestMean.logarithm

  /// Works in three rows of scratch.
  init(_ scratch: DoubleScratch, _ classes: Int) {
    self.classes = classes
    first = scratch.row(0)
    second = scratch.row(1)
    mean = scratch.row(2)
  }

  func read(_ logits: UnsafePointer<Float>, _ stylised: UnsafePointer<Float>) {
    writeLogSoftmax(logits, to: first)
    writeLogSoftmax(stylised, to: second)
    for label in 0..<classes {
      let average = (first[label].exponential + second[label].exponential) / 2
      mean[label] = min(max(average, smallestMean), 1).logarithm
    }
  }

  var divergence: Double {
    var sum = 0.0
    for label in 0..<classes {
      sum += first[label].exponential * (first[label] - mean[label])
      sum += second[label].exponential * (second[label] - mean[label])
    }
    return sum / 2
  }

  /// With respect to the logits that `prediction` was made of.
  func writeGradient(
    of prediction: UnsafeMutablePointer<Double>, factor: Double, to result: UnsafeMutablePointer<Float>
  ) {
    // Through p and through the mean the derivative by p is half of ln p + 1 - ln m - 1; a constant mean lacks the last.
    func slope(_ label: Int) -> Double {
      (prediction[label] - mean[label] + (mean[label] > floor ? 0 : 1)) / 2
    }
    var average = 0.0
    for label in 0..<classes { average += prediction[label].exponential * slope(label) }
    for label in 0..<classes {
      result[label] = Float(factor * prediction[label].exponential * (slope(label) - average))
    }
  }

  private func writeLogSoftmax(_ logits: UnsafePointer<Float>, to result: UnsafeMutablePointer<Double>) {
    var largest = Double(logits[0])
    for label in 1..<classes { largest = max(largest, Double(logits[label])) }
    var sum = 0.0
    for label in 0..<classes { sum += (Double(logits[label]) - largest).exponential }
    let normaliser = largest + sum.logarithm
    for label in 0..<classes { result[label] = Double(logits[label]) - normaliser }
  }
}
