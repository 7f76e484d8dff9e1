// Which pixels of a target image are significant: those of which the teacher is certain when noise is added (Zhou et al.,
// CAMix, TCSVT 2022). N samples, H×W pixels, K classes.

import Foundation
import Kernels
import Tensors

/// The entropy, in nats, below which a pixel is significant: from 3/4 of the largest possible to all of it.
///
///     (0.75 + 0.25 exp(-5 (1 - t / ramp)²)) ln K,   ln K from step `ramp` on
///
/// Source: Zhou et al., CAMix, TCSVT 2022, as in Yu et al., Uncertainty-aware Self-ensembling, MICCAI 2019.
public func significanceLimit(at step: Int, ramp: Int, classes: Int) -> Double {
  let left = step >= ramp ? 0 : 1 - Double(step) / Double(ramp)
  return (0.75 + 0.25 * exp(-5 * left * left)) * log(Double(classes))
}

/// Entropy of the mean prediction for several copies of the images.
///
/// Shapes: `logits` [N, h, w, K] each; result [N, h, w, 1].
public func uncertainty(ofCopies logits: [Tensor]) -> Tensor {
  precondition(!logits.isEmpty, "no copies")
  let sum = logits.dropFirst().reduce(softmax(logits[0])) { add($0, softmax($1)) }
  return entropies(scaled(sum, by: 1 / Float(logits.count)))
}

/// 1 where the entropy is below the limit, else 0, and what lies between after enlarging with aligned corners.
///
/// Shapes: `entropies` [N, h, w, 1]; result [N, height, width].
public func significance(_ entropies: Tensor, limit: Double, height: Int, width: Int) -> Tensor {
  let marks = Tensor(entropies.values.map { Double($0) < limit ? 1 : 0 }, entropies.shape)
  return bilinear(marks, height: height, width: width, alignCorners: true).reshaped([entropies.samples, height, width])
}

/// Factors on pixel weights that make the mean over all pixels one over significance: `U · pixels / Σ U`.
///
/// - Parameters:
///   - significance: U, [N, H, W].
///   - total: Σ U of all ranks; with 0 the factors are 0.
///   - pixels: of all ranks.
///   - isLiteral: as the released code computes it, where U has no effect but for a sum of 0.
/// - Returns: [N, H, W]; nil for 1.
public func significanceFactors(_ significance: Tensor, total: Double, pixels: Int, isLiteral: Bool) -> Tensor? {
  guard total > 0 else { return Tensor(zeros: significance.shape) }
  return isLiteral ? nil : scaled(significance, by: Float(Double(pixels) / total))
}
