// Distances of features, and of two predictions for one image.

import Kernels
import Tensors

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
