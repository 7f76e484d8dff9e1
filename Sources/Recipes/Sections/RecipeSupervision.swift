// The sections of a recipe about watching over a run: its ranks and its numbers. docs/recipes.md says what each key means.

import Support

extension Recipe {
  /// Watching over the ranks. Nothing here changes weights.
  public struct Watch: SettingGroup {
    /// Times the usual duration of a step without a sign of life after which a rank counts as stalled; 0 switches the
    /// watchdog off.
    public var stallFactor = 10.0
    /// The limit in seconds where that is less.
    public var stallMinimumSeconds = 120.0
    /// Seconds that a piece of the preparations, or the first step, may take at one place.
    public var startUpSeconds = 1800.0
    /// Steps between figures about pseudo-labels in the log; 0 makes none.
    public var pseudoLabels = 50

    /// Ten times a step, two minutes at least; half an hour for a piece of the start; figures every 50 steps.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("stallFactor", &stallFactor, .atLeast(0))
      try settings.value("stallMinimumSeconds", &stallMinimumSeconds, .from(1, to: 86_400))
      try settings.value("startUpSeconds", &startUpSeconds, .from(1, to: 86_400))
      try settings.value("pseudoLabels", &pseudoLabels, .atLeast(0))
    }
  }

  /// What happens to steps whose numbers have gone wrong.
  public struct Guard: SettingGroup {
    /// What happens to a step whose loss or gradient is not finite.
    public enum NonFinite: String, SettingChoice {
      /// It is left out.
      case skip
      /// It ends the run.
      case stop
    }

    /// What happens to a step whose loss or gradient is not finite.
    public var nonFinite = NonFinite.skip
    /// A step whose loss or gradient norm exceeds the mean by more than so many standard deviations is left out; 0
    /// looks for none, as published.
    public var outlier = 0.0
    /// Steps that mean and deviation are of.
    public var window = 100
    /// Steps left out in a row that end the run; 0 never does.
    public var stopAfter = 5

    /// Steps that are not finite are left out; five in a row end the run.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("nonFinite", &nonFinite)
      try settings.value("outlier", &outlier, .atLeast(0))
      try settings.value("window", &window, .from(2, to: 1_000_000))
      try settings.value("stopAfter", &stopAfter, .atLeast(0))
    }
  }
}

extension Recipe {
  /// How the learning rate follows the global batch.
  public enum BatchRule: String, SettingChoice {
    /// It does not.
    case none
    /// In proportion: for SGD (Goyal et al., 2017).
    case linear
    /// With the square root: for Adam and its relatives (Malladi et al., NeurIPS 2022).
    case sqrt
  }

  /// How the teacher's momentum follows the global batch.
  public enum MomentumRule: String, SettingChoice {
    /// It does not.
    case none
    /// To the power of the ratio, so that the teacher forgets as fast per image (Busbridge et al., NeurIPS 2023).
    case power
  }

  /// The global batch as a multiple of the one that learning rate and momentum are meant for.
  public var batchRatio: Double { Double(batch.global) / Double(optimizer.referenceBatch) }

  /// The highest learning rate of the encoder by `optimizer.batchRule`.
  public var scaledLearningRate: Double {
    switch optimizer.batchRule {
    case .none: optimizer.learningRate
    case .linear: optimizer.learningRate * batchRatio
    case .sqrt: optimizer.learningRate * batchRatio.squareRoot()
    }
  }

  /// The teacher's momentum by `teacher.momentumRule`.
  public var scaledMomentum: Double {
    switch teacher.momentumRule {
    case .none: teacher.momentum
    case .power: teacher.momentum.power(batchRatio)
    }
  }

  /// A line about the rules that change something; nil if none does.
  public var batchRuleNote: String? {
    guard batchRatio != 1, optimizer.batchRule != .none || teacher.momentumRule != .none else { return nil }
    return "batch of \(batch.global) for \(optimizer.referenceBatch): learning rate \(optimizer.learningRate) -> "
      + "\(scaledLearningRate), teacher momentum \(teacher.momentum) -> \(scaledMomentum)"
  }
}
