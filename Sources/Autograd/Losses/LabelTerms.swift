// Losses of labelled pixels. N samples, K classes; logits of any size are resized to the labels; label 255 is ignored.

import Kernels
import Tensors

/// Weighted cross-entropy, averaged over *all* pixels of the global batch, ignored ones included, or over given ones.
///
/// `logits` [N, h, w, K] are resized bilinearly to the labels first. Ignored pixels (255) and pixels of weight zero give
/// nothing but stay in the denominator, as in the published code (Hoyer et al., CVPR 2022, Eq. 1 and 4). Others (Tsai et
/// al., AdaptSegNet, CVPR 2018; Tranheden et al., DACS, WACV 2021) divide by the labelled pixels.
/// - Parameters:
///   - logits: the prediction.
///   - labels: what is right, 255 ignored.
///   - weights: [N, H, W], or nil for 1 everywhere.
///   - valid: labelled pixels of all ranks in the micro-batch, which the sum is divided by; with 0 the term is 0 and no
///     gradient flows, where released code gives not-a-number. Nil: all pixels.
///   - alignCorners: whether resizing keeps the corners' centres in place.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · H · W`, or `valid · microBatches`.
public func crossEntropy(
  _ logits: Variable, labels: LabelMap, weights: Tensor?, valid: Int? = nil, alignCorners: Bool = false,
  factor: Float, name: String, _ context: ForwardContext
) -> LossTerm {
  let dense = bilinear(
    logits, height: labels.height, width: labels.width, alignCorners: alignCorners, context)
  let number = denominator(valid, perSample: labels.height * labels.width, context)
  return lossTerm(name, of: dense, factor: factor, over: number) { factor in
    guard let factor else { return (crossEntropySums(dense.value, labels: labels, weights: weights), nil) }
    let loss = Kernels.crossEntropy(dense.value, labels: labels, weights: weights, factor: factor)
    return (loss.sums, loss.gradient)
  }
}

/// Focal loss `-(1 - p)^γ ln p` of the labels' probabilities, averaged like `crossEntropy`.
///
/// - Parameters:
///   - logits: [N, h, w, K], at the labels' size.
///   - labels: what is right, 255 ignored.
///   - gamma: how little confident pixels count; 0 is cross-entropy.
///   - weights: [N, H, W], or nil for 1 everywhere.
///   - valid: as for `crossEntropy`.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator.
/// Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 4.
public func focal(
  _ logits: Variable, labels: LabelMap, gamma: Double = 2, weights: Tensor? = nil, valid: Int? = nil, factor: Float,
  name: String, _ context: ForwardContext
) -> LossTerm {
  let number = denominator(valid, perSample: labels.height * labels.width, context)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    Kernels.focal(logits.value, labels: labels, gamma: gamma, weights: weights, factor: $0)
  }
}

/// Reverse cross-entropy: the prediction as truth, the label as prediction kept above 10⁻⁴; averaged like `crossEntropy`.
///
/// Parameters as for `focal`. The symmetric cross-entropy is a sum of this and `crossEntropy`, each with its factor.
/// Source: Wang et al., Symmetric Cross Entropy for Robust Learning with Noisy Labels, ICCV 2019, equation 6.
public func reverseCrossEntropy(
  _ logits: Variable, labels: LabelMap, weights: Tensor? = nil, valid: Int? = nil, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(valid, perSample: labels.height * labels.width, context)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    Kernels.reverseCrossEntropy(logits.value, labels: labels, weights: weights, factor: $0)
  }
}

/// Cross-entropy against given distributions `-Σ q ln p`, averaged like `crossEntropy`.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - targets: q, [N, H, W, K], a constant.
///   - weights: [N, H, W], or nil for 1 everywhere.
///   - valid: pixels of all ranks that the sum is divided by; nil: all. With 0 the term is 0.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator.
public func softCrossEntropy(
  _ logits: Variable, targets: Tensor, weights: Tensor? = nil, valid: Int? = nil, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(valid, perSample: logits.value.shape[1] * logits.value.shape[2], context)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    Kernels.softCrossEntropy(
      logits.value, targets: targets, weights: weights, subtractsEntropy: false, factor: $0)
  }
}

/// Kullback-Leibler divergence of the prediction from given distributions, `Σ q (ln q - ln p)`, per pixel.
///
/// Parameters as for `softCrossEntropy`, whose gradient it has. Where a publication averages over pixels and classes
/// (Zhang et al., ProDA, CVPR 2021), divide the factor by the number of classes.
public func klDivergence(
  _ logits: Variable, targets: Tensor, weights: Tensor? = nil, valid: Int? = nil, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(valid, perSample: logits.value.shape[1] * logits.value.shape[2], context)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    Kernels.softCrossEntropy(logits.value, targets: targets, weights: weights, subtractsEntropy: true, factor: $0)
  }
}
