// Losses on relations between the output vectors of an image. N samples, P vectors, K numbers.

import Kernels
import Tensors

/// Mean squared difference between the relations of two networks' vectors, over all pairs of an image and all images of
/// the global batch.
///
/// - Parameters:
///   - vectors: of the trained network, [N, P, K]: logits as they are.
///   - references: of the other network, of the same shape, constants.
///   - relation: how two vectors of an image are compared.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · P²`.
/// Source: Koh, Fernando: Consistency Regularization for Domain Adaptation, ECCV workshops 2022, and its code.
public func relationConsistency(
  _ vectors: Variable, references: Tensor, relation: VectorRelation, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let count = vectors.value.shape[1]
  return lossTerm(name, of: vectors, factor: factor, over: denominator(nil, perSample: count * count, context)) {
    relationDifferences(vectors.value, references, relation, factor: $0)
  }
}
