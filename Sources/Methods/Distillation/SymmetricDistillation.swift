// Symmetric distillation of DiGA (Shen, Gurram, Liu, Wang, Knoll, CVPR 2023, section 3.2, and its released code): teacher and
// student see a source image as it is and perturbed, and what the teacher says of each teaches the student on the other.
// N samples, H×W pixels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of symmetric distillation, `methodOptions` of the method `diga-dg`.
public struct SymmetricDistillationOptions: MethodOptions {
  /// Share of changed colours in the perturbed view: 0.4, in the self-training stage 0.3.
  public var beta = 0.4
  /// Weight of the distillation: 0.5, for SYNTHIA and in the self-training stage 0.25.
  public var weight = 0.5
  /// Weight of what the perturbed view teaches the plain one, beside the other: 0.5, for SYNTHIA 0.25.
  public var second = 0.5
  /// Whether the perturbed view shows changed colours on half of the classes only, as where the rest comes from a
  /// translated image. There is no translation here: the rest is the image as it is.
  public var mixture = false
  /// How colours are changed.
  public var colours = PerturbedColours()
  /// Cross-entropy of hard pixels only, as published for SYNTHIA; nil: of all.
  public var hardPixels: HardPixels?
  /// Whether dropout and drop path of the teacher are on, as in the released code.
  public var noisyTeacher = true
  /// Whether the student looks at target images too, so that running batch statistics take them in, as in the released
  /// code. It learns nothing of them.
  public var adaptNormalisation = false

  /// Published values, for GTA as the source.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("beta", &beta, .from(0, to: 1))
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("second", &second, .atLeast(0))
    try settings.value("mixture", &mixture)
    try settings.group("colours", &colours)
    try settings.group("hardPixels", &hardPixels)
    try settings.value("noisyTeacher", &noisyTeacher)
    try settings.value("adaptNormalisation", &adaptNormalisation)
  }

  /// Hangs on the source pass; asks for a teacher, which labels nothing.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source"]
    requirements.needsSource = true
    requirements.needsTeacher = true
    requirements.needsTarget = adaptNormalisation
    return requirements
  }

  /// The distillation.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    SymmetricDistillation(self, seed: setup.seed)
  }
}

/// Symmetric distillation alone: the training of the warm-up, and without `mixture` that for unseen targets.
public final class SymmetricDistillation: Objective {
  /// "diga-dg".
  public let name = "diga-dg"
  private let source: SourceDistillation

  /// The objective with its options, and the run's seed for the dropout of a noisy teacher.
  public init(_ options: SymmetricDistillationOptions, seed: UInt64) {
    source = SourceDistillation(options, of: "diga-dg", seed: seed)
  }

  /// Adds the perturbed view; the teacher looks at both.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    if pass == "source" { try source.perturb(&views, step) }
  }

  /// The terms `source.diga-dg` and `source.diga-dg.second`; their gradients go to both predictions.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] { pass == "source" ? source.terms(runs) : [] }
}

/// What the student learns of a source image and its perturbed view, in any objective.
///
///     x' = m · (β · changed(x) + (1 - β) · x) + (1 - m) · x
///     weight · (mean H(T(x), S(x')) + second · mean H(T(x'), S(x))),   H(q, p) = -Σ_c q_c ln p_c
///
/// m is half of the image's classes and its ignored pixels, or 1 everywhere. Means run over all pixels of the global batch.
/// Predictions are soft-max at the size of the image, enlarged with aligned corners. The labels teach the plain view alone.
///
/// The teacher sees both views without a tape in training mode: batch norm has the batch's statistics. Where a network sees
/// a detail crop, it is that of the pass.
///
/// Differs from the released code: the part of x' that is not m comes from no translated image; sharpness stays as it is;
/// jitter is of colours in 0...1; batch statistics are of a view, not of both; the cross-entropy enlarges with half-pixel
/// centres.
final class SourceDistillation {
  let options: SymmetricDistillationOptions
  private let owner: String
  private let seed: UInt64
  /// The perturbed view.
  private var view: String { "source.\(owner)" }
  /// What the teacher made of both views, until the losses are asked for.
  private var taught: [TrainingOutput] = []

