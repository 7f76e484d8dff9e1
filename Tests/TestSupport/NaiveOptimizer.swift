// AdamW in Double, one parameter at a time.

import Support

/// State and update of one parameter.
public struct NaiveAdamW {
  /// The parameter.
  public var parameter: Double
  /// Running mean of gradients.
  public private(set) var first = 0.0
  /// Running mean of squared gradients.
  public private(set) var second = 0.0
  private var step = 0

  /// Starts with zero moments.
  public init(_ parameter: Double) { self.parameter = parameter }

  /// One update: decoupled decay, then the bias-corrected step.
  public mutating func update(
    _ gradient: Double, rate: Double, decay: Double, beta1: Double, beta2: Double, epsilon: Double
  ) {
    step += 1
    first = beta1 * first + (1 - beta1) * gradient
    second = beta2 * second + (1 - beta2) * gradient * gradient
    let mean = first / (1 - beta1.power(Double(step)))
    let square = second / (1 - beta2.power(Double(step)))
    parameter -= rate * decay * parameter
    parameter -= rate * mean / (square.squareRoot() + epsilon)
  }
}

/// Sum of the samples by the recursive definition: neighbours are added, an odd last one moves up.
public func naiveTreeSum(_ samples: [[Float]]) -> [Float] {
  guard samples.count > 1 else { return samples.first ?? [] }
  var level = [[Float]]()
  for index in stride(from: 0, to: samples.count, by: 2) {
    level.append(
      index + 1 < samples.count ? zip(samples[index], samples[index + 1]).map { $0 + $1 } : samples[index])
  }
  return naiveTreeSum(level)
}
