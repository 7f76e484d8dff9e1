// The supervised part of every pass: cross-entropy of the fused, of the detail and of auxiliary logits.

import Autograd
import Kernels
import Networks
import Tensors

/// HRDA's composite loss of one pass (Hoyer et al., ECCV 2022, Eq. 12): `(1 - λ)` times the cross-entropy of the
/// fused logits plus `λ` times that of the detail logits on their own crop. A network of one resolution has one term, and
/// one more with an auxiliary head (Tsai et al., AdaptSegNet, CVPR 2018, Eq. 6).
///
/// Gradients go to the logits at once. Weights are cropped along with the labels.
/// - Parameters:
///   - output: what the pass made.
///   - pass: prefix of the terms' names.
///   - labels: labels at the images' size, 255 ignored.
///   - weights: per pixel, `[N, H, W]`, or nil for 1.
///   - boxes: the detail crop, one for all samples or one for each.
///   - detailWeight: λ, weight of the detail crop's own loss.
///   - auxiliaryWeight: weight of the auxiliary head's loss.
///   - factor: weight of the pass, on all terms.
///   - temperature: what logits are divided by.
///   - labelled: labelled pixels that each term is divided by; nil: all pixels.
///   - context: sample share, draws and statistics of the pass.
public func segmentationLosses(
  _ output: TrainingOutput, pass: String, labels: LabelMap, weights: Tensor?, boxes: [Box], detailWeight: Float,
  auxiliaryWeight: Float = 0, factor: Float = 1, temperature: Float = 1, labelled: LabelledPixels? = nil,
  _ context: ForwardContext
) -> [LossTerm] {
  var terms: [LossTerm] = []
  func cooled(_ logits: Variable) -> Variable {
    temperature == 1 ? logits : scaled(logits, by: 1 / temperature, context)
  }
  func inside(_ weights: Tensor?) -> Tensor? {
    weights.map {
      cropped($0.reshaped([labels.samples, labels.height, labels.width, 1]), to: boxes)
        .reshaped([labels.samples, boxes[0].height, boxes[0].width])
    }
  }
  if let fused = output.fused {
    terms.append(
      crossEntropy(
        cooled(fused), labels: labels, weights: weights, valid: labelled?.whole,
        factor: factor * (output.detail == nil ? 1 : 1 - detailWeight), name: "\(pass).fused", context))
  }
  if let detail = output.detail {
    terms.append(
      crossEntropy(
        cooled(detail), labels: labels.cropped(to: boxes), weights: inside(weights), valid: labelled?.detail,
        factor: factor * (output.fused == nil ? 1 : detailWeight), name: "\(pass).detail", context))
  }
  if let auxiliary = output.auxiliary, auxiliaryWeight > 0 {
    // Of the network's only crop: the whole image, or the detail crop.
    let seesAll = output.fused != nil
    terms.append(
      crossEntropy(
        cooled(auxiliary), labels: seesAll ? labels : labels.cropped(to: boxes),
        weights: seesAll ? weights : inside(weights),
        valid: seesAll ? labelled?.whole : labelled?.detail, factor: factor * auxiliaryWeight,
        name: "\(pass).auxiliary", context))
  }
  return terms
}
