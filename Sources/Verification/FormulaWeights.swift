// Weights given by a formula, so that files of large networks need not store them.

import Foundation
import Networks

/// Weights as a function of a tensor's name, its number and the element's, for sorted names:
///
///     u = sin(0.37 (i + 1) + 1.7 (k + 1)) + 0.5 sin(2.71 (i + 1) (1 + 0.01 k))
///     scales of norms              1 + 0.1 u
///     other one-dimensional ones   0.02 u
///     everything else              gain · u / √(product of all extents but the first)
///
/// in double precision, `k` the tensor's number and `i` the element's, both from 0, then rounded to Float32.
struct FormulaWeights {
  /// Factor of everything that has more than one axis.
  let gain: Double

  /// Values of tensor number `number` in the official order.
  func values(name: String, number: Int, shape: [Int]) -> [Float] {
    let count = shape.reduce(1, *)
    let phase = 1.7 * Double(number + 1)
    let rate = 1 + 0.01 * Double(number)
    let fanIn = Double(count / max(shape.first ?? 1, 1)).squareRoot()
    let isScale = isNormScale(name)
    return (0..<count).map { index in
      let i = Double(index + 1)
      let u = sin(0.37 * i + phase) + 0.5 * sin(2.71 * i * rate)
      if shape.count > 1 { return Float(gain * u / fanIn) }
      return Float(isScale ? 1 + 0.1 * u : 0.02 * u)
    }
  }

  /// Overwrites all parameters of a network.
  func fill(_ parameters: NetworkParameters) {
    for (number, slice) in inByteOrder(parameters.slices).enumerated() {
      parameters.load(
        values(name: slice.name, number: number, shape: slice.officialShape), named: slice.name,
        into: parameters.values)
    }
  }

  private func isNormScale(_ name: String) -> Bool {
    let words = name.split(separator: ".")
    guard words.last == "weight", words.count > 1 else { return false }
    let owner = words[words.count - 2]
    return owner.contains("norm") || owner == "bn"
  }
}

/// Slices by the bytes of their names, the order in which reference files number parameters.
func inByteOrder(_ slices: [NetworkParameters.Slice]) -> [NetworkParameters.Slice] {
  slices.sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
}
