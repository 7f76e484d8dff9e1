// How images are normalised, and how an encoder that was trained on another normalisation sees what it knows.

import Autograd
import Kernels
import Tensors

/// What is taken from RGB values 0...255, and what they are then divided by.
public struct InputNormalisation: Sendable, Equatable {
  /// Subtracted.
  public let mean: [Float]
  /// Divisors.
  public let deviation: [Float]

  /// One number per colour.
  public init(mean: [Float], deviation: [Float]) {
    self.mean = mean
    self.deviation = deviation
  }

  /// Mean and deviation of ImageNet: how all images of this package are normalised.
  public static let imageNet = InputNormalisation(mean: pixelMean, deviation: pixelDeviation)
}

/// An image in `.imageNet` as one in another normalisation, by one affine map per colour. Images take no gradient.
///
/// Shapes: `image` and result [N, H, W, 3]. Padding that follows is zero in the new normalisation.
package func renormalised(_ image: Variable, to other: InputNormalisation) -> Variable {
  let own = InputNormalisation.imageNet
  // (own.deviation · x + own.mean - other.mean) / other.deviation
  let shift = (0..<3).map { (other.mean[$0] - own.mean[$0]) / own.deviation[$0] }
  let factor = (0..<3).map { own.deviation[$0] / other.deviation[$0] }
  return Variable(
    constant: batchNormApply(
      image.value, mean: shift, inverseDeviation: factor, scale: Tensor(repeating: 1, [3]), shift: Tensor(zeros: [3]),
      rectifier: .identity))
}
