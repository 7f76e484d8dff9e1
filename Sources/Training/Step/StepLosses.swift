// What a step makes of its parts beside the passes: tapes, the cross-entropy of a view, sums of losses, messages.

import Adaptation
import Autograd
import Collectives
import Kernels
import Networks
import Tensors

extension HostPasses {
  /// The host's passes, on one tape each or on one for all, then those of objectives: a function of the step number.
  func tapes(at step: Int, with objectives: [any Objective]) -> [[Pass]] {
    let joins = objectives.contains { $0.joinsHostPasses }
    return (joins ? [passes] : passes.map { [$0] }) + objectives.flatMap { $0.passes(at: step) }.map { [$0] }
  }
}

extension StepOptions {
  /// The cross-entropy of a view that has labels, its pixel weights times factors of objectives. A collective where only
  /// hard pixels count.
  func crossEntropy(_ run: StudentRun, times factors: [Tensor], _ labelled: LabelledPixels?) throws -> [LossTerm] {
    let view = run.view
    guard let labels = view.labels else { return [] }
    let weights = factors.reduce(view.weights) { weights, factor in weights.map { multiply($0, factor) } ?? factor }
    if let hard = view.hardPixels {
      return try hardPixelLosses(
        run.output, pass: view.name, labels: labels, weights: weights, boxes: view.detailCrops,
        detailWeight: detailWeight, auxiliaryWeight: auxiliaryWeight, factor: view.factor, hard, run.context)
    }
    return segmentationLosses(
      run.output, pass: view.name, labels: labels, weights: weights, boxes: view.detailCrops,
      detailWeight: detailWeight, auxiliaryWeight: auxiliaryWeight, factor: view.factor,
      temperature: view.temperature, focal: view.focal, labelled: labelled, run.context)
  }
}

extension LossTerm {
  /// Values over all samples of all ranks, in the order of the terms. A collective.
  /// - Parameter samples: of this rank.
  static func summed(
    _ terms: [LossTerm], samples: Int, on communicator: any Communicator
  ) throws -> [(name: String, value: Double)] {
    let rows = (0..<samples).flatMap { sample in terms.map { $0.perSample[sample] } }
    let sums = try globalSum(rows: rows, samples: samples, count: terms.count, on: communicator)
    return zip(terms, sums).map { ($0.name, $1) }
  }
}

extension StepParts {
  /// What this rank has sent so far, sums of gradients left out.
  var messages: MessageFigures { (share.world as? MeteredCommunicator)?.figures ?? MessageFigures() }
}
