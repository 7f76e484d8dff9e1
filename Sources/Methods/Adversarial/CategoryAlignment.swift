// CLAN (Luo, Zheng, Guan, Yu, Yang: Taking a Closer Look at Domain Shift: Category-level Adversaries for Semantics
// Consistent Domain Adaptation, CVPR 2019, and its official code): two classifiers on one feature are kept different;
// where they disagree on a target pixel, that pixel is badly aligned and the adversary pushes it more.
// N samples, H×W pixels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Optimization
import Support
import Tensors

/// Options of category-level alignment, `methodOptions` of the method `clan`.
public struct CategoryAlignmentOptions: MethodOptions {
  /// Weight of the adversarial term.
  public var weight = 0.001
  /// Weight of the cosine between the two classifiers; published are 0.01, which the released code doubles.
  public var discrepancyWeight = 0.02
  /// What a pixel weighs in the adversarial terms where the classifiers agree.
  public var agreementWeight = 0.4
  /// What it weighs more where they are at right angles: 40 for GTA, 10 for SYNTHIA.
  public var disagreementWeight = 40.0
  /// Share of the schedule in which all pixels weigh 1.
  public var preheat = 0.05
  /// Whether pixel weights are constants to the student; published: it also learns to make the classifiers agree.
  public var detachWeight = false
  /// γ of the focal loss that the released code has for the cross-entropy; 0 is the paper's cross-entropy.
  public var focalGamma = 2.0
  /// The discriminator.
  public var discriminator = DiscriminatorOptions()

  /// Published values, for GTA as the source.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .above(0))
    try settings.value("discrepancyWeight", &discrepancyWeight, .atLeast(0))
    try settings.value("agreementWeight", &agreementWeight, .atLeast(0))
    try settings.value("disagreementWeight", &disagreementWeight, .atLeast(0))
    try settings.value("preheat", &preheat, .from(0, to: 1))
    try settings.value("detachWeight", &detachWeight)
    try settings.value("focalGamma", &focalGamma, .atLeast(0))
    try settings.group("discriminator", &discriminator)
  }

  /// Hangs on both passes of its host, and needs a second classifier that predicts too.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source", "target"]
    requirements.needsSecondClassifier = true
    return requirements
  }

  /// The alignment.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { try CategoryAlignment(self, setup) }

  /// Crops must be large enough for a discriminator.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    DiscriminatorOptions.misfit(of: "weight", cropHeight: cropHeight, cropWidth: cropWidth)
  }
}

/// Adversarial alignment that is stronger where two classifiers disagree.
///
///     W = 1 - cos(softmax p₁, softmax p₂),   damping d = 1 - t / T
///     student        FL(p₁, y) + FL(p₂, y) + d λ mean (ε + λ' W) BCE(D(softmax(p₁ + p₂)), source)
///                    + d λ'' (cos(θ₁, θ₂) + 1)
///     discriminator  mean BCE(D(source), source) + mean (ε + λ' W) BCE(D(target), target)
///
/// with plain means up to the end of the preheating. Logits are resized to the crop, the discriminator's answers too, with
/// aligned corners. W is a weight, no normaliser, so that means run over all pixels of all ranks; it has a gradient. θ are
/// all trained parameters of a classifier.
///
/// Differs from the released code: any number of images in a batch (there the weights and the focal loss are right for one
/// only); without a labelled pixel the focal loss is 0; θ counts once, whatever the number of ranks.
public final class CategoryAlignment: Objective {
  /// "clan".
  public let name = "clan"
  /// The discriminator.
  public var companions: [any TrainedCompanion] { [discriminator] }
  private let options: CategoryAlignmentOptions
  private let levels: [OutputLevel]
  private let discriminator: Companion<Discriminator>
  private let steps: Int
  private let preheatSteps: Int

