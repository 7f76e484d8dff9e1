// Comparisons for numeric tests: a tensor against Doubles of a naive twin, adjoints, directional derivatives.

import Support
import Tensors

/// Reproducible test numbers: standard normal times `scale` plus `offset`.
public func randomTensor(_ shape: Shape, seed: UInt64, scale: Double = 1, offset: Double = 0) -> Tensor {
  var stream = RandomStream(seed: seed, step: 0, sample: nil, purpose: Purpose("test"))
  return Tensor((0..<shape.count).map { _ in Float(stream.nextNormal() * scale + offset) }, shape)
}

/// The values as Doubles.
public func doubles(_ tensor: Tensor) -> [Double] { tensor.values.map(Double.init) }

/// Largest |actual - expected| divided by the largest |expected| (or by 1e-30 where all are zero).
/// Not-a-number anywhere gives infinity; so does another element count.
public func relativeError(_ actual: [Float], _ expected: [Double]) -> Double {
  guard actual.count == expected.count else { return .infinity }
  var difference = 0.0
  var scale = 1e-30
  for (a, e) in zip(actual, expected) {
    guard a.isFinite, e.isFinite else { return .infinity }
    difference = max(difference, abs(Double(a) - e))
    scale = max(scale, abs(e))
  }
  return difference / scale
}

/// As above, for a tensor.
public func relativeError(_ actual: Tensor, _ expected: [Double]) -> Double { relativeError(actual.values, expected) }

/// Sum of products in Double.
public func innerProduct(_ first: [Double], _ second: [Double]) -> Double {
  precondition(first.count == second.count, "\(first.count) and \(second.count) numbers")
  return zip(first, second).reduce(0) { $0 + $1.0 * $1.1 }
}

/// Relative difference between ⟨gradient, direction⟩ and the central difference of `function` along `direction`.
public func directionalError(
  at point: [Double], direction: [Double], gradient: [Double], step: Double = 1e-6,
  _ function: ([Double]) -> Double
) -> Double {
  let ahead = function(zip(point, direction).map { $0 + step * $1 })
  let behind = function(zip(point, direction).map { $0 - step * $1 })
  let measured = (ahead - behind) / (2 * step)
  let claimed = innerProduct(gradient, direction)
  return abs(measured - claimed) / max(abs(measured), abs(claimed), 1e-12)
}
