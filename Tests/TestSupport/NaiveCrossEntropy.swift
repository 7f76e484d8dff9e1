// Weighted cross-entropy in Double; label 255 is ignored.

import Foundation

/// Sum over pixels of `weight · (log Σ exp logits - logit of the label)`.
public func naiveCrossEntropy(_ logits: [Double], labels: [UInt8], weights: [Double]?, classes: Int) -> Double {
  var sum = 0.0
  for (pixel, label) in labels.enumerated() where label != 255 {
    let row = logits[pixel * classes..<(pixel + 1) * classes]
    let largest = row.max() ?? 0
    let total = row.reduce(0) { $0 + exp($1 - largest) }
    sum += (weights?[pixel] ?? 1) * (log(total) + largest - logits[pixel * classes + Int(label)])
  }
  return sum
}

/// Gradient of `naiveCrossEntropy` with respect to the logits.
public func naiveCrossEntropyGradient(
  _ logits: [Double], labels: [UInt8], weights: [Double]?, classes: Int
) -> [Double] {
  let probabilities = naiveSoftmax(logits, columns: classes)
  return logits.indices.map { index in
    let (pixel, c) = (index / classes, index % classes)
    guard labels[pixel] != 255 else { return 0 }
    return (weights?[pixel] ?? 1) * (probabilities[index] - (Int(labels[pixel]) == c ? 1 : 0))
  }
}
