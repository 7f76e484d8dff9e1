// The section of a recipe about the supervised losses of every host.

import Adaptation
import Support

extension Recipe {
  /// What losses are divided by.
  public struct Loss: SettingGroup {
    /// Pixels that cross-entropies are averaged over.
    public var normalisation = LossNormalisation.all

    /// All pixels, as in HRDA.
    public init() {}
    /// Shows the setting.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("normalisation", &normalisation)
    }
  }
}
