// MinEnt (Vu et al., ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation, CVPR 2019,
// section 3.2): target predictions become certain.

import Adaptation
import Autograd
import Networks
import Support

/// Options of MinEnt, `methodOptions` of the method `minent`.
public struct MinEntOptions: MethodOptions {
  /// Weight of the entropy of the network's prediction.
  public var weight = 0.001
  /// Weight of the entropy of the auxiliary head's prediction, where the network has one.
  public var auxiliaryWeight = 0.0002
  /// Share of the pixels of an image, the most uncertain ones, that the mean runs over: 1 is published, 0.3 the paper's
  /// entropy ranking, which the released code lacks.
  public var share = 1.0
  /// The class-ratio prior.
  public var classPrior = ClassPriorOptions()

  /// The published values.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("auxiliaryWeight", &auxiliaryWeight, .atLeast(0))
    try settings.value("share", &share, Limit(" above 0 and at most 1") { $0 > 0 && $0 <= 1 })
    try settings.group("classPrior", &classPrior)
  }
  /// Hangs on the target pass; the prior needs the source's class pixels.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["target"]
    requirements.countsClasses = classPrior.isOn
    return requirements
  }
  /// The objective; none where all weights are 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { EntropyMinimization(self, setup) }
}

/// Entropy of target predictions, `-Σ p log₂ p / log₂ K`, averaged over the pixels of the micro-batch.
///
/// With a share below 1, of each image's most uncertain pixels only: which ones they are is not differentiated.
final class EntropyMinimization: Objective {
  let name = "minent"
  private let levels: [OutputLevel]
  private let share: Double
  private let prior: ClassPrior?

  /// The objective; nil where the options switch it off.
  init?(_ options: MinEntOptions, _ setup: ObjectiveSetup) {
    levels = OutputLevel.all(
      of: setup.configuration, weight: options.weight, auxiliaryWeight: options.auxiliaryWeight)
    share = options.share
    prior = ClassPrior(options.classPrior, setup)
    guard !levels.isEmpty || prior != nil else { return nil }
  }

  /// The terms `target.entropy.main` and the like; their gradients go to the logits.
  func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "target" else { return [] }
    let (run, context) = (runs[0], runs[0].context)
    let terms = levels.map { level in
      let (logits, name) = (level.logits(run, context), "\(pass).entropy.\(level.name)")
      return share < 1
        ? rankedEntropy(ofLogits: logits, share: share, factor: level.weight, name: name, context)
        : normalizedEntropy(ofLogits: logits, factor: level.weight, name: name, context)
    }
    return terms + (prior?.terms(run) ?? [])
  }
}
