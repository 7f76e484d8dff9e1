// Soft-max over rows of `columns` numbers, and the choice of classes, in Double.

import Foundation

/// Soft-max of every row.
public func naiveSoftmax(_ x: [Double], columns: Int) -> [Double] {
  stride(from: 0, to: x.count, by: columns).flatMap { first in
    let row = x[first..<first + columns]
    let largest = row.max() ?? 0
    let powers = row.map { exp($0 - largest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }
}

/// Gradient of `naiveSoftmax` with respect to its input.
public func naiveSoftmaxGradient(_ x: [Double], gradient: [Double], columns: Int) -> [Double] {
  let output = naiveSoftmax(x, columns: columns)
  return x.indices.map { index in
    let row = index / columns * columns..<(index / columns + 1) * columns
    return output[index] * (gradient[index] - innerProduct(Array(output[row]), Array(gradient[row])))
  }
}

/// First largest class of every row.
public func naiveArgMax(_ x: [Double], columns: Int) -> [UInt8] {
  stride(from: 0, to: x.count, by: columns).map { first in
    var best = 0
    for c in 1..<max(columns, 1) where x[first + c] > x[first + best] { best = c }
    return UInt8(best)
  }
}
