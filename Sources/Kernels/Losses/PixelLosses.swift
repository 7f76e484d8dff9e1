// What losses on soft-max predictions share: each pixel's loss is a function of its log-probabilities. Rows are computed
// in Double. N samples, H×W pixels, K classes.

import Support
import Tensors

/// Per sample the sum of a loss over its pixels, and the gradient of a factor times all of them.
public typealias LossSums = (sums: [Double], gradient: Tensor?)

/// One pixel's prediction, as a loss sees it.
struct PixelPrediction {
  /// The pixel, counted over all samples.
  let pixel: Int
  let sample: Int
  let classes: Int
  /// Soft-max of the logits.
  let probability: UnsafeMutablePointer<Double>
  /// Its logarithm.
  let logarithm: UnsafeMutablePointer<Double>
  /// To be filled: the derivative of the loss by each log-probability.
  let slope: UnsafeMutablePointer<Double>

  func fillSlopes(with value: Double = 0) { slope.update(repeating: value, count: classes) }

  fileprivate func read(_ logits: UnsafePointer<Float>) {
    var largest = Double(logits[0])
    for label in 1..<classes { largest = max(largest, Double(logits[label])) }
    var sum = 0.0
    for label in 0..<classes {
      probability[label] = (Double(logits[label]) - largest).exponential
      sum += probability[label]
    }
    let normaliser = largest + sum.logarithm
    for label in 0..<classes {
      logarithm[label] = Double(logits[label]) - normaliser
      probability[label] /= sum
    }
  }

  fileprivate func writeGradient(factor: Double, to result: UnsafeMutablePointer<Float>) {
    var total = 0.0
    for label in 0..<classes { total += slope[label] }
    for label in 0..<classes { result[label] = Float(factor * (slope[label] - probability[label] * total)) }
  }
}

/// Sums a loss of each pixel's prediction.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - factor: of the gradient; nil: none is wanted.
///   - loss: fills the slopes and returns the pixel's loss; nil where the pixel gives nothing.
func pixelLosses(_ logits: Tensor, factor: Float?, _ loss: (PixelPrediction) -> Double?) -> LossSums {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let classes = logits.channels
  let tiles = SampleTiles(rowsOf: logits)
  let partial = DoubleScratch(rows: logits.samples * tiles.perSample, columns: 1)
  let gradient = factor.map { _ in Tensor(uninitialized: logits.shape) }
  let (source, target) = (logits.pointer, gradient?.pointer)
  tiles.run { sample, tile, first, rows in
    let scratch = DoubleScratch(rows: 3, columns: classes)
    var sum = 0.0
    for pixel in first..<first + rows {
      let one = PixelPrediction(
        pixel: pixel, sample: sample, classes: classes, probability: scratch.row(0), logarithm: scratch.row(1),
        slope: scratch.row(2))
      one.read(source + pixel * classes)
      let value = loss(one)
      sum += value ?? 0
      guard let factor, let target else { continue }
      let result = target + pixel * classes
      if value == nil {
        result.update(repeating: 0, count: classes)
      } else {
        one.writeGradient(factor: Double(factor), to: result)
      }
    }
    partial.row(sample * tiles.perSample + tile).pointee = sum
    withExtendedLifetime(scratch) {}
  }
  return (partial.sums(samples: logits.samples, tiles: tiles.perSample), gradient)
}

/// Weight of a pixel or element; without weights 1.
func weight(_ weights: UnsafeMutablePointer<Float>?, _ index: Int) -> Double {
  weights.map { Double($0[index]) } ?? 1
}

/// Labels and weights that belong to logits.
/// - Precondition: sizes agree; every label is below K or 255.
func checkPixels(_ logits: Tensor, labels: LabelMap?, weights: Tensor?) {
  precondition(logits.shape.rank == 4, "logits \(logits.shape)")
  let shape: Shape = [logits.samples, logits.shape[1], logits.shape[2]]
  precondition(weights == nil || weights?.shape == shape, "weights \(weights?.shape ?? []) for logits \(logits.shape)")
  guard let labels else { return }
  precondition(
    shape == [labels.samples, labels.height, labels.width],
    "labels of \(labels.samples)x\(labels.height)x\(labels.width) for logits \(logits.shape)")
  precondition(
    labels.values.allSatisfy { $0 < logits.channels || $0 == LabelMap.ignored }, "labels for logits \(logits.shape)")
}

/// A loss of the pixels that have a label, each times its weight.
func labelledPixelLosses(
  _ logits: Tensor, labels: LabelMap, weights: Tensor?, factor: Float?,
  _ loss: (PixelPrediction, _ label: Int, _ weight: Double) -> Double
) -> LossSums {
  checkPixels(logits, labels: labels, weights: weights)
  let weights = weights?.pointer
  return labels.values.withUnsafeBufferPointer { values in
    pixelLosses(logits, factor: factor) { one in
      guard values[one.pixel] != LabelMap.ignored else { return nil }
      return loss(one, Int(values[one.pixel]), weight(weights, one.pixel))
    }
  }
}
