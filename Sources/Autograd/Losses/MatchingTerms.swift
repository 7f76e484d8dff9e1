// Matching of two views of an image: every cell, or the mean of every class, finds itself in the other view.

import Kernels
import Tensors

/// The mean loss of finding one's partner, over the images of the global batch; an image's cells are compared with each
/// other only.
///
/// Rows are class probabilities: of all cells, or with labels of the mean logits of each labelled class. See
/// `Kernels.matchedRows`. Gradients go to both logits; an image without a labelled cell gives 0.
/// - Parameters:
///   - first: logits of one view, [N, h, w, K].
///   - second: of the other.
///   - labels: [N, h, w], 255 ignored; nil compares all cells.
///   - scale: what products of rows are multiplied by.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches`.
/// Source: multi-level contrast of EHTDI (Li et al., ACM MM 2022, code).
public func instanceMatching(
  _ first: Variable, _ second: Variable, labels: LabelMap? = nil, scale: Float, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  precondition(first.value.shape == second.value.shape, "logits \(first.value.shape) and \(second.value.shape)")
  let weight = Double(factor) / denominator(nil, perSample: 1, context)
  let isTracked = first.cell != nil || second.cell != nil
  let gradients = [first, second].map { Tensor(zeros: $0.value.shape) }
  let losses = (0..<first.value.samples).map { sample in
    let images = [first, second].map { $0.value.sample(sample) }
    let means = labels.map { labels in images.map { CellMeans($0, labels: labels.sample(sample)) } }
    if let means, means[0].classes.isEmpty { return 0.0 }
    let logits = means?.map(\.means) ?? images.map { $0.reshaped([$0.count / $0.channels, $0.channels]) }
    let rows = logits.map { softmax($0) }
    let found = matchedRows(rows[0], rows[1], scale: scale, factor: isTracked ? Float(weight) : nil)
    guard let both = found.gradients else { return found.loss }
    for (place, part) in [both.first, both.second].enumerated() {
      let part = softmaxGradient(output: rows[place], gradient: part)
      gradients[place].sample(sample).assign((means?[place].gradient(part) ?? part).reshaped(images[place].shape))
    }
    return found.loss
  }
  if isTracked {
    first.cell?.accumulate(gradients[0])
    second.cell?.accumulate(gradients[1])
  }
  return LossTerm(name: name, perSample: losses.map { $0 * weight })
}
