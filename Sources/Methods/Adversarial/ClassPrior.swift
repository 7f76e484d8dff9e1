// The class-ratio prior of ADVENT (Vu et al., CVPR 2019, section 3.4): predictions on a target image should hold at least
// a share of what source labels hold of every class.

import Adaptation
import Autograd
import Support

/// Options of the class-ratio prior, `methodOptions.classPrior` of `advent` and `minent`.
public struct ClassPriorOptions: SettingGroup {
  /// Weight of the term on the network's prediction; 0 switches it off. The paper names none.
  public var weight = 0.0
  /// Weight of the term on the auxiliary head's prediction.
  public var auxiliaryWeight = 0.0
  /// Share μ of the source's class frequency that a prediction should reach: 0 asks for nothing, 1 for all of it.
  public var share = 0.5

  /// Off, with the published share.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("auxiliaryWeight", &auxiliaryWeight, .atLeast(0))
    try settings.value("share", &share, .from(0, to: 1))
  }

  /// Whether a term is wanted.
  var isOn: Bool { weight > 0 || auxiliaryWeight > 0 }
}

/// The term `Σ_c max(0, μ p_c - q_c)` with the frequency p of class c in all source labels and the mean probability q of an
/// image, averaged over images: it is formed per image, so that no rank needs another's.
struct ClassPrior {
  private let levels: [OutputLevel]
  private let share: Float
  private let frequencies: [Float]

  /// The prior of a run; nil where it is off.
  init?(_ options: ClassPriorOptions, _ setup: ObjectiveSetup) {
    guard options.isOn else { return nil }
    guard let counted = setup.sourceClasses else { preconditionFailure("a class prior without counted labels") }
    levels = OutputLevel.all(
      of: setup.configuration, weight: options.weight, auxiliaryWeight: options.auxiliaryWeight)
    share = Float(options.share)
    frequencies = counted.shares.map { Float($0) }
  }

  /// The terms of a run over target images, `target.class-prior.main` and the like.
  func terms(_ run: StudentRun) -> [LossTerm] {
    levels.map { level in
      classPrior(
        ofLogits: level.logits(run, run.context), prior: frequencies, share: share, factor: level.weight,
        name: "\(run.view.name).class-prior.\(level.name)", run.context)
    }
  }
}
