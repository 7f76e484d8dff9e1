// Losses of weights alone, which belong to no sample.

import Kernels
import Tensors

/// How alike the weights of two networks of one form are: their cosine as two vectors, plus 1.
///
/// It is one number for the whole step, however that is cut: the value is the first global sample's, and the gradient is
/// added to its slots when the tape is walked back, in a team on the rank of place 0. Terms of weights belong into the
/// first pass of a step: there they are the first contribution to every slot, whatever is left for later.
/// Rank behaviour: no message; ranks without the first global sample add nothing.
/// - Parameters:
///   - first: parameters of a network.
///   - second: those of the other, one by one of the same shapes.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - samples: number of local samples.
///   - context: tells which samples these are, and holds the tape.
/// Source: Luo et al., CLAN, CVPR 2019, equation 5; parameters that are not trained are left out.
public func weightCosine(
  _ first: [Parameter], _ second: [Parameter], factor: Float, name: String, samples: Int, _ context: ForwardContext
) -> LossTerm {
  var perSample = [Double](repeating: 0, count: samples)
  guard context.firstSample == 0 else { return LossTerm(name: name, perSample: perSample) }
  let (first, second) = (first.filter(\.isTrained), second.filter(\.isTrained))
  let cosine = WeightCosine(first.map(\.value), second.map(\.value))
  perSample[0] = Double(factor) * (cosine.value + 1)
  let slots = (first.compactMap(\.slots), second.compactMap(\.slots))
  if let tape = context.tape, !slots.0.isEmpty, (context.team?.rank ?? 0) == 0 {
    let node = tape.record(Tensor([0], [1])) { _ in
      cosine.addGradients(factor: Double(factor), sample: 0, to: slots.0, slots.1)
    }
    node.cell?.accumulate(Tensor([1], [1]))
  }
  return LossTerm(name: name, perSample: perSample)
}
