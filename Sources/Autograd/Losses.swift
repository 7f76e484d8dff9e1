// Losses put their gradient into their input's cell at once and return per-sample sums, so that values are added up
// the tree over samples and ranks by whoever reports them.

import Kernels
import Tensors

/// One named scalar of a step: per local sample, already weighted and divided by its global denominator and by the number
/// of micro-batches.
public struct LossTerm: Sendable {
  /// Such as "source.fused".
  public let name: String
  /// Contribution of each local sample.
  public let perSample: [Double]

  /// From the samples' contributions.
  public init(name: String, perSample: [Double]) {
    self.name = name
    self.perSample = perSample
  }

  /// Terms of one micro-batch more, added sample by sample like their gradients' slots.
  /// - Precondition: `first` has no terms yet, or the same ones.
  public static func added(_ first: [LossTerm], _ second: [LossTerm]) -> [LossTerm] {
    guard !first.isEmpty else { return second }
    precondition(first.map(\.name) == second.map(\.name), "terms \(first.map(\.name)) and \(second.map(\.name))")
    return zip(first, second).map { LossTerm(name: $0.name, perSample: zip($0.perSample, $1.perSample).map(+)) }
  }
}

/// Weighted cross-entropy, averaged over *all* pixels of the global batch, ignored ones included.
///
/// `logits` [N, h, w, K] are resized bilinearly to the labels first. Ignored pixels (255) and pixels of weight zero
/// give nothing but stay in the denominator, as in the published code (Hoyer et al., CVPR 2022, Eq. 1 and 4).
/// - Parameters:
///   - logits: the prediction.
///   - labels: what is right, 255 ignored.
///   - weights: [N, H, W], or nil for 1 everywhere.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · H · W`.
public func crossEntropy(
  _ logits: Variable, labels: LabelMap, weights: Tensor?, factor: Float, name: String, _ context: ForwardContext
) -> LossTerm {
  let dense = bilinear(logits, height: labels.height, width: labels.width, context)
  let denominator = Double(context.globalBatch * context.microBatches * labels.height * labels.width)
  let sums: [Double]
  if let cell = dense.cell {
    let loss = Kernels.crossEntropy(
      dense.value, labels: labels, weights: weights, factor: Float(Double(factor) / denominator))
    cell.accumulate(loss.gradient)
    sums = loss.sums
  } else {
    sums = crossEntropySums(dense.value, labels: labels, weights: weights)
  }
  return LossTerm(name: name, perSample: sums.map { $0 * Double(factor) / denominator })
}

/// Mean L2 distance to a reference feature over marked cells of the global batch.
///
/// - Parameters:
///   - feature: the trained feature, [N, h, w, C].
///   - reference: the frozen encoder's, of the same shape.
///   - cells: N·h·w marks.
///   - globalCells: marked cells of all ranks; with none the term is 0 and no gradient flows.
///   - microBatches: of the step; the mean is divided by their number.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
/// Source: Hoyer et al., DAFormer, CVPR 2022, Eq. 6-7. The published code gives not-a-number without marked cells.
public func featureDistance(
  _ feature: Variable, reference: Tensor, cells: [UInt8], globalCells: Int, microBatches: Int = 1, factor: Float,
  name: String
) -> LossTerm {
  guard globalCells > 0 else {
    return LossTerm(name: name, perSample: [Double](repeating: 0, count: feature.value.samples))
  }
  let scale = Double(factor) / Double(globalCells * microBatches)
  feature.cell?.accumulate(
    featureDistanceGradient(feature.value, reference: reference, cells: cells, factor: Float(scale)))
  let sums = featureDistanceSums(feature.value, reference: reference, cells: cells)
  return LossTerm(name: name, perSample: sums.map { $0 * scale })
}

/// Mean Jensen-Shannon divergence of two predictions over all pixels of the global batch, times `factor`.
///
/// Gradients go to both logits, which are compared at their own stride.
/// - Parameters:
///   - logits: of images, [N, h, w, K]; `stylised` of the same images in another style.
///   - stylised: logits of the same images in another style.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: its `globalBatch` counts the images, not their two versions; the mean is divided by `microBatches`.
/// Source: style consistency of SHADE (Zhao et al., ECCV 2022) with its factor 10, a term of DAFormer's and HRDA's domain
/// generalisation variants.
public func styleConsistency(
  _ logits: Variable, _ stylised: Variable, factor: Float = 10, name: String, _ context: ForwardContext
) -> LossTerm {
  let (first, second) = (logits.value, stylised.value)
  let scale = Double(factor) / Double(context.globalBatch * context.microBatches * first.shape[1] * first.shape[2])
  if logits.cell != nil || stylised.cell != nil {
    let gradients = styleConsistencyGradients(first, second, factor: Float(scale))
    logits.cell?.accumulate(gradients.logits)
    stylised.cell?.accumulate(gradients.stylised)
  }
  return LossTerm(name: name, perSample: styleConsistencySums(first, second).map { $0 * scale })
}
