// Activations in Double.

import Foundation

/// `x · Φ(x)` with the libm error function.
public func naiveGelu(_ x: Double) -> Double { x * 0.5 * erfc(-x / 2.0.squareRoot()) }

/// Derivative of `naiveGelu`.
public func naiveGeluSlope(_ x: Double) -> Double {
  0.5 * erfc(-x / 2.0.squareRoot()) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
}

/// Derivative of the hyperbolic tangent.
public func naiveTanhSlope(_ x: Double) -> Double { 1 / (cosh(x) * cosh(x)) }

/// `1 / (1 + exp(-x))`.
public func naiveSigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

/// Derivative of `naiveSigmoid`.
public func naiveSigmoidSlope(_ x: Double) -> Double { naiveSigmoid(x) * naiveSigmoid(-x) }
