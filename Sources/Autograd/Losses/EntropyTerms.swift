// Losses that need no label: how uncertain predictions are, and how often classes are predicted. N samples, K classes.

import Kernels
import Tensors

/// Normalised entropy `-Σ p log₂ p / log₂ K` of the prediction, averaged over all pixels of the global batch.
///
/// - Parameters:
///   - logits: [N, H, W, K], at the size at which pixels are counted.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · H · W`.
/// Source: Vu et al., ADVENT, CVPR 2019, equations 1 and 2.
public func normalizedEntropy(
  ofLogits logits: Variable, factor: Float, name: String, _ context: ForwardContext
) -> LossTerm {
  let number = denominator(nil, perSample: logits.value.shape[1] * logits.value.shape[2], context)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    normalizedEntropy(logits.value, weights: nil, factor: $0)
  }
}

/// The same over the most uncertain pixels of each image only: max(1, ⌊share · H·W⌋) of them, chosen by their entropy.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - share: of the pixels of an image.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · chosen pixels of an image`.
/// Source: entropy ranking, ADVENT (Vu et al., CVPR 2019, section 4.2); that it is per image is ours.
public func rankedEntropy(
  ofLogits logits: Variable, share: Double, factor: Float, name: String, _ context: ForwardContext
) -> LossTerm {
  let perSample = uncertainCount(share: share, of: logits.value.shape[1] * logits.value.shape[2])
  let chosen = uncertainPixels(logits.value, share: share)
  return lossTerm(name, of: logits, factor: factor, over: denominator(nil, perSample: perSample, context)) {
    normalizedEntropy(logits.value, weights: chosen, factor: $0)
  }
}

/// By how much an image predicts classes less often than `mu` times their share in the source, averaged over images:
/// `Σ_c max(0, μ · prior_c - mean p_c)`.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - prior: share of every class among the labelled source pixels.
///   - mu: how much of that share is asked for.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches`.
/// Source: Vu et al., ADVENT, CVPR 2019, section 3.4, per image, so that no rank needs another's predictions.
public func classPrior(
  ofLogits logits: Variable, prior: [Float], share mu: Float = 0.5, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  lossTerm(name, of: logits, factor: factor, over: denominator(nil, perSample: 1, context)) {
    classShortfall(logits.value, least: prior.map { mu * $0 }, factor: $0)
  }
}