  /// - Parameters:
  ///   - options: of the distillation.
  ///   - owner: name of the objective: draws, view and terms have it.
  ///   - seed: the run's.
  init(_ options: SymmetricDistillationOptions, of owner: String, seed: UInt64) {
    self.options = options
    self.owner = owner
    self.seed = seed
  }

  /// Adds the perturbed view to those of the source pass and asks the teacher about both. A collective.
  /// - Parameter sites: maps of the teacher that are kept.
  /// - Returns: what the teacher made of the perturbed view.
  @discardableResult
  func perturb(_ views: inout [View], keeping sites: Set<Site> = [], _ step: StepView) throws -> TrainingOutput {
    if options.adaptNormalisation { try adaptNormalisation(step) }
    views[0].hardPixels = options.hardPixels
    let image = views[0].image.value
    let changed = options.colours.perturbed(
      image, beta: options.beta, draw: "source colours", of: owner, step)
    var second = views[0].renamed(view)
    (second.labels, second.weights) = (nil, nil)
    second.image = Variable(
      constant: options.mixture
        ? mix(
          changed, image,
          mask: try halfMask(views[0].labels ?? step.sourceSamples.labels, draw: "mixture", of: owner, step))
        : changed)
    taught = try [views[0], second].map { try teach($0, keeping: sites, step) }
    views.append(second)
    return taught[1]
  }

  /// What the teacher makes of a view, in training mode. A collective.
  func teach(_ view: View, keeping sites: Set<Site>, _ step: StepView) throws -> TrainingOutput {
    guard let teacher = step.teacher else { preconditionFailure("distillation without a teacher") }
    let draws = StochasticDraws(seed: seed, step: step.step, pass: "\(owner) teacher \(view.name)")
    return try teacher.network.train(
      view.image, boxes: view.detailCrops, crops: view.crops, keeping: sites,
      step.share.context(normalization: .batch, draws: options.noisyTeacher ? draws : nil))
  }

  private func adaptNormalisation(_ step: StepView) throws {
    _ = try step.student.dense(step.targetSamples.image, step.share.context(normalization: .batch))
  }

  /// Both terms; their gradients go to the predictions for both views.
  func terms(_ runs: [StudentRun]) -> [LossTerm] {
    guard let second = runs.first(where: { $0.view.name == view }), taught.count == 2 else {
      preconditionFailure("a source pass without its perturbed view")
    }
    let (plain, perturbed) = (taught[0], taught[1])
    taught = []
    guard options.weight > 0 else { return [] }
    return [
      distillation(plain, to: second, options.weight, name: "source.\(owner)"),
      distillation(perturbed, to: runs[0], options.weight * options.second, name: "source.\(owner).second"),
    ]
  }

  private func distillation(
    _ teacher: TrainingOutput, to run: StudentRun, _ weight: Double, name: String
  ) -> LossTerm {
    let image = run.view.image.value
    let size =
      run.output.fused == nil
      ? (run.view.box.height, run.view.box.width) : (image.shape[1], image.shape[2])
    return distilled(
      logits(teacher).value, to: logits(run.output), size: size, factor: Float(weight), name: name, run.context)
  }

  private func logits(_ output: TrainingOutput) -> Variable {
    guard let logits = output.fused ?? output.detail else { preconditionFailure("a network without logits") }
    return logits
  }
}

/// Mean cross-entropy of a student's prediction against a teacher's, over all pixels.
///
/// - Parameters:
///   - teacher: its logits, [N, h, w, K].
///   - student: its logits, [N, h, w, K].
///   - size: rows and columns of the images, to which both are enlarged with aligned corners.
///   - factor: weight of the term in the step's loss.
///   - name: name of the term.
///   - context: gives the denominator.
/// Source: Shen et al., DiGA, CVPR 2023, equation 2.
package func distilled(
  _ teacher: Tensor, to student: Variable, size: (height: Int, width: Int), factor: Float, name: String,
  _ context: ForwardContext
) -> LossTerm {
  softCrossEntropy(
    bilinear(student, height: size.height, width: size.width, alignCorners: true, context),
    targets: softmax(bilinear(teacher, height: size.height, width: size.width, alignCorners: true)), factor: factor,
    name: name, context)
}
