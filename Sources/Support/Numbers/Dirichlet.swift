// Random shares that sum to 1.

extension RandomStream {
  /// Shares that sum to 1, from the symmetric Dirichlet distribution: the smaller the concentration, the more of all
  /// goes to a single share.
  ///
  /// Gamma variates over their sum. They are drawn as logarithms, since with a concentration of 1/64 most are far below
  /// the smallest Double.
  /// - Precondition: `count` and `concentration` are positive.
  public mutating func nextDirichlet(_ count: Int, concentration: Double) -> [Double] {
    precondition(count > 0 && concentration > 0, "\(count) shares of concentration \(concentration)")
    let logarithms = (0..<count).map { _ in nextLogarithmOfGamma(shape: concentration) }
    let largest = logarithms.max() ?? 0
    let powers = logarithms.map { ($0 - largest).exponential }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  /// The logarithm of a variate of the gamma distribution with scale 1.
  ///
  /// Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 2000, for shape + 1, times the
  /// power 1/shape of a uniform number.
  private mutating func nextLogarithmOfGamma(shape: Double) -> Double {
    let offset = shape + 2.0 / 3
    let slope = 1 / (9 * offset).squareRoot()
    while true {
      let normal = nextNormal()
      let root = 1 + slope * normal
      let uniform = 1 - Double(nextUniform())
      guard root > 0 else { continue }
      let cube = root * root * root
      guard uniform.logarithm < normal * normal / 2 + offset - offset * cube + offset * cube.logarithm else { continue }
      return (offset * cube).logarithm + (1 - Double(nextUniform())).logarithm / shape
    }
  }
}
