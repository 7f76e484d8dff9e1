// The section of a recipe about watching over a run. docs/recipes.md says what each key means.

import Support

extension Recipe {
  /// Watching over the ranks. Nothing here changes weights.
  public struct Watch: SettingGroup {
    /// Times the usual duration of a step without a sign of life after which a rank counts as stalled; 0 switches the
    /// watchdog off.
    public var stallFactor = 10.0
    /// The limit in seconds where that is less.
    public var stallMinimumSeconds = 120.0

    /// Ten times a step, two minutes at least.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("stallFactor", &stallFactor, .atLeast(0))
      try settings.value("stallMinimumSeconds", &stallMinimumSeconds, .from(1, to: 86_400))
    }
  }
}
