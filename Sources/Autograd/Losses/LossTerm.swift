// Losses put their gradient into their input's cell at once and return per-sample sums, so that values are added up
// the tree over samples and ranks by whoever reports them.

import Kernels
import Tensors

/// One named scalar of a step: per local sample, already weighted and divided by its global denominator and by the number
/// of micro-batches.
public struct LossTerm: Sendable {
  /// Such as "source.fused".
  public let name: String
  /// Contribution of each local sample.
  public let perSample: [Double]

  /// From the samples' contributions.
  public init(name: String, perSample: [Double]) {
    self.name = name
    self.perSample = perSample
  }

  /// Terms of one micro-batch more, added sample by sample like their gradients' slots.
  /// - Precondition: `first` has no terms yet, or the same ones.
  public static func added(_ first: [LossTerm], _ second: [LossTerm]) -> [LossTerm] {
    guard !first.isEmpty else { return second }
    precondition(first.map(\.name) == second.map(\.name), "terms \(first.map(\.name)) and \(second.map(\.name))")
    return zip(first, second).map { LossTerm(name: $0.name, perSample: zip($0.perSample, $1.perSample).map(+)) }
  }
}

/// How many pixels, elements or images of all ranks a term's sum is divided by, micro-batches included.
/// - Parameters:
///   - valid: those of the micro-batch of all ranks that count; nil: all.
///   - perSample: of one image.
func denominator(_ valid: Int?, perSample: Int, _ context: ForwardContext) -> Double {
  Double((valid ?? context.globalBatch * perSample) * context.microBatches)
}

/// A term whose gradient goes to `x` at once; where nothing counts, it is 0 and no gradient flows.
/// - Parameters:
///   - factor: weight of the term in the step's loss.
///   - denominator: of all ranks and micro-batches.
///   - sums: sums for each sample and, given a factor, the gradient of all of them times that factor.
func lossTerm(
  _ name: String, of x: Variable, factor: Float, over denominator: Double, _ sums: (_ factor: Float?) -> LossSums
) -> LossTerm {
  guard denominator > 0 else { return LossTerm(name: name, perSample: [Double](repeating: 0, count: x.value.samples)) }
  let scale = Double(factor) / denominator
  let found = sums(x.cell == nil ? nil : Float(scale))
  if let gradient = found.gradient { x.cell?.accumulate(gradient) }
  return LossTerm(name: name, perSample: found.sums.map { $0 * Double(factor) / denominator })
}
