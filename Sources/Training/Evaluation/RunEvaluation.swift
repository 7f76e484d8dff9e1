// The networks of a run, scored on its validation images by the recipe's sliding windows.

import Domains
import Networks
import Recipes
import Support

extension Trainer {
  /// Predicts and scores the first validation image, so that what would end an evaluation ends the run before step 1.
  /// Called by all ranks.
  func rehearseEvaluation() throws {
    guard let validation = experiment.validation else { return }
    Activity.beside("rehearsal of the evaluation")
    let evaluator = Evaluator(
      FirstImage(of: validation), scoredAs: try experiment.recipe.scoredAs(experiment.classes), on: communicator)
    _ = try evaluator.evaluate(experiment.recipe.predictor(experiment.student))
  }

  /// Scores of the networks the recipe names, on the validation images: empty if there are none, nil if a signal came
  /// between images.
  public func evaluate() throws -> [String: ConfusionMatrix]? {
    guard let validation = experiment.validation else { return [:] }
    Activity.beside("evaluation")
    let recipe = experiment.recipe
    let scoredAs = try recipe.scoredAs(experiment.classes)
    let evaluator = Evaluator(validation, scoredAs: scoredAs, on: communicator)
    var matrices: [String: ConfusionMatrix] = [:]
    for (name, network) in networks where recipe.evaluation.includes(name) {
      let predictor = recipe.predictor(network)
      guard let matrix = try evaluator.evaluate(predictor, while: { StopSignals.pending == nil }) else { return nil }
      matrices[name] = matrix
      say("\(name): mIoU \(rounded(matrix.meanIoU, 2)) % over \(matrix.coverage)")
    }
    return matrices
  }

  /// The networks of the run by name.
  var networks: [(name: String, network: SegmentationNetwork)] {
    [("student", experiment.student)] + (experiment.teacher.map { [("teacher", $0.network)] } ?? [])
  }
}

extension ConfusionMatrix {
  /// mIoU and IoU by class name, in percent.
  public func scores(_ names: [String]) -> Scores {
    Scores(mIoU: meanIoU, iou: Dictionary(uniqueKeysWithValues: zip(names, iou)))
  }
}

extension Recipe.Evaluation {
  /// Whether a network is evaluated.
  func includes(_ name: String) -> Bool { network == .both || network.rawValue == name }
}

extension Recipe {
  /// The sliding windows of the recipe over a network.
  public func predictor(_ network: SegmentationNetwork) -> Predictor {
    Predictor(
      network, crop: (height: evaluation.crop.height, width: evaluation.crop.width),
      stride: (height: evaluation.stride.height, width: evaluation.stride.width))
  }
}
