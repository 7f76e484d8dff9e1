// The greatest of some numbers, and losses that depend on an order.

import Support
import Tensors

/// Places of the `count` greatest numbers, ascending; of equal numbers the first ones count.
/// - Precondition: no number is not-a-number, and there are as many.
public func largestPlaces(_ values: [Float], count: Int) -> [Int] {
  precondition((0...values.count).contains(count), "\(count) of \(values.count) numbers")
  let order = values.indices.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }
  return order.prefix(count).sorted()
}

/// 1 at the most uncertain pixels of each sample, 0 elsewhere, [N, H, W]: max(1, ⌊share · H·W⌋ of them, by entropy.
///
/// - Parameters:
///   - logits: [N, H, W, K].
///   - share: between 0 and 1.
public func uncertainPixels(_ logits: Tensor, share: Double) -> Tensor {
  let entropies = entropyMap(logits)
  let perSample = entropies.perSample
  let result = Tensor(zeros: entropies.shape)
  for sample in 0..<logits.samples {
    let own = Array(entropies.values[sample * perSample..<(sample + 1) * perSample])
    for place in largestPlaces(own, count: uncertainCount(share: share, of: perSample)) {
      result.pointer[sample * perSample + place] = 1
    }
  }
  return result
}

/// Number of pixels that `uncertainPixels` takes of a sample.
public func uncertainCount(share: Double, of pixels: Int) -> Int { max(1, Int(share * Double(pixels))) }
