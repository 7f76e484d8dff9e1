// The supervised part of every pass: cross-entropy of the fused, of the detail and of auxiliary logits.

import Autograd
import Kernels
import Networks
import Support
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
  supervisedOutputs(
    output, labels: labels, weights: weights, boxes: boxes, detailWeight: detailWeight,
    auxiliaryWeight: auxiliaryWeight
  ).map { supervised in
    let logits = temperature == 1 ? supervised.logits : scaled(supervised.logits, by: 1 / temperature, context)
    let (labels, valid) = (supervised.labels, supervised.isWhole ? labelled?.whole : labelled?.detail)
    let (factor, name) = (factor * supervised.share, "\(pass).\(supervised.name)")
    guard focal > 0 else {
      return crossEntropy(
        logits, labels: labels, weights: supervised.weights, valid: valid, factor: factor, name: name, context)
    }
    return Autograd.focal(
      bilinear(logits, height: labels.height, width: labels.width, context), labels: labels, gamma: focal,
      weights: supervised.weights, valid: valid, factor: factor, name: name, context)
  }
}

/// Which pixels are hard.
public struct HardPixels: SettingGroup {
  /// Probability of the label below which a pixel is hard.
  public var threshold = 0.7
  /// Pixels of the micro-batch that are hard at least, where there are as many.
  public var kept = 100_000

  /// Values of DiGA's training on SYNTHIA (Shen et al., CVPR 2023, code).
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("threshold", &threshold, .from(0, to: 1))
    try settings.value("kept", &kept, .atLeast(1))
  }
}

/// The same terms as means over hard pixels only (`hardPixelCrossEntropy`). Pixels of weight 0 are ignored, other weights
/// count as 1. A collective: called by all ranks that share the batch.
///
/// Parameters as for `segmentationLosses`.
public func hardPixelLosses(
  _ output: TrainingOutput, pass: String, labels: LabelMap, weights: Tensor?, boxes: [Box], detailWeight: Float,
  auxiliaryWeight: Float = 0, factor: Float = 1, _ hard: HardPixels, _ context: ForwardContext
) throws -> [LossTerm] {
  try supervisedOutputs(
    output, labels: labels, weights: weights, boxes: boxes, detailWeight: detailWeight,
    auxiliaryWeight: auxiliaryWeight
  ).map { supervised in
    var labels = supervised.labels
    for (pixel, weight) in (supervised.weights?.values ?? []).enumerated() where weight == 0 {
      labels.values[pixel] = LabelMap.ignored
    }
    return try hardPixelCrossEntropy(
      bilinear(supervised.logits, height: labels.height, width: labels.width, context), labels: labels,
      threshold: Float(hard.threshold), kept: hard.kept, factor: factor * supervised.share,
      name: "\(pass).\(supervised.name)", context)
  }
}

/// Logits of a pass with what they shall say.
private struct SupervisedOutput {
  let name: String
  let logits: Variable
  /// Of the whole image, or of the detail crop.
  let isWhole: Bool
  let labels: LabelMap
  let weights: Tensor?
  /// Weight of the term.
  let share: Float
}

private func supervisedOutputs(
  _ output: TrainingOutput, labels: LabelMap, weights: Tensor?, boxes: [Box], detailWeight: Float,
  auxiliaryWeight: Float
) -> [SupervisedOutput] {
  func whole(_ logits: Variable, _ share: Float, _ name: String) -> SupervisedOutput {
    SupervisedOutput(name: name, logits: logits, isWhole: true, labels: labels, weights: weights, share: share)
  }
  func inBox(_ logits: Variable, _ share: Float, _ name: String) -> SupervisedOutput {
    let inside = weights.map {
      cropped($0.reshaped([labels.samples, labels.height, labels.width, 1]), to: boxes)
        .reshaped([labels.samples, boxes[0].height, boxes[0].width])
    }
    return SupervisedOutput(
      name: name, logits: logits, isWhole: false, labels: labels.cropped(to: boxes), weights: inside, share: share)
  }
  var outputs: [SupervisedOutput] = []
  if let fused = output.fused { outputs.append(whole(fused, output.detail == nil ? 1 : 1 - detailWeight, "fused")) }
  if let detail = output.detail { outputs.append(inBox(detail, output.fused == nil ? 1 : detailWeight, "detail")) }
  if let auxiliary = output.auxiliary, auxiliaryWeight > 0 {
    // Of the network's only crop: the whole image, or the detail crop.
    outputs.append((output.fused != nil ? whole : inBox)(auxiliary, auxiliaryWeight, "auxiliary"))
  }
  return outputs
}
