// Losses of single pixels and of orders, in Double and in the plainest way.

import Foundation

/// -Σ p log₂ p / log₂ K of every pixel.
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

/// Σ of -(1 - p)^γ ln p over labelled pixels.
public func naiveFocal(_ logits: [Double], labels: [UInt8], classes: Int, gamma: Double) -> Double {
  let p = naiveSoftmax(logits, columns: classes)
  return labels.indices.filter { labels[$0] != 255 }.reduce(0) { sum, pixel in
    let own = min(max(p[pixel * classes + Int(labels[pixel])], 1e-9), 1 - 1e-9)
    return sum - pow(1 - own, gamma) * log(own)
  }
}

/// Σ of -Σ p ln q over labelled pixels, q the one-hot label kept above 10⁻⁴, p kept above 10⁻⁷.
public func naiveReverseCrossEntropy(_ logits: [Double], labels: [UInt8], classes: Int) -> Double {
  let p = naiveSoftmax(logits, columns: classes)
  return p.indices.filter { labels[$0 / classes] != 255 && Int(labels[$0 / classes]) != $0 % classes }
    .reduce(0) { $0 - max(p[$1], 1e-7) * log(1e-4) }
}

/// Σ of q (ln q - ln p), or of -q ln p, over pixels and classes.
public func naiveDivergence(
  _ logits: [Double], targets: [Double], classes: Int, subtractsEntropy: Bool
) -> Double {
  let p = naiveSoftmax(logits, columns: classes)
  return p.indices.reduce(0) { sum, index in
    let q = targets[index]
    return sum + q * ((subtractsEntropy && q > 0 ? log(q) : 0) - log(p[index]))
  }
}

/// Σ over samples and classes of what the mean probability lacks of `least`.
public func naiveShortfall(_ logits: [Double], least: [Double], samples: Int) -> Double {
  let p = naiveSoftmax(logits, columns: least.count)
  let perSample = p.count / samples
  return (0..<samples).reduce(0) { sum, sample in
    sum
      + least.indices.reduce(0) { sum, label in
        let own = stride(from: sample * perSample + label, to: (sample + 1) * perSample, by: least.count)
        let mean = own.reduce(0) { $0 + p[$1] } * Double(least.count) / Double(perSample)
        return sum + max(0, least[label] - mean)
      }
  }
}
