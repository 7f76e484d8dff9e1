// What changes with the step number: learning rate and teacher momentum. Steps count from 0.

import Support

/// Polynomial decay to 0 times linear warm-up.
///
///     rate(t) = base · (1 - t / total)^power · (t < warm-up ? 1 - (1 - t / warm-up) · (1 - ratio) : 1)
///
/// The warm-up multiplies the already decaying rate. Source: DAFormer (Hoyer et al., CVPR 2022), supplement, and its
/// published configuration; differs from it in: nothing.
public struct LearningRateSchedule: Sendable, Codable, Equatable {
  /// Rate before warm-up and decay.
  public var baseRate: Double
  /// Steps of warm-up; 0 for none.
  public var warmUpSteps: Int
  /// Share of the rate at step 0.
  public var warmUpRatio: Double
  /// Exponent of the decay; 1 is linear.
  public var power: Double
  /// Steps of the whole run; the rate is 0 from there on.
  public var totalSteps: Int

  /// From its constants; the defaults are the published ones.
  /// - Precondition: `totalSteps` is positive, `warmUpSteps` not negative.
  public init(
    baseRate: Double = 6e-5, warmUpSteps: Int = 1500, warmUpRatio: Double = 1e-6, power: Double = 1,
    totalSteps: Int = 40_000
  ) {
    precondition(totalSteps > 0 && warmUpSteps >= 0, "warm-up of \(warmUpSteps) in \(totalSteps) steps")
    self.baseRate = baseRate
    self.warmUpSteps = warmUpSteps
    self.warmUpRatio = warmUpRatio
    self.power = power
    self.totalSteps = totalSteps
  }

  /// The rate of a step, before any factor of a parameter group.
  public func rate(at step: Int) -> Double {
    let remaining = max(1 - Double(step) / Double(totalSteps), 0)
    let rate = baseRate * remaining.power(power)
    guard step < warmUpSteps else { return rate }
    return rate * (1 - (1 - Double(step) / Double(warmUpSteps)) * (1 - warmUpRatio))
  }
}

/// Momentum of the teacher's exponential average.
///
/// `min(1 - 1 / (t + 1), alpha)`: the mean of all students so far until `alpha` takes over; 0 at step 0, where the
/// teacher becomes a copy. Source: Tarvainen and Valpola, NeurIPS 2017; DACS, WACV 2021.
public struct TeacherMomentum: Sendable, Codable, Equatable {
  /// The momentum's upper bound.
  public var alpha: Double

  /// From its bound.
  public init(alpha: Double = 0.999) { self.alpha = alpha }

  /// The momentum of a step.
  public func momentum(at step: Int) -> Double { min(1 - 1 / Double(step + 1), alpha) }
}
