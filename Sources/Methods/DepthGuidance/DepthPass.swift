// What a pass of CorDA predicts of depth, and what is learned from it. N local samples, H×W pixels.

import Adaptation
import Autograd
import Kernels
import Tensors

/// Predictions of depth at two levels beside the depth that came with the images.
///
/// A pixel that is of the source is predicted by the source's classifier, one of the target by the target's. Depth of
/// exactly 1 is not known, and teaches nothing.
public struct DepthPass {
  /// One level's predictions, [N, H, W, 1].
  public struct Level {
    /// Name of its term, such as "depth".
    public let name: String
    /// By the source's classifier.
    public let source: Variable
    /// By the target's; nil in the source pass.
    public let target: Variable?

    /// From its predictions.
    public init(_ name: String, source: Variable, target: Variable? = nil) {
      self.name = name
      self.source = source
      self.target = target
    }
  }

  /// Final and first predictions.
  public let levels: [Level]
  /// Depth, [N, H, W].
  public let depth: Tensor
  /// By whom a pixel is predicted, and whether its depth is known: N·H·W marks each.
  private let ofSource: [UInt8], ofTarget: [UInt8]

  /// Predictions and truth of a pass.
  /// - Parameters:
  ///   - levels: final predictions first.
  ///   - depth: what is right.
  ///   - mask: not 0 where a pixel is of the source; nil: everywhere.
  /// - Precondition: all have as many pixels.
  public init(_ levels: [Level], depth: Tensor, mask: [UInt8]?) {
    precondition(
      levels.allSatisfy { $0.source.value.count == depth.count } && mask.map { $0.count == depth.count } ?? true,
      "depths \(levels.map(\.source.value.shape)) beside \(depth.shape)")
    self.levels = levels
    self.depth = depth
    let known = depth.values.map { $0 == 1 ? UInt8(0) : 1 }
    ofSource = mask.map { zip(known, $0).map { $1 == 0 ? 0 : $0 } } ?? known
    ofTarget = mask.map { zip(known, $0).map { $1 == 0 ? $0 : 0 } } ?? []
  }

  /// Asks for the pixels of known depth and for each level's largest error.
  public func ask(_ asked: inout PassStatistics) {
    let perSample = depth.perSample
    let counts = (0..<depth.samples).map { sample in
      (sample * perSample..<(sample + 1) * perSample).reduce(0.0) { sum, pixel in
        sum + Double(ofSource[pixel]) + (ofTarget.isEmpty ? 0 : Double(ofTarget[pixel]))
      }
    }
    asked.sum("depth", counts, samples: depth.samples)
    asked.largest(
      "depth error",
      levels.map { level in
        parts(of: level).reduce(0) { max($0, largestDifference($1.x.value, truth(of: $1.x), valid: $1.valid)) }
      })
  }

  /// How easy every pixel is to adapt, [N, H, W], by the final predictions of both classifiers.
  /// - Precondition: both have predicted it.
  public func agreement() -> Tensor {
    guard let target = levels[0].target else { preconditionFailure("one classifier agrees with nobody") }
    return depthAgreement(source: levels[0].source.value, target: target.value, depth: depth)
  }

  /// A term for each level: the reverse Huber loss over pixels of known depth of the micro-batch of all ranks, whose
  /// turning point is a fifth of the largest error. Their gradients go to the predictions.
  /// - Parameters:
  ///   - totals: answers to what `ask` asked.
  ///   - factor: weight of each term.
  ///   - prefix: of the terms' names.
  ///   - context: gives the number of micro-batches.
  public func losses(_ totals: PassTotals, factor: Float, prefix: String, _ context: ForwardContext) -> [LossTerm] {
    let known = Int(totals.sum("depth")[0])
    return zip(levels, totals.largest("depth error")).map { level, largest in
      let name = "\(prefix).\(level.name)"
      let terms = parts(of: level).map { x, valid in
        berHu(
          x, reference: truth(of: x), valid: valid, globalCount: known, turn: 0.2 * largest, factor: factor, name: name,
          context)
      }
      return terms.dropFirst().reduce(terms[0]) { LossTerm.added([$0], [$1])[0] }
    }
  }

  private func truth(of x: Variable) -> Tensor { depth.reshaped(x.value.shape) }

  private func parts(of level: Level) -> [(x: Variable, valid: [UInt8])] {
    [(level.source, ofSource)] + (level.target.map { [($0, ofTarget)] } ?? [])
  }
}
