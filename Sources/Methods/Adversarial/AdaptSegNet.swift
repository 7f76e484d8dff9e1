// AdaptSegNet (Tsai et al., Learning to Adapt Structured Output Space for Semantic Segmentation, CVPR 2018).

import Adaptation
import Networks
import Support

/// Options of AdaptSegNet, `methodOptions` of the method `adaptsegnet`: discriminators see class probabilities.
///
/// Published for least squares is the weight 0.01 on one level; HRDA's variant keeps 0.001.
public struct AdaptSegNetOptions: MethodOptions {
  /// All of them.
  public var adversarial = AdversarialOptions()

  /// The published values.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws { try adversarial.visit(&settings) }
  /// Hangs on both passes of its host.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source", "target"]
    return requirements
  }
  /// The objective; none where both weights are 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    try AdversarialAlignment("adaptsegnet", .probabilities, adversarial, setup)
  }
  /// Crops must be large enough for a discriminator.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    adversarial.misfit(cropHeight: cropHeight, cropWidth: cropWidth)
  }
}
