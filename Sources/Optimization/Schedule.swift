// What changes with the step number: learning rate and teacher momentum. Steps count from 0.

import Support

/// What the factor of a warm-up is of.
public enum WarmUpTo: String, Codable, SettingChoice {
  /// The rate that decays from the first step on, as in DAFormer.
  case decayed
  /// The base rate: there is no decay before the warm-up ends, and then as much as there would be without it, as in CLAN
  /// (Luo et al., CVPR 2019, its code).
  case base
  /// The base rate: the decay begins where the warm-up ends and takes as many steps as without it, as in DiGA (Shen et
  /// al., CVPR 2023, its code).
  case delayed
}

/// Polynomial decay to 0 times linear warm-up.
///
///     rate(t) = base · (1 - t / total)^power · (t < warm-up ? 1 - (1 - t / warm-up) · (1 - ratio) : 1)
///
/// The warm-up multiplies the already decaying rate, or the base rate alone; the decay may begin after it. Source:
/// DAFormer (Hoyer et al., CVPR 2022), supplement, and its published configuration; differs from it in: nothing.
public struct LearningRateSchedule: Sendable, Codable, Equatable {
  /// Rate before warm-up and decay.
  public var baseRate: Double
  /// Steps of warm-up; 0 for none.
  public var warmUpSteps: Int
  /// Share of the rate at step 0.
  public var warmUpRatio: Double
  /// The rate that the warm-up's factor is of.
  public var warmUpTo: WarmUpTo
  /// Exponent of the decay; 1 is linear.
  public var power: Double
  /// Steps of the whole run; the rate is 0 from there on.
  public var totalSteps: Int

  /// From its constants; the defaults are the published ones.
  /// - Precondition: `totalSteps` is positive, `warmUpSteps` not negative.
  public init(
    baseRate: Double = 6e-5, warmUpSteps: Int = 1500, warmUpRatio: Double = 1e-6, warmUpTo: WarmUpTo = .decayed,
    power: Double = 1, totalSteps: Int = 40_000
  ) {
    precondition(totalSteps > 0 && warmUpSteps >= 0, "warm-up of \(warmUpSteps) in \(totalSteps) steps")
    self.baseRate = baseRate
    self.warmUpSteps = warmUpSteps
    self.warmUpRatio = warmUpRatio
    self.warmUpTo = warmUpTo
    self.power = power
    self.totalSteps = totalSteps
  }

  /// The rate of a step, before any factor of a parameter group.
  public func rate(at step: Int) -> Double {
    let decaying = warmUpTo == .delayed ? step - warmUpSteps : step
    let remaining = max(1 - Double(decaying) / Double(totalSteps), 0)
    guard step < warmUpSteps else { return baseRate * remaining.power(power) }
    let rate = warmUpTo == .decayed ? baseRate * remaining.power(power) : baseRate
    return rate * (1 - (1 - Double(step) / Double(warmUpSteps)) * (1 - warmUpRatio))
  }
}

/// When the teacher takes in what a step taught the student.
public enum TeacherAverage: String, Codable, SettingChoice {
  /// As the next step begins, with the next step's momentum, as in DAFormer and HRDA.
  case early
  /// At the end of the step, with its own momentum, as in DACS. Nothing looks at the teacher until the next step begins,
  /// which is when it moves here too.
  case late
}

/// Momentum of the teacher's exponential average, which moves as a step begins.
///
/// `min(1 - 1 / (t + 1), alpha)` of step t: the mean of all students so far until `alpha` takes over. A late average
/// moves with the momentum of the step before. At step 0 the teacher becomes a copy.
/// Source: Tarvainen and Valpola, NeurIPS 2017; DACS, WACV 2021.
public struct TeacherMomentum: Sendable, Codable, Equatable {
  /// The momentum's upper bound.
  public var alpha: Double
  /// Whose momentum it is.
  public var average: TeacherAverage

  /// From its bound.
  public init(alpha: Double = 0.999, average: TeacherAverage = .early) {
    self.alpha = alpha
    self.average = average
  }

  /// The momentum of the average that a step begins with.
  public func momentum(at step: Int) -> Double {
    let step = average == .late ? max(step - 1, 0) : step
    return min(1 - 1 / Double(step + 1), alpha)
  }
}