  /// The objective.
  /// - Throws: nothing from outside.
  /// - Precondition: the network has two classifiers.
  public init(_ options: CategoryAlignmentOptions, _ setup: ObjectiveSetup) throws {
    self.options = options
    levels = OutputLevel.all(of: setup.configuration, weight: 1, auxiliaryWeight: 1)
    precondition(levels.count == 2, "clan compares two classifiers")
    steps = setup.decaySteps
    preheatSteps = Int((options.preheat * Double(steps)).rounded())
    let own = options.discriminator
    discriminator = try Companion(
      owner: "clan", name: "main", setup, betas: (own.betas[0], own.betas[1]),
      schedule: LearningRateSchedule(
        baseRate: own.learningRate, warmUpSteps: preheatSteps, warmUpRatio: 0, warmUpTo: .base, power: own.power,
        totalSteps: steps)
    ) { registry, prefix in
      Discriminator(registry, prefix: prefix, inputs: setup.configuration.classCount, width: own.width)
    }
  }

  /// How much of the alignment is left: it falls to 0 over the schedule.
  public func damping(_ step: Int) -> Float { Float(max(1 - Double(step) / Double(steps), 0)) }

  /// Source images are learned by the focal loss.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    guard pass == "source" else { return }
    for index in views.indices { views[index].focal = options.focalGamma }
  }

  /// The terms `source.discrepancy`, `source.discriminator`, `target.adversarial` and `target.discriminator`.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    switch pass {
    case "source":
      return [discrepancy(step, runs[0].context)] + (try learn(logits(runs[0], taped: false), domain: 0, pass, step))
    case "target":
      let logits = logits(runs[0], taped: true)
      return [adversarial(logits, step, runs[0].context)] + (try learn(logits, domain: 1, pass, step))
    default: return []
    }
  }

  /// Both classifiers' logits at the size of the crop.
  private func logits(_ run: StudentRun, taped: Bool) -> [Variable] {
    var context = run.context
    if !taped { context.tape = nil }
    return levels.map { $0.logits(run, context) }
  }

  private func discrepancy(_ step: StepView, _ context: ForwardContext) -> LossTerm {
    let heads = step.student.headParameters
    return weightCosine(
      heads.main, heads.auxiliary, factor: Float(options.discrepancyWeight) * damping(step.step),
      name: "source.discrepancy", samples: step.share.samples.count, context)
  }

  private func adversarial(_ logits: [Variable], _ step: StepView, _ context: ForwardContext) -> LossTerm {
    var weights = pixelWeights(logits, step.step, context)
    if options.detachWeight { weights = weights.map { Variable(constant: $0.value) } }
    return compared(
      answers(discriminator.frozen, logits, context), towards: 0, weights,
      factor: Float(options.weight) * damping(step.step), name: "target.adversarial", context)
  }

  /// Lets the discriminator learn that logits are of a domain, 0 the source and 1 the target.
  private func learn(
    _ logits: [Variable], domain: Float, _ pass: String, _ step: StepView
  ) throws -> [LossTerm] {
    let seen = logits.map { Variable(constant: $0.value) }
    return try discriminator.learn(step) { network, context in
      let weights = domain == 1 ? pixelWeights(seen, step.step, context) : nil
      return [
        compared(
          answers(network, seen, context), towards: domain, weights, factor: 1, name: "\(pass).discriminator", context)
      ]
    }
  }

  /// What a discriminator says of the joint prediction, at its size.
  private func answers(_ network: Discriminator, _ logits: [Variable], _ context: ForwardContext) -> Variable {
    let shape = logits[0].value.shape
    let map = network(softmax(add(logits[0], logits[1], context), context), context)
    return bilinear(map, height: shape[1], width: shape[2], alignCorners: true, context)
  }

  /// `ε + λ' W`, `[N, H, W, 1]`; nil, for 1, during the preheating.
  private func pixelWeights(_ logits: [Variable], _ step: Int, _ context: ForwardContext) -> Variable? {
    guard step > preheatSteps else { return nil }
    let apart = cosineDistance(softmax(logits[0], context), softmax(logits[1], context), context)
    return affine(
      apart, factor: Float(options.disagreementWeight), offset: Float(options.agreementWeight), context)
  }

  private func compared(
    _ answers: Variable, towards domain: Float, _ weights: Variable?, factor: Float, name: String,
    _ context: ForwardContext
  ) -> LossTerm {
    guard let weights else {
      return binaryCrossEntropy(answers, towards: domain, factor: factor, name: name, context)
    }
    return binaryCrossEntropy(
      answers, towards: domain, trainedWeights: weights, factor: factor, name: name, context)
  }
}
