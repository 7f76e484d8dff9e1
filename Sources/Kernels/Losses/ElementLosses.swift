// Losses of maps, element by element: of discriminators and of depths. Elements are computed in Double.

import Support
import Tensors

/// Sums a loss of each element.
/// - Parameters:
///   - x: any shape.
///   - factor: of the gradient; nil: none is wanted.
///   - loss: the element's loss and its derivative; the element is counted over all samples.
private func elementLosses(
  _ x: Tensor, factor: Float?, _ loss: (_ index: Int, _ value: Double) -> (value: Double, slope: Double)
) -> LossSums {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let tiles = SampleTiles(elementsOf: x)
  let partial = DoubleScratch(rows: x.samples * tiles.perSample, columns: 1)
  let gradient = factor.map { _ in Tensor(uninitialized: x.shape) }
  let (source, target) = (x.pointer, gradient?.pointer)
  tiles.run { sample, tile, first, count in
    var sum = 0.0
    for index in first..<first + count {
      let (value, slope) = loss(index, Double(source[index]))
      sum += value
      if let factor, let target { target[index] = Float(Double(factor) * slope) }
    }
    partial.row(sample * tiles.perSample + tile).pointee = sum
  }
  return (partial.sums(samples: x.samples, tiles: tiles.perSample), gradient)
}

private func checkWeights(_ weights: Tensor?, _ x: Tensor) {
  precondition(weights == nil || weights?.count == x.count, "weights \(weights?.shape ?? []) for \(x.shape)")
}

/// Per sample, the sum over elements of `weight · (ln(1 + eˣ) - target · x)`.
///
/// Shapes: `x` any; `weights` of as many elements, or nil for 1.
public func binaryCrossEntropy(_ x: Tensor, towards target: Float, weights: Tensor?, factor: Float?) -> LossSums {
  checkWeights(weights, x)
  let weights = weights?.pointer
  let target = Double(target)
  return elementLosses(x, factor: factor) { index, x in
    let weight = Kernels.weight(weights, index)
    let (value, slope) = logisticLoss(x, towards: target)
    return (weight * value, weight * slope)
  }
}

/// `ln(1 + eˣ) - target · x` of every element, which is the derivative of `binaryCrossEntropy` by its weights.
public func binaryCrossEntropies(_ x: Tensor, towards target: Float) -> Tensor {
  let mark = KernelMeter.begin(.loss)
  defer { KernelMeter.end(mark) }
  let result = Tensor(uninitialized: x.shape)
  forEachStretch(of: x) { first, count in
    for index in first..<first + count {
      result.pointer[index] = Float(logisticLoss(Double(x.pointer[index]), towards: Double(target)).value)
    }
  }
  return result
}

private func logisticLoss(_ x: Double, towards target: Double) -> (value: Double, slope: Double) {
  // Exponentials of negative numbers only: none is ever infinite.
  let small = (-abs(x)).exponential
  let logistic = x >= 0 ? 1 / (1 + small) : small / (1 + small)
  return (max(x, 0) + (1 + small).logarithm - target * x, logistic - target)
}

/// Per sample, the sum over elements of `weight · (x - target)²`.
///
/// Shapes: `x` any; `weights` of as many elements, or nil for 1.
public func leastSquares(_ x: Tensor, towards target: Float, weights: Tensor?, factor: Float?) -> LossSums {
  checkWeights(weights, x)
  let weights = weights?.pointer
  return elementLosses(x, factor: factor) { index, x in
    let weight = Kernels.weight(weights, index)
    let apart = x - Double(target)
    return (weight * apart * apart, 2 * weight * apart)
  }
}

/// Per sample, the sum of the magnitudes of `x - reference` where `valid` is not 0.
///
/// With a `turn` c > 0 it is the reverse Huber loss: d up to c, (d² + c²) / 2c beyond.
/// Shapes: `x` and `reference` alike; `valid` as many marks, or nil for all.
/// Source: Laina et al., Deeper Depth Prediction with Fully Convolutional Residual Networks, 3DV 2016, equation 1.
public func absoluteDifference(
  _ x: Tensor, reference: Tensor, valid: [UInt8]?, turn: Double?, factor: Float?
) -> LossSums {
  precondition(
    x.shape == reference.shape && valid.map { $0.count == x.count } ?? true,
    "\(x.shape) and \(reference.shape) with \(valid?.count ?? x.count) marks")
  let wanted = reference.pointer
  return elementLosses(x, factor: factor) { index, x in
    guard valid?[index] != 0 else { return (0, 0) }
    let apart = x - Double(wanted[index])
    guard let turn, abs(apart) > turn, turn > 0 else { return (abs(apart), apart == 0 ? 0 : apart < 0 ? -1 : 1) }
    return ((apart * apart + turn * turn) / (2 * turn), apart / turn)
  }
}

/// The largest magnitude of `x - reference` where `valid` is not 0; 0 if it is nowhere.
public func largestDifference(_ x: Tensor, _ reference: Tensor, valid: [UInt8]?) -> Double {
  precondition(x.shape == reference.shape, "\(x.shape) and \(reference.shape)")
  return (0..<x.count).reduce(0) { largest, index in
    valid?[index] == 0 ? largest : max(largest, abs(Double(x.pointer[index]) - Double(reference.pointer[index])))
  }
}
