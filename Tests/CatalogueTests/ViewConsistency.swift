// Consistency of two views: the student shall say the same of a target image as it is and as strongly changed (after
// Sajjadi, Javanmardi, Tasdizen, NeurIPS 2016, who compare by squared distance).

import Adaptation
import Autograd
import Networks
import Support

/// Options of the consistency of two views, `methodOptions` of the method `view-consistency`.
public struct ViewConsistencyOptions: MethodOptions {
  /// Factor on the divergence of the two predictions.
  public var weight = 1.0

  /// The defaults.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .atLeast(0))
  }

  /// The objective; none with weight 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { weight > 0 ? ViewConsistency(self) : nil }
}

/// The objective: a pass of two views on one tape, and their divergence as its loss.
public final class ViewConsistency: Objective {
  /// "view-consistency".
  public let name = "view-consistency"
  private let options: ViewConsistencyOptions

  /// The objective with its options.
  public init(_ options: ViewConsistencyOptions) { self.options = options }

  /// The pass "views" over target images: unchanged, then jittered and blurred. Neither has labels.
  public func passes(at step: Int) -> [Pass] {
    [
      Pass("views") { step in
        let image = step.targetSamples.image
        let drawn = step.draws("views")
        return [
          View("views", image: Variable(constant: image), box: drawn.box),
          View("changed", image: Variable(constant: strongAugmentation(image, drawn)), box: drawn.box),
        ]
      }
    ]
  }

  /// The term `views.consistency`: the mean Jensen-Shannon divergence over all pixels of the global batch. Its gradient
  /// goes to both predictions.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "views" else { return [] }
    let logits = runs.compactMap { $0.output.fused ?? $0.output.detail }
    return [
      styleConsistency(
        logits[0], logits[1], factor: Float(options.weight), name: "views.consistency", runs[0].context)
    ]
  }
}
