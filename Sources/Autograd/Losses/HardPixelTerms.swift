// Losses of labelled pixels that depend on an order over the global micro-batch. N samples, K classes. These terms are
// collectives: called by all ranks that share the batch, and throwing what communication throws.

import Collectives
import Kernels
import Tensors

/// Cross-entropy of hard pixels only (online hard example mining).
///
/// Of the n labelled pixels of all ranks, those whose label has a probability below max(threshold, p₍ₘ₎) are averaged,
/// where p₍ₘ₎ is the probability number m = min(kept, n - 1), from 0, in ascending order: at least `kept` pixels where
/// there are as many. With no such pixel the term is 0, where released code gives not-a-number.
///
/// The order statistic is exact: bits of probabilities are counted, which makes the same sums on any number of ranks. One
/// message if `threshold` decides, three if not.
/// - Parameters:
///   - logits: [N, H, W, K], at the labels' size.
///   - labels: what is right, 255 ignored.
///   - threshold: probability below which a pixel counts anyway.
///   - kept: pixels of the micro-batch of all ranks that count at least.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: names the ranks, and gives the number of micro-batches.
/// Source: Shrivastava et al., CVPR 2016, as in DiGA (Shen et al., CVPR 2023, code), there per process.
public func hardPixelCrossEntropy(
  _ logits: Variable, labels: LabelMap, threshold: Float = 0.7, kept: Int = 100_000, factor: Float, name: String,
  _ context: ForwardContext
) throws -> LossTerm {
  let hard = try hardPixels(logits.value, labels: labels, threshold: threshold, kept: kept, context)
  return crossEntropy(
    logits, labels: labels, weights: hard.marks, valid: hard.count, factor: factor, name: name, context)
}

/// The pixels that it averages: 1 for each hard one, `[N, H, W]`, and how many there are on all ranks.
///
/// Parameters as above. A collective.
public func hardPixels(
  _ logits: Tensor, labels: LabelMap, threshold: Float, kept: Int, _ context: ForwardContext
) throws -> (marks: Tensor, count: Int) {
  let probabilities = labelProbabilities(logits, labels)
  let hard = try hardLimit(probabilities, threshold: threshold, kept: kept, context)
  return (Tensor(probabilities.values.map { $0 < hard.limit ? 1 : 0 }, probabilities.shape), hard.count)
}

/// The probability below which pixels are hard, and how many of all ranks are. Not-a-number is left out.
private func hardLimit(
  _ probabilities: Tensor, threshold: Float, kept: Int, _ context: ForwardContext
) throws -> (limit: Float, count: Int) {
  let counts = try globalCounts(probabilities, context, width: 3) { _, value in
    value < threshold ? 0 : value == threshold ? 1 : 2
  }
  let labelled = Int(counts.reduce(0, +))
  let rank = min(max(1, kept), labelled - 1)
  guard labelled > 0, Int(counts[0] + counts[1]) <= rank else { return (threshold, Int(counts[0])) }
  // Probabilities are ordered as their bits: first the upper half is found, then the lower one.
  let upper = placed(
    rank, in: try globalCounts(probabilities, context, width: 1 << 14) { bits, _ in Int(bits >> 16) })
  let lower = placed(
    rank - upper.below,
    in: try globalCounts(probabilities, context, width: 1 << 16) { bits, _ in
      Int(bits >> 16) == upper.bin ? Int(bits & 0xffff) : nil
    })
  return (Float(bitPattern: UInt32(upper.bin << 16 | lower.bin)), upper.below + lower.below)
}

/// The bin of number `rank`, from 0, and how many lie in bins before it.
private func placed(_ rank: Int, in counts: [Double]) -> (bin: Int, below: Int) {
  var below = 0
  for (bin, count) in counts.enumerated() {
    if below + Int(count) > rank { return (bin, below) }
    below += Int(count)
  }
  preconditionFailure("number \(rank) of \(below)")
}

/// How many pixels of all ranks, of those with a probability, fall into each bin; nil is no bin.
private func globalCounts(
  _ values: Tensor, _ context: ForwardContext, width: Int, _ bin: (_ bits: UInt32, _ value: Float) -> Int?
) throws -> [Double] {
  var rows = [Double](repeating: 0, count: values.samples * width)
  for (index, value) in values.values.enumerated() {
    if value <= 1, let bin = bin(value.bitPattern, value) { rows[index / values.perSample * width + bin] += 1 }
  }
  return try globalSum(rows: rows, samples: values.samples, count: width, on: context.communicator)
}
