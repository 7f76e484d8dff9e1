// Two sets of rows matched by index, in Double.

import Foundation

/// The mean over both sets of `-ln(exp g_m / Σ exp g_k)` over all other rows k, with the partner m of the same index.
public func naiveMatching(_ first: [Double], _ second: [Double], rows: Int, scale: Double) -> Double {
  let all = first + second
  let columns = first.count / rows
  func score(_ i: Int, _ j: Int) -> Double {
    (0..<columns).reduce(0) { $0 + all[i * columns + $1] * all[j * columns + $1] } * scale
  }
  var sum = 0.0
  for row in 0..<2 * rows {
    let match = score(row, (row + rows) % (2 * rows))
    let others = (0..<2 * rows).filter { $0 != row }.map { exp(score(row, $0) - match) }
    sum += log(others.reduce(0, +))
  }
  return sum / Double(2 * rows)
}
