// Losses that compare features by their directions. N samples, h×w cells, C channels, K classes.

import Kernels
import Tensors

/// Cross-entropy of the class that a cell's direction is closest to: each labelled cell picks its own among K prototypes.
///
///     z_k = (f / ‖f‖) · prototype_k / temperature
///
/// Averaged over the labelled cells of all ranks. Prototypes are constants and used as they are; pass unit vectors where
/// a method compares by cosines (`Kernels.unitLength`). A prototype of zeros competes with similarity 0.
/// - Parameters:
///   - feature: [N, h, w, C]; the gradient passes through the division by the length.
///   - prototypes: [K, C].
///   - labels: [N, h, w], 255 ignored.
///   - temperature: above 0.
///   - globalCount: labelled cells of all ranks in the micro-batch; with 0 the term is 0, where released code gives
///     not-a-number.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the number of micro-batches.
/// Source: Xie et al., SPCL, CVPR 2023 (code), its contrastive loss.
public func pixelPrototypeContrast(
  _ feature: Variable, prototypes: Tensor, labels: LabelMap, temperature: Float, globalCount: Int, factor: Float,
  name: String, _ context: ForwardContext
) -> LossTerm {
  let channels = feature.value.channels
  precondition(
    prototypes.shape == [prototypes.samples, channels] && temperature > 0,
    "prototypes \(prototypes.shape) for features \(feature.value.shape), temperature \(temperature)")
  let number = denominator(globalCount, perSample: 0, context)
  let rows = unitLength(feature, context)
  let weight = transposed(prototypes, scale: 1 / temperature)
  return lossTerm(name, of: rows, factor: factor, over: number) { factor in
    let scores = linear(rows.value, weight: weight)
    guard let factor else { return (crossEntropySums(scores, labels: labels, weights: nil), nil) }
    let loss = Kernels.crossEntropy(scores, labels: labels, weights: nil, factor: factor)
    return (loss.sums, linearInputGradient(loss.gradient, weight: weight))
  }
}

/// [K, C] as [C, K], times a factor.
private func transposed(_ matrix: Tensor, scale: Float) -> Tensor {
  let (rows, columns) = (matrix.samples, matrix.channels)
  let values = matrix.values
  return Tensor(
    (0..<rows * columns).map { scale * values[$0 % rows * columns + $0 / rows] }, [columns, rows])
}
