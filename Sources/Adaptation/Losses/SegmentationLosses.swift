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
///   - focal: γ of the focal loss that takes the place of the cross-entropy; 0 leaves it.
///   - labelled: labelled pixels that each term is divided by; nil: all pixels.
///   - context: sample share, draws and statistics of the pass.
public func segmentationLosses(
  _ output: TrainingOutput, pass: String, labels: LabelMap, weights: Tensor?, boxes: [Box], detailWeight: Float,
  auxiliaryWeight: Float = 0, factor: Float = 1, temperature: Float = 1, focal: Double = 0,
  labelled: LabelledPixels? = nil, _ context: ForwardContext
) -> [LossTerm] {
  let loss = PassLoss(pass: pass, factor: factor, temperature: temperature, focal: focal, context: context)
  func whole(_ logits: Variable, _ share: Float, _ name: String) -> LossTerm {
    loss.term(logits, labels, weights, labelled?.whole, share, name)
  }
  func inBox(_ logits: Variable, _ share: Float, _ name: String) -> LossTerm {
    let inside = weights.map {
      cropped($0.reshaped([labels.samples, labels.height, labels.width, 1]), to: boxes)
        .reshaped([labels.samples, boxes[0].height, boxes[0].width])
    }
    return loss.term(logits, labels.cropped(to: boxes), inside, labelled?.detail, share, name)
  }
  var terms: [LossTerm] = []
  if let fused = output.fused { terms.append(whole(fused, output.detail == nil ? 1 : 1 - detailWeight, "fused")) }
  if let detail = output.detail { terms.append(inBox(detail, output.fused == nil ? 1 : detailWeight, "detail")) }
  if let auxiliary = output.auxiliary, auxiliaryWeight > 0 {
    // Of the network's only crop: the whole image, or the detail crop.
    terms.append((output.fused != nil ? whole : inBox)(auxiliary, auxiliaryWeight, "auxiliary"))
  }
  return terms
}

/// What all terms of a pass share.
private struct PassLoss {
  let pass: String
  let factor: Float
  let temperature: Float
  let focal: Double
  let context: ForwardContext

  func term(
    _ logits: Variable, _ labels: LabelMap, _ weights: Tensor?, _ valid: Int?, _ share: Float, _ name: String
  ) -> LossTerm {
    let cooled = temperature == 1 ? logits : scaled(logits, by: 1 / temperature, context)
    let (factor, name) = (factor * share, "\(pass).\(name)")
    guard focal > 0 else {
      return crossEntropy(
        cooled, labels: labels, weights: weights, valid: valid, factor: factor, name: name, context)
    }
    return Autograd.focal(
      bilinear(cooled, height: labels.height, width: labels.width, context), labels: labels, gamma: focal,
      weights: weights, valid: valid, factor: factor, name: name, context)
  }
}
