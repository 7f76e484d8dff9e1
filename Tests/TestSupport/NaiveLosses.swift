// Losses of single pixels and of orders, in Double and in the plainest way.

import Foundation

/// Σ over pixels of -Σ p log₂ p / log₂ K.
public func naiveEntropies(_ logits: [Double], classes: Int) -> [Double] {
  let p = naiveSoftmax(logits, columns: classes)
  return stride(from: 0, to: p.count, by: classes).map { first in
    -p[first..<first + classes].reduce(0) { $0 + $1 * log2($1 + 1e-30) } / log2(Double(classes))
  }
}

/// Mean over the classes present of the Lovász extension of the Jaccard loss; pixels of label 255 are left out.
public func naiveLovasz(_ logits: [Double], labels: [UInt8], classes: Int) -> Double {
  let p = naiveSoftmax(logits, columns: classes)
  let valid = labels.indices.filter { labels[$0] != 255 }
  let present = Set(valid.map { labels[$0] })
  let losses = present.sorted().map { label -> Double in
    let errors = valid.map { pixel -> (error: Double, isOfClass: Bool) in
      let isOfClass = labels[pixel] == label
      return (abs((isOfClass ? 1 : 0) - p[pixel * classes + Int(label)]), isOfClass)
    }.sorted { $0.error > $1.error }
    func jaccard(_ first: Int) -> Double {
      let misses = errors.prefix(first).count(where: \.isOfClass)
      let total = errors.count(where: \.isOfClass)
      return first == 0 ? 0 : 1 - Double(total - misses) / Double(total + first - misses)
    }
    return errors.indices.reduce(0) { $0 + errors[$1].error * (jaccard($1 + 1) - jaccard($1)) }
  }
  return losses.isEmpty ? 0 : losses.reduce(0, +) / Double(losses.count)
}

/// Mean of -ln p of labelled pixels whose label has a probability below max(threshold, p₍ₘ₎), m = min(kept, n - 1).
public func naiveHardPixels(
  _ logits: [Double], labels: [UInt8], classes: Int, threshold: Double, kept: Int
) -> Double {
  let p = naiveSoftmax(logits, columns: classes)
  let own = labels.indices.filter { labels[$0] != 255 }.map { p[$0 * classes + Int(labels[$0])] }
  guard !own.isEmpty else { return 0 }
  let limit = max(threshold, own.sorted()[min(max(1, kept), own.count - 1)])
  let hard = own.filter { $0 < limit }
  return hard.isEmpty ? 0 : -hard.reduce(0) { $0 + log($1) } / Double(hard.count)
}
