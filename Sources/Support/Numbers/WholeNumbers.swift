// Whole numbers from floating-point ones that data may have made as large as it likes, and multiples.

extension FixedWidthInteger {
  /// The whole part of a number; the nearest integer there is where that is out of range, and 0 of not-a-number.
  public init(clamping value: some BinaryFloatingPoint) {
    self = value.isNaN ? 0 : Self(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
  }
}

extension Int {
  /// The least multiple that is not smaller than this number, which is not negative.
  public func roundedUp(to multiple: Int) -> Int { (self + multiple - 1) / multiple * multiple }
}
