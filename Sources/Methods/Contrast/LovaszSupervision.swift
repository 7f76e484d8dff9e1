// The Lovász-softmax loss beside the cross-entropy of source images (Berman, Rannen Triki, Blaschko: The Lovász-Softmax
// loss, CVPR 2018): a method of its own, the first stage of ProCA, and a part of that.

import Adaptation
import Autograd
import Kernels
import Networks
import Support

/// Options of the Lovász-softmax loss: `methodOptions` of the method `lovasz`, and a group of others'.
public struct LovaszOptions: MethodOptions {
  /// Which pixels' errors are put in one order.
  public enum Scope: String, SettingChoice {
    /// Those of the micro-batch of all ranks: two messages for each class that occurs, which hold all errors.
    case batch
    /// Those of an image; nothing is sent.
    case image
  }

  /// Weight of the loss; 0 leaves it out.
  public var weight = 0.75
  /// Which pixels' errors are put in one order.
  public var scope = Scope.batch

  /// ProCA's values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("scope", &scope)
  }

  /// Hangs on the source pass.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source"]
    requirements.needsSource = true
    return requirements
  }

  /// The loss; none with weight 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { weight > 0 ? LovaszSupervision(self) : nil }

  /// The term `source.lovasz` of a run with labels: of the fused logits, or those of the only crop, at the labels' size.
  /// A collective with scope `batch`.
  func terms(_ run: StudentRun) throws -> [LossTerm] {
    guard weight > 0, let labels = run.view.labels else { return [] }
    guard let logits = run.output.fused ?? run.output.detail else { preconditionFailure("a run without logits") }
    let seen = run.output.fused == nil ? labels.cropped(to: run.view.box) : labels
    let dense = bilinear(logits, height: seen.height, width: seen.width, run.context)
    return [
      try lovaszSoftmax(
        dense, labels: seen, scope: scope == .batch ? .batch : .image, factor: Float(weight),
        name: "\(run.view.name).lovasz", run.context)
    ]
  }
}

/// The Lovász-softmax loss of source images, beside their cross-entropy.
public final class LovaszSupervision: Objective {
  /// "lovasz".
  public let name = "lovasz"
  private let options: LovaszOptions

  /// The objective with its options.
  public init(_ options: LovaszOptions) { self.options = options }

  /// The term `source.lovasz`.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] { pass == "source" ? try options.terms(runs[0]) : [] }
}
