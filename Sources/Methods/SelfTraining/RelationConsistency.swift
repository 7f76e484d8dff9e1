// CRDA (Koh, Fernando: Consistency Regularization for Domain Adaptation, ECCV workshops 2022, arXiv 2208.11084, and its
// official code): student and teacher shall agree on how alike the outputs at any two positions of a mixed image are.
// N samples, H×W pixels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of relation consistency, `methodOptions` of the method `crda`.
public struct RelationConsistencyOptions: MethodOptions {
  /// How the outputs at two positions are compared.
  public enum Similarity: String, SettingChoice {
    /// Cosine of logits, the final version of the code.
    case cosine
    /// Cross-entropy of probabilities, an earlier one.
    case crossEntropy = "cross-entropy"
    /// Kullback-Leibler divergence of probabilities, another earlier one.
    case divergence

    var relation: VectorRelation {
      switch self {
      case .cosine: .cosine
      case .crossEntropy: .crossEntropy
      case .divergence: .divergence
      }
    }

    /// The published weight of the term.
    public var publishedWeight: Double {
      switch self {
      case .cosine: 1
      case .crossEntropy: 0.025
      case .divergence: 0.008
      }
    }
  }

  /// How the outputs at two positions are compared.
  public var similarity = Similarity.cosine
  /// Weight of the term; nil is the published one: 1 for cosines, 0.025 for cross-entropies, 0.008 for divergences.
  public var weight: Double?
  /// Random positions of an image that are compared.
  public var positions = 512
  /// Whether the student's pass over mixed images serves, as it was, instead of one more with other dropout.
  public var reuse = false
  /// Whether dropout and drop path of the teacher are on, for labels too, as in the released code. Detail windows have
  /// none; labels are made twice, of which the second count.
  public var noisyTeacher = false

  /// Published values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("similarity", &similarity)
    try settings.value("weight", &weight, .ifGiven(.above(0)))
    try settings.value("positions", &positions, .from(1, to: 4096))
    try settings.value("reuse", &reuse)
    try settings.value("noisyTeacher", &noisyTeacher)
  }

  /// Hangs on the mixed pass; asks for a teacher.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["mixed"]
    requirements.needsLabels = true
    return requirements
  }

  /// The consistency.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { RelationConsistency(self, seed: setup.seed) }

  /// A crop has at least as many pixels as positions.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    guard positions > cropHeight * cropWidth else { return nil }
    return OptionMisfit(
      key: "positions", what: "is \(positions), but crop.size \(cropWidth)x\(cropHeight) has fewer pixels",
      remedy: "choose fewer; published are 512")
  }
}

/// Consistency of relations between positions (CRDA, section 3).
///
/// In the pass "relation" the student sees the mixed image and the detail crop of the pass "mixed" once more, with other
/// dropout; the teacher sees the same without a tape, in training mode: batch norm has the batch's statistics, and its
/// running ones take them in. Random positions, the same in all images of the micro-batch, are compared with each other.
///
///     weight · mean over images and pairs (i, j) of (similarity(s_i, s_j) - similarity(t_i, t_j))²
///
/// of logits at the size of the image, or of the detail crop where a network sees no more. Relations are inside an image:
/// nothing is sent. On HRDA they are of the fused logits.
///
/// Differs from the released code: a vector of zeros has similarity 0; the teacher has no dropout (`noisyTeacher`).
public final class RelationConsistency: Objective {
  /// "crda".
  public let name = "crda"
  private let options: RelationConsistencyOptions
  private let seed: UInt64
  /// What the mixed pass of this micro-batch showed.
  private var mixed: View?

  /// The objective with its options, and the run's seed for the dropout of a noisy teacher.
  public init(_ options: RelationConsistencyOptions, seed: UInt64) {
    self.options = options
    self.seed = seed
  }

  /// The pass "relation", unless the mixed one is used again.
  public func passes(at step: Int) -> [Pass] {
    guard !options.reuse else { return [] }
    return [
      Pass("relation") { [self] _ in
        guard let mixed else { preconditionFailure("relations of an image that nobody mixed") }
        var view = View("relation", image: mixed.image, box: mixed.box)
        view.crops = mixed.crops
        return [view]
      }
    ]
  }

  /// Labels of a noisy teacher.
  public func refine(_ labels: inout PseudoLabels, _ step: StepView) throws {
    guard options.noisyTeacher, let teacher = step.teacher, !labels.areKept else { return }
    let target = step.targetSamples
    labels = try teacher.pseudoLabels(
      target.image, valid: target.validMask, step.share, draws: draws(step, "teacher"))
  }

  /// The term `relation.crda`, or `mixed.crda` where the mixed pass is used again.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    if pass == "mixed" { mixed = runs[0].view }
    guard pass == (options.reuse ? "mixed" : "relation") else { return [] }
    mixed = nil
    let run = runs[0]
    let taught = try reference(run.view, step)
    let size = size(run)
    var stream = step.stream("positions", of: name, sample: nil)
    let positions = stream.distinct(min(options.positions, size.height * size.width), below: size.height * size.width)
    func vectors(_ output: TrainingOutput, _ context: ForwardContext) -> Variable {
      guard let logits = output.fused ?? output.detail else { preconditionFailure("a network without logits") }
      let dense = bilinear(logits, height: size.height, width: size.width, context)
      let places = (0..<dense.value.samples).flatMap { _ in positions }
      return gathered(dense, at: places, perSample: positions.count, context)
    }
    var untaped = run.context
    untaped.tape = nil
    return [
      relationConsistency(
        vectors(run.output, run.context), references: vectors(taught, untaped).value,
        relation: options.similarity.relation, factor: Float(options.weight ?? options.similarity.publishedWeight),
        name: "\(pass).\(name)", run.context)
    ]
  }

  /// What the teacher makes of a view.
  private func reference(_ view: View, _ step: StepView) throws -> TrainingOutput {
    guard let teacher = step.teacher else { preconditionFailure("relations without a teacher") }
    let context = step.share.context(
      normalization: .batch, draws: options.noisyTeacher ? draws(step, "teacher relation") : nil)
    return try teacher.network.train(view.image, box: view.box, crops: view.crops, context)
  }

  private func draws(_ step: StepView, _ pass: String) -> StochasticDraws {
    StochasticDraws(seed: seed, step: step.step, pass: "\(name) \(pass)")
  }

  /// The pixels that logits of a run are of.
  private func size(_ run: StudentRun) -> (height: Int, width: Int) {
    guard run.output.fused == nil else { return (run.view.image.value.shape[1], run.view.image.value.shape[2]) }
    return (run.view.box.height, run.view.box.width)
  }
}

extension RandomStream {
  /// Different whole numbers below a bound, every set as likely as any other (Floyd's sampling).
  fileprivate mutating func distinct(_ count: Int, below bound: Int) -> [Int32] {
    var seen = Set<Int>()
    return (bound - count..<bound).map { last in
      let drawn = nextIndex(below: last + 1)
      let number = seen.insert(drawn).inserted ? drawn : last
      seen.insert(number)
      return Int32(number)
    }
  }
}
