// One training step, top to bottom: the teacher follows the student, the student learns from labelled source images,
// from mixed images that the teacher labelled and from what the method adds, gradients are summed over samples and
// ranks, the optimizer advances.

import Adaptation
import Autograd
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Optimization
import Support
import Tensors

/// What one step reports. Values are those of the global batch, equal on all ranks.
public struct StepRecord {
  /// Steps complete after this one.
  public let completed: Int
  /// Loss terms by name, weighted as they enter the sum.
  public let losses: [(name: String, value: Double)]
  /// Learning rate of the encoder.
  public let learningRate: Double
  /// Share of confident pseudo-labels; nil without a teacher.
  public let confidentShare: Float?
  /// Euclidean norm of the summed gradient.
  public let gradientNorm: Double
  /// Why the optimizer left this step out; nil where it used it.
  public let skipped: String?
  /// Messages of this rank besides those of gradients: statistics, class sets, counts; none where nobody counts.
  public let messages: MessageFigures
  /// Seconds of this rank by phase.
  public var phases: PhaseTimes
  /// Pseudo-labels of this rank's target images; nil without a teacher.
  public let pseudoLabels: PseudoLabels?
  /// Operations recorded on tapes.
  public let operations: Int
  /// What summing gradients over ranks took.
  public let reduction: ReductionFigures
  /// Seconds of this rank from the start of the last backward pass to the finished sum of gradients.
  public let lastPassSeconds: Double
  /// What the run has chosen for itself in this step, in words.
  public let notes: [String]
}

/// A training step of HRDA (Hoyer et al., ECCV 2022) and of its relatives.
public final class TrainingStep {
  /// What the step works with.
  public let parts: StepParts
  private let options: StepOptions
  private let norm: GradientNorm
  private let statistics: KeptStatistics
  private var terms: [LossTerm] = []
  private var phases = PhaseTimes()
  private var operations = 0
  private var notes: [String] = []
  /// Runs since the last backward pass began.
  private var lastPass = Stopwatch()
  private var lastPassSeconds = 0.0
  private var isFirst = true

  /// A step over its parts.
  public init(_ parts: StepParts, _ options: StepOptions) {
    self.parts = parts
    self.options = options
    statistics = KeptStatistics(
      of: [parts.student.parameters.buffers] + (parts.teacher.map { [$0.network.parameters.buffers] } ?? []))
    norm = GradientNorm(parts.optimizer.slices.map { ($0.name, $0.range) })
  }

  /// Runs step number `step` (from 0) on this rank's samples. A collective: called by all ranks with the same number.
  /// - Parameter kept: what to believe of the target images instead of asking the teacher; on all ranks or none.
  /// - Throws: what communication throws; a `Failure` on all ranks if the guard ends the run.
  public func run(_ batch: DomainBatch, step: Int, kept: KeptPseudoLabels? = nil) throws -> StepRecord {
    terms = []
    phases = PhaseTimes()
    operations = 0
    notes = []
    let messagesBefore = messages
    statistics.keep()
    phases.measure("teacher average") {
      parts.teacher?.follow(parts.student, momentum: Float(parts.momentum.momentum(at: step)))
    }
    parts.student.parameters.clearGradients()
    try tuneBuckets()
    try phases.measure("source") { try sourcePass(batch, step) }
    let pseudo = try phases.measure("teacher") {
      try pseudoLabels(batch, kept)
    }
    if let pseudo {
      try phases.measure("mixed") { try mixedPass(batch, pseudo, step) }
      for extra in parts.extraTargetPasses {
        try phases.measure(extra.name) { try extraPass(extra, batch, pseudo, step) }
      }
    }
    let (gradient, gradientNorm) = try phases.measure("reduction") { try sumGradients(step) }
    parts.observer?.summed(gradient)
    let rate = parts.schedule.rate(at: step)
    let losses = try sumLosses()
    let skipped = try judge(losses, gradientNorm, step)
    if skipped == nil {
      phases.measure("optimizer") {
        parts.optimizer.advance(
          parameters: parts.student.parameters.values, gradient: gradient, rate: rate, step: step + 1)
      }
    } else {
      statistics.restore()
    }
    return StepRecord(
      completed: step + 1, losses: losses, learningRate: rate, confidentShare: pseudo?.confidentShare,
      gradientNorm: gradientNorm, skipped: skipped, messages: messages - messagesBefore, phases: phases,
      pseudoLabels: pseudo, operations: operations, reduction: parts.reduction.figures,
      lastPassSeconds: lastPassSeconds, notes: notes)
  }

  private var messages: MessageFigures {
    (parts.share.world as? MeteredCommunicator)?.figures ?? MessageFigures()
  }

  private func pseudoLabels(_ batch: DomainBatch, _ kept: KeptPseudoLabels?) throws -> PseudoLabels? {
    if let kept { return try parts.teacher?.pseudoLabels(kept: kept, valid: batch.validMask, parts.share) }
    return try parts.teacher?.pseudoLabels(batch.targetImage, valid: batch.validMask, parts.share)
  }

