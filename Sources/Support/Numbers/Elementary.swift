// Elementary functions of one number, so that callers need no platform import.

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension Double {
  /// Natural logarithm.
  public var logarithm: Double { log(self) }
  /// e to the power of this number.
  public var exponential: Double { exp(self) }
  /// Cosine, in radians.
  public var cosine: Double { cos(self) }
  /// Sine, in radians.
  public var sine: Double { sin(self) }
  /// This number to the power of `exponent`.
  public func power(_ exponent: Double) -> Double { pow(self, exponent) }
}
