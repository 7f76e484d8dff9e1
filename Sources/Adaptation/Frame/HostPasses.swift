// The passes that hosts bring: source, target and mixed.

import Autograd
import Networks
import Tensors

/// The passes of a host over the images of a step.
public struct HostPasses {
  private let host: Host
  private let augmentsSource: Bool
  private let mixClasses: ClassScope
  private let objectives: [any Objective]

  /// The passes of a run.
  /// - Parameters:
  ///   - host: how it trains.
  ///   - augmentsSource: whether source images are jittered and blurred like mixed ones.
  ///   - mixClasses: whose classes may be pasted onto a target image.
  ///   - objectives: one of them may make the mixed images.
  public init(_ host: Host, augmentsSource: Bool, mixClasses: ClassScope, objectives: [any Objective]) {
    self.host = host
    self.augmentsSource = augmentsSource
    self.mixClasses = mixClasses
    self.objectives = objectives
  }

  /// All of them, in their order.
  public var passes: [Pass] { host.passes.map { name in Pass(name) { [try view(name, $0)] } } }

  private func view(_ name: String, _ step: StepView) throws -> View {
    switch name {
    case "source": source(step)
    case "target": target(step)
    default: try mixed(step)
    }
  }

  private func source(_ step: StepView) -> View {
    let drawn = step.draws("source")
    let (image, labels) = step.sourceSamples
    var view = View(
      "source", image: Variable(constant: augmentsSource ? strongAugmentation(image, drawn) : image), labels: labels,
      box: drawn.box)
    view.maps = step.batch.source?.maps ?? [:]
    return view
  }

  private func target(_ step: StepView) -> View {
    View("target", image: Variable(constant: step.targetSamples.image), box: step.draws("target").box)
  }

  private func mixed(_ step: StepView) throws -> View {
    for objective in objectives {
      guard let mixed = try objective.mixed(step) else { continue }
      return view(mixed, step.draws("mixed").box)
    }
    guard step.batch.source != nil else { return targetAlone(step) }
    let candidates = try mixClasses.candidates(step.sourceSamples.labels, on: step.share.communicator)
    let drawn = step.draws("mixed") { $0.candidates = candidates }
    return view(classMix(step, drawn), drawn.box)
  }

  private func view(_ mixed: LabelledImages, _ box: Box) -> View {
    var view = View(
      "mixed", image: Variable(constant: mixed.image), labels: mixed.labels, weights: mixed.weights, box: box)
    view.maps = mixed.maps
    view.mask = mixed.mask
    return view
  }

  /// Without a source there is nothing to paste: target images as they are, jittered and blurred.
  private func targetAlone(_ step: StepView) -> View {
    let drawn = step.draws("mixed")
    let (target, pseudo) = (step.targetSamples, step.pseudoLabels)
    // Where all weigh 1 there are no weights, so that the mean may be over labelled pixels.
    let hasWeights = step.teacher?.confidence != ConfidenceScope.none || target.validMask != nil
    return View(
      "mixed", image: Variable(constant: strongAugmentation(target.image, drawn)), labels: pseudo.labels,
      weights: hasWeights ? pseudo.weights : nil, box: drawn.box)
  }
}
