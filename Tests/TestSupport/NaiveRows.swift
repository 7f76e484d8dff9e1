// Rows of the last axis in Double: unit length, self-information, chosen pixels.

import Foundation

/// Every row of `columns` numbers divided by its length, which counts as `epsilon` where it is less.
public func naiveUnitLength(_ x: [Double], columns: Int, epsilon: Double = 1e-12) -> [Double] {
  stride(from: 0, to: x.count, by: columns).flatMap { first in
    let row = x[first..<first + columns]
    let length = max(row.reduce(0) { $0 + $1 * $1 }.squareRoot(), epsilon)
    return row.map { $0 / length }
  }
}

/// Gradient of `naiveUnitLength` for rows longer than epsilon.
public func naiveUnitLengthGradient(_ x: [Double], gradient: [Double], columns: Int) -> [Double] {
  x.indices.map { index in
    let row = index / columns * columns..<(index / columns + 1) * columns
    let squares = innerProduct(Array(x[row]), Array(x[row]))
    let along = innerProduct(Array(x[row]), Array(gradient[row])) / squares
    return (gradient[index] - along * x[index]) / squares.squareRoot()
  }
}

/// `-p · log₂(p + 10⁻³⁰) / log₂ classes`.
public func naiveSelfInformation(_ p: Double, classes: Int) -> Double { -p * log2(p + 1e-30) / log2(Double(classes)) }

/// Derivative of `naiveSelfInformation`.
public func naiveSelfInformationSlope(_ p: Double, classes: Int) -> Double {
  -(log(p + 1e-30) + p / (p + 1e-30)) / log(Double(classes))
}

/// Rows of `channels` numbers at positions of each sample's map.
public func naiveGathered(_ x: [Double], at positions: [Int32], samples: Int, channels: Int) -> [Double] {
  let (perMap, perSample) = (x.count / samples, positions.count / samples)
  return positions.enumerated().flatMap { index, position in
    let first = index / perSample * perMap + Int(position) * channels
    return x[first..<first + channels]
  }
}

/// Adjoint of `naiveGathered`: back to maps of `perMap` numbers.
public func naiveGatheredGradient(
  _ gradient: [Double], at positions: [Int32], samples: Int, channels: Int, perMap: Int
) -> [Double] {
  var x = [Double](repeating: 0, count: samples * perMap)
  let perSample = positions.count / samples
  for (index, position) in positions.enumerated() {
    for channel in 0..<channels {
      x[index / perSample * perMap + Int(position) * channels + channel] += gradient[index * channels + channel]
    }
  }
  return x
}
