// Divergence of two predictions in Double.

import Foundation

/// Per sample, the sum over rows of (KL(p‖m) + KL(q‖m)) / 2 with m the clamped mean of the two soft-maxes p and q.
public func naiveStyleConsistencySums(
  _ logits: [Double], _ stylised: [Double], samples: Int, classes: Int
) -> [Double] {
  let (p, q) = (naiveSoftmax(logits, columns: classes), naiveSoftmax(stylised, columns: classes))
  func divergence(_ x: [Double], _ index: Int) -> Double {
    let mean = min(max((p[index] + q[index]) / 2, 1e-7), 1)
    return x[index] == 0 ? 0 : x[index] * log(x[index] / mean)
  }
  var sums = [Double](repeating: 0, count: samples)
  for index in p.indices { sums[index * samples / p.count] += (divergence(p, index) + divergence(q, index)) / 2 }
  return sums
}
