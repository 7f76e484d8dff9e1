// The supervised part of every pass: cross-entropy of the fused and of the detail logits.

import Autograd
import Kernels
import Networks
import Tensors

/// HRDA's composite loss of one pass (Hoyer et al., ECCV 2022, Eq. 12): `(1 - λ)` times the cross-entropy of the
/// fused logits plus `λ` times that of the detail logits on their own crop. A network of one resolution has one term.
///
/// Gradients go to the logits at once. Weights are cropped along with the labels.
/// - Parameters:
///   - output: what the pass made.
///   - pass: prefix of the terms' names.
///   - labels: labels at the images' size, 255 ignored.
///   - weights: per pixel, `[N, H, W]`, or nil for 1.
///   - box: the detail crop.
///   - detailWeight: λ, weight of the detail crop's own loss.
///   - factor: weight of the pass, on both terms.
///   - context: sample share, draws and statistics of the pass.
public func segmentationLosses(
  _ output: TrainingOutput, pass: String, labels: LabelMap, weights: Tensor?, box: Box, detailWeight: Float,
  factor: Float = 1, _ context: ForwardContext
) -> [LossTerm] {
  var terms: [LossTerm] = []
  if let fused = output.fused {
    terms.append(
      crossEntropy(
        fused, labels: labels, weights: weights, factor: factor * (output.detail == nil ? 1 : 1 - detailWeight),
        name: "\(pass).fused", context))
  }
  if let detail = output.detail {
    let inside = weights.map {
      cropped($0.reshaped([labels.samples, labels.height, labels.width, 1]), to: box)
        .reshaped([labels.samples, box.height, box.width])
    }
    terms.append(
      crossEntropy(
        detail, labels: labels.cropped(to: box), weights: inside,
        factor: factor * (output.fused == nil ? 1 : detailWeight),
        name: "\(pass).detail", context))
  }
  return terms
}