  private func sourcePass(_ batch: DomainBatch, _ step: Int) throws {
    let drawn = draws("source", step, batch.sourceLabels, present: [])
    let image = options.augmentSource ? strongAugmentation(batch.sourceImage, drawn) : batch.sourceImage
    let context = trainingContext("source", step)
    let prepared = try parts.featureDistance?.beforeSource(
      image: image, box: drawn.box, network: parts.student, context)
    let output = try parts.student.train(image, box: drawn.box, context)
    parts.observer?.passed(
      ObservedPass(name: "source", image: image, labels: batch.sourceLabels, weights: nil, output: output))
    terms += segmentationLosses(
      output, pass: "source", labels: batch.sourceLabels, weights: nil, box: drawn.box,
      detailWeight: options.detailWeight, context)
    if let term = try parts.featureDistance?.afterSource(
      output, image: image, labels: batch.sourceLabels, box: drawn.box, network: parts.student, prepared: prepared,
      context)
    {
      terms.append(term)
    }
    try walkBack(context, "source")
  }

  private func mixedPass(_ batch: DomainBatch, _ pseudo: PseudoLabels, _ step: Int) throws {
    let present = try classesPresent(batch.sourceLabels, on: parts.share.communicator)
    let drawn = draws("mixed", step, batch.sourceLabels, present: present)
    let mixed = classMix(batch, pseudo, drawn)
    let context = trainingContext("mixed", step)
    let output = try parts.student.train(mixed.image, box: drawn.box, context)
    parts.observer?.passed(
      ObservedPass(name: "mixed", image: mixed.image, labels: mixed.labels, weights: mixed.weights, output: output))
    terms += segmentationLosses(
      output, pass: "mixed", labels: mixed.labels, weights: mixed.weights, box: drawn.box,
      detailWeight: options.detailWeight, context)
    try walkBack(context, "mixed")
  }

  private func extraPass(
    _ extra: any ExtraTargetPass, _ batch: DomainBatch, _ pseudo: PseudoLabels, _ step: Int
  ) throws {
    let context = trainingContext(extra.name, step)
    terms += try extra.losses(
      TargetPass(
        name: extra.name, step: step, batch: batch, pseudo: pseudo, student: parts.student,
        detailWeight: options.detailWeight, context: context, draws: parts.draws, observer: parts.observer))
    try walkBack(context, extra.name)
  }

  /// Walks a pass back. In the last one of the step, gradients that are complete may travel at once.
  private func walkBack(_ context: ForwardContext, _ pass: String) throws {
    operations += context.tape?.recorded ?? 0
    let last = parts.extraTargetPasses.last?.name ?? (parts.teacher == nil ? "source" : "mixed")
    let slots = parts.student.parameters.gradients
    guard parts.teamGradients == nil, pass == last, let slots else {
      context.tape?.walkBack()
      try parts.teamGradients?.passEnded(slots)
      return
    }
    lastPass = Stopwatch()
    parts.reduction.begin(slots, seal: parts.student.parameters.gradientSeal)
    guard parts.overlap.isOn else { return context.tape?.walkBack() ?? () }
    try parts.reduction.whilePolling {
      try context.tape?.walkBack(landed: parts.reduction.landed, passed: parts.reduction.poll)
    }
  }

  private func draws(_ pass: String, _ step: Int, _ labels: LabelMap, present: [UInt8]) -> PassDraws {
    parts.draws.draws(
      DrawRequest(
        pass: pass, step: step, samples: parts.share.samples, height: labels.height, width: labels.width,
        present: present))
  }

  private func trainingContext(_ pass: String, _ step: Int) -> ForwardContext {
    parts.share.context(
      tape: Tape(), normalization: .batch,
      draws: options.stochasticSeed.map { StochasticDraws(seed: $0, step: step, pass: pass) })
  }

  private func tuneBuckets() throws {
    defer { isFirst = false }
    guard isFirst, options.tunesBuckets, parts.teamGradients == nil, let slots = parts.student.parameters.gradients
    else { return }
    if let note = try parts.reduction.tuneBuckets(slots) { notes.append(note) }
  }

  private func sumGradients(_ step: Int) throws -> (sum: Tensor, norm: Double) {
    let sum = try parts.teamGradients?.sum() ?? parts.reduction.finish()
    lastPassSeconds = lastPass.seconds
    if let note = try parts.overlap.stepEnded(seconds: lastPassSeconds) { notes.append(note) }
    return (sum, norm(sum))
  }

  /// Why the step is to be left out; nil if it is not. All ranks see the same numbers and decide alike.
  private func judge(
    _ losses: [(name: String, value: Double)], _ gradientNorm: Double, _ step: Int
  ) throws -> String? {
    switch parts.stepGuard.judge(losses: losses, gradientNorm: gradientNorm) {
    case .use: return nil
    case .skip(let reason): return reason
    case .stop(let reason):
      throw parts.share.communicator.failTogether(
        Failure(
          .internal, reason, at: "step \(step + 1)",
          remedy: "lower optimizer.learningRate or look at the data of this step"))
    }
  }

  private func sumLosses() throws -> [(name: String, value: Double)] {
    let samples = parts.share.samples.count
    let rows = (0..<samples).flatMap { sample in terms.map { $0.perSample[sample] } }
    let sums = try globalSum(rows: rows, samples: samples, count: terms.count, on: parts.share.communicator)
    return zip(terms, sums).map { ($0.name, $1) }
  }
}
