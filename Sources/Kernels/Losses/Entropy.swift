// Uncertainty of predictions, and how often classes are predicted. N samples, H×W pixels, K classes.

import Support
import Tensors

/// Added to probabilities under the logarithm, as in the published code.
private let smallestProbability = 1e-30

/// Per sample, the sum over pixels of the normalised entropy `-Σ p log₂(p + 10⁻³⁰) / log₂ K`, between 0 and 1.
///
/// Shapes: `logits` [N, H, W, K]; `weights` [N, H, W] or nil for 1. The gradient is that of `factor` times the sum with
/// respect to the logits.
/// - Precondition: there are two classes or more.
/// Source: Vu et al., ADVENT, CVPR 2019, equations 1 and 2.
public func normalizedEntropy(_ logits: Tensor, weights: Tensor?, factor: Float?) -> LossSums {
  checkPixels(logits, labels: nil, weights: weights)
  let unit = 1 / entropyUnit(logits)
  let weights = weights?.pointer
  return pixelLosses(logits, factor: factor) { one in
    let scale = unit * weight(weights, one.pixel)
    return scale == 0 ? nil : scale * entropy(one, scale: scale)
  }
}

/// Entropy of every pixel, [N, H, W], as `normalizedEntropy` defines it.
public func entropyMap(_ logits: Tensor) -> Tensor {
  checkPixels(logits, labels: nil, weights: nil)
  let result = Tensor(uninitialized: [logits.samples, logits.shape[1], logits.shape[2]])
  let unit = 1 / entropyUnit(logits)
  let target = result.pointer
  _ = pixelLosses(logits, factor: nil) { one in
    target[one.pixel] = Float(unit * entropy(one, scale: 1))
    return nil
  }
  return result
}

private func entropyUnit(_ logits: Tensor) -> Double {
  precondition(logits.channels > 1, "entropy of logits \(logits.shape)")
  return Double(logits.channels).logarithm
}

/// In nats; its slopes times `scale`.
private func entropy(_ one: PixelPrediction, scale: Double) -> Double {
  var sum = 0.0
  for label in 0..<one.classes {
    let p = one.probability[label]
    // Above 10⁻¹⁴ the sum is the probability itself.
    let logarithm = p > 1e-14 ? one.logarithm[label] : (p + smallestProbability).logarithm
    sum -= p * logarithm
    one.slope[label] = -scale * p * (logarithm + p / (p + smallestProbability))
  }
  return sum
}

/// Mean probability of every class in each sample, `[samples · classes]`.
///
/// Shape: `logits` [N, H, W, K].
public func meanProbabilities(_ logits: Tensor) -> [Double] {
  let classes = logits.channels
  let probabilities = Kernels.softmax(logits)
  let tiles = SampleTiles(rowsOf: logits)
  let partial = DoubleScratch(rows: logits.samples * tiles.perSample, columns: classes)
  let source = probabilities.pointer
  tiles.run { sample, tile, first, rows in
    let sums = partial.row(sample * tiles.perSample + tile)
    sums.update(repeating: 0, count: classes)
    for row in first..<first + rows {
      for label in 0..<classes { sums[label] += Double(source[row * classes + label]) }
    }
  }
  withExtendedLifetime(probabilities) {}
  return partial.sums(samples: logits.samples, tiles: tiles.perSample).map { $0 / Double(max(tiles.rows, 1)) }
}

/// Per sample, by how much classes are predicted too seldom: `Σ_c max(0, least_c - mean p_c)`.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - least: the share of pixels that each class should have at least, K numbers.
///   - factor: of the gradient with respect to the logits.
/// Source: class-ratio prior of ADVENT (Vu et al., CVPR 2019, section 3.4), per image.
public func classShortfall(_ logits: Tensor, least: [Float], factor: Float?) -> LossSums {
  precondition(logits.shape.rank == 4 && least.count == logits.channels, "\(least.count) shares of \(logits.shape)")
  let classes = logits.channels
  let lacking = zip(meanProbabilities(logits), (0..<logits.samples).flatMap { _ in least }).map { Double($1) - $0 }
  let sums = (0..<logits.samples).map { sample in
    lacking[sample * classes..<(sample + 1) * classes].reduce(0) { $0 + max(0, $1) }
  }
  guard factor != nil else { return (sums, nil) }
  let share = 1 / Double(logits.shape[1] * logits.shape[2])
  let gradient = pixelLosses(logits, factor: factor) { one in
    for label in 0..<classes {
      one.slope[label] = lacking[one.sample * classes + label] > 0 ? -share * one.probability[label] : 0
    }
    return 0
  }.gradient
  return (sums, gradient)
}
