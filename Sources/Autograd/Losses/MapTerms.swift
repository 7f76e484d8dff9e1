// Losses of maps, element by element: of discriminators, and of depths.

import Kernels
import Tensors

/// Binary cross-entropy of logits towards one target, averaged over all elements of the global batch.
///
/// - Parameters:
///   - logits: of any shape, such as a discriminator's map [N, h, w, 1].
///   - target: 0 is "source" and 1 "target" in the methods here.
///   - weights: of as many elements, constants; nil for 1.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · elements of a sample`.
/// Source: Tsai et al., AdaptSegNet, CVPR 2018, equations 2 and 4.
public func binaryCrossEntropy(
  _ logits: Variable, towards target: Float, weights: Tensor? = nil, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(nil, perSample: logits.value.perSample, context)
  return lossTerm(name, of: logits, factor: factor, over: number) {
    Kernels.binaryCrossEntropy(logits.value, towards: target, weights: weights, factor: $0)
  }
}

/// The same with weights that take a gradient too: each element's loss. They are no normaliser.
///
/// Parameters as above.
/// Source: Luo et al., CLAN, CVPR 2019, equation 7.
public func binaryCrossEntropy(
  _ logits: Variable, towards target: Float, trainedWeights weights: Variable, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(nil, perSample: logits.value.perSample, context)
  if let cell = weights.cell {
    let losses = binaryCrossEntropies(logits.value, towards: target)
    cell.accumulate(Kernels.scaled(losses, by: Float(Double(factor) / number)))
  }
  return binaryCrossEntropy(
    logits, towards: target, weights: weights.value, factor: factor, name: name, context)
}

/// Squared distance from one target, averaged over all elements of the global batch.
///
/// Parameters as for `binaryCrossEntropy`; `output` is the raw map.
/// Source: Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017, without the factor 1/2.
public func leastSquares(
  _ output: Variable, towards target: Float, weights: Tensor? = nil, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(nil, perSample: output.value.perSample, context)
  return lossTerm(name, of: output, factor: factor, over: number) {
    Kernels.leastSquares(output.value, towards: target, weights: weights, factor: $0)
  }
}

/// Magnitude of the difference from a reference, averaged over all elements, or over those that are valid.
///
/// - Parameters:
///   - x: of any shape.
///   - reference: of the same shape, a constant.
///   - valid: not 0 where an element counts; nil: everywhere.
///   - globalCount: valid elements of all ranks in the micro-batch; with 0 the term is 0. Nil: all elements.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator.
public func l1(
  _ x: Variable, reference: Tensor, valid: [UInt8]? = nil, globalCount: Int? = nil, factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  let number = denominator(globalCount, perSample: x.value.perSample, context)
  return lossTerm(name, of: x, factor: factor, over: number) {
    absoluteDifference(x.value, reference: reference, valid: valid, turn: nil, factor: $0)
  }
}

/// Reverse Huber loss of the difference from a reference: its magnitude up to `turn`, a parabola beyond.
///
/// - Parameters:
///   - x: of any shape.
///   - reference: of the same shape, a constant.
///   - valid: not 0 where an element counts; nil: everywhere.
///   - globalCount: valid elements of all ranks in the micro-batch; with 0 the term is 0. Nil: all elements.
///   - turn: mostly a fifth of the largest difference of all ranks (`Kernels.largestDifference`); no gradient flows to it.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator.
/// Source: Laina et al., Deeper Depth Prediction with Fully Convolutional Residual Networks, 3DV 2016, equation 1.
public func berHu(
  _ x: Variable, reference: Tensor, valid: [UInt8]? = nil, globalCount: Int? = nil, turn: Double, factor: Float,
  name: String, _ context: ForwardContext
) -> LossTerm {
  let number = denominator(globalCount, perSample: x.value.perSample, context)
  return lossTerm(name, of: x, factor: factor, over: number) {
    absoluteDifference(x.value, reference: reference, valid: valid, turn: turn, factor: $0)
  }
}

/// Magnitude of the difference from a reference on the edges of labels, averaged over all elements.
///
/// - Parameters:
///   - x: [N, H, W, C], such as a translated image.
///   - reference: of the same shape, a constant.
///   - labels: of the reference; see `labelEdges`.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator `globalBatch · microBatches · H · W · C`.
/// Source: Shen et al., DiGA, CVPR 2023, code of its image translator.
public func edgeDistance(
  _ x: Variable, reference: Tensor, labels: LabelMap, factor: Float, name: String, _ context: ForwardContext
) -> LossTerm {
  let edges = labelEdges(labels).flatMap { [UInt8](repeating: $0, count: x.value.channels) }
  return l1(x, reference: reference, valid: edges, factor: factor, name: name, context)
}
