// AdvEnt (Vu et al., ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation, CVPR 2019,
// section 3.3).

import Adaptation
import Networks
import Support

/// Options of AdvEnt, `methodOptions` of the method `advent`: discriminators see the self-information of predictions.
///
/// The released code has no class prior; its weights are ours.
public struct AdvEntOptions: MethodOptions {
  /// Those of every adversarial method.
  public var adversarial = AdversarialOptions()
  /// The class-ratio prior.
  public var classPrior = ClassPriorOptions()

  /// The published values.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try adversarial.visit(&settings)
    try settings.group("classPrior", &classPrior)
  }
  /// Hangs on both passes of its host; the prior needs the source's class pixels.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source", "target"]
    requirements.countsClasses = classPrior.isOn
    return requirements
  }
  /// The objective; none where all weights are 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    try AdversarialAlignment("advent", .information, adversarial, prior: classPrior, setup)
  }
  /// Crops must be large enough for a discriminator.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    adversarial.misfit(cropHeight: cropHeight, cropWidth: cropWidth)
  }
}
