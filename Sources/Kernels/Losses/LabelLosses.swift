// Losses of labelled pixels beside plain cross-entropy. N samples, H×W pixels, K classes; label 255 is ignored.

import Support
import Tensors

/// Per sample, the sum over labelled pixels of `weight · -(1 - p)^γ ln p`, with p the probability of the label.
///
/// p is kept within [10⁻⁹, 1 - 10⁻⁹], where it is a constant. γ = 0 is cross-entropy.
/// Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 4.
public func focal(
  _ logits: Tensor, labels: LabelMap, gamma: Double, weights: Tensor?, factor: Float?
) -> LossSums {
  labelledPixelLosses(logits, labels: labels, weights: weights, factor: factor) { one, label, weight in
    let p = one.probability[label]
    let kept = min(max(p, 1e-9), 1 - 1e-9)
    let logarithm = p == kept ? one.logarithm[label] : kept.logarithm
    let power = gamma == 0 ? 1 : (gamma * (1 - kept).logarithm).exponential
    one.fillSlopes()
    if p == kept {
      one.slope[label] = weight * (gamma * power / (1 - kept) * kept * logarithm - power)
    }
    return -weight * power * logarithm
  }
}

/// Per sample, the sum over labelled pixels of `weight · -Σ_c p_c ln q_c`, q the one-hot label kept above 10⁻⁴.
///
/// Probabilities are kept above 10⁻⁷, where they are constants.
/// Source: Wang et al., Symmetric Cross Entropy for Robust Learning with Noisy Labels, ICCV 2019, equation 6.
public func reverseCrossEntropy(
  _ logits: Tensor, labels: LabelMap, weights: Tensor?, factor: Float?
) -> LossSums {
  let penalty = -(1e-4).logarithm
  return labelledPixelLosses(logits, labels: labels, weights: weights, factor: factor) { one, label, weight in
    var sum = 0.0
    for other in 0..<one.classes {
      let p = one.probability[other]
      let counts = other != label
      sum += counts ? penalty * max(p, 1e-7) : 0
      one.slope[other] = counts && p > 1e-7 ? weight * penalty * p : 0
    }
    return weight * sum
  }
}

/// Per sample, the sum over pixels of `weight · -Σ_c q_c ln p_c` for given distributions q, which are constants.
///
/// Shapes: `logits` and `targets` [N, H, W, K]; `weights` [N, H, W] or nil for 1. A pixel of weight 0 gives nothing.
/// - Parameters:
///   - logits: of the predictions p.
///   - targets: the distributions q.
///   - weights: of pixels.
///   - subtractsEntropy: gives the Kullback-Leibler divergence of p from q, `Σ q (ln q - ln p)`.
///   - factor: of the gradient; nil forms none.
/// - Precondition: the shapes agree.
public func softCrossEntropy(
  _ logits: Tensor, targets: Tensor, weights: Tensor?, subtractsEntropy: Bool, factor: Float?
) -> LossSums {
  precondition(logits.shape == targets.shape, "logits \(logits.shape) for distributions \(targets.shape)")
  checkPixels(logits, labels: nil, weights: weights)
  let (distributions, weights) = (targets.pointer, weights?.pointer)
  return pixelLosses(logits, factor: factor) { one in
    let weight = Kernels.weight(weights, one.pixel)
    guard weight != 0 else { return nil }
    let wanted = distributions + one.pixel * one.classes
    var sum = 0.0
    for label in 0..<one.classes {
      let q = Double(wanted[label])
      sum += q * ((subtractsEntropy && q > 0 ? q.logarithm : 0) - one.logarithm[label])
      one.slope[label] = -weight * q
    }
    return weight * sum
  }
}

/// Probability of the label at every pixel, [N, H, W]; 2 where the label is ignored.
public func labelProbabilities(_ logits: Tensor, _ labels: LabelMap) -> Tensor {
  let result = Tensor(repeating: 2, [labels.samples, labels.height, labels.width])
  let target = result.pointer
  _ = labelledPixelLosses(logits, labels: labels, weights: nil, factor: nil) { one, label, _ in
    target[one.pixel] = Float(one.probability[label])
    return 0
  }
  return result
}
