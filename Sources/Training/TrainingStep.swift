// One training step, top to bottom: the teacher follows the student; for every micro-batch the student learns from
// labelled source images, from mixed images that the teacher labelled and from what the method adds; gradients are
// summed over samples and ranks, the optimizer advances.

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
  /// Loss terms by name, weighted as they enter the sum: means over micro-batches.
  public let losses: [(name: String, value: Double)]
  /// Learning rate of the encoder.
  public let learningRate: Double
  /// Share of confident pseudo-labels, the mean over micro-batches; nil without a teacher.
  public let confidentShare: Float?
  /// Euclidean norm of the summed gradient.
  public let gradientNorm: Double
  /// Why the optimizer left this step out; nil where it used it.
  public let skipped: String?
  /// Messages of this rank besides those of gradients: statistics, class sets, counts; none where nobody counts.
  public let messages: MessageFigures
  /// Seconds of this rank by phase.
  public var phases: PhaseTimes
  /// Pseudo-labels of this rank's target images in each micro-batch; none without a teacher.
  public let pseudoLabels: [PseudoLabels]
  /// Operations recorded on tapes.
  public let operations: Int
  /// What summing gradients over ranks took.
  public let reduction: ReductionFigures
  /// Seconds of this rank in backward passes and the sum of gradients.
  public let backwardSeconds: Double
  /// What the run has chosen for itself in this step, in words.
  public let notes: [String]

  /// Share of micro-batches whose pseudo-labels an earlier pass of the teacher made; nil without a teacher.
  public var keptShare: Double? {
    pseudoLabels.isEmpty ? nil : Double(pseudoLabels.count { $0.areKept }) / Double(pseudoLabels.count)
  }
}

/// What one pass over the networks is about.
private struct MicroBatch {
  let batch: DomainBatch
  let kept: KeptPseudoLabels?
  /// This rank's share of it.
  let share: BatchShare
  /// Whether gradients are complete after it.
  let isLast: Bool
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
  private var backwardSeconds = 0.0
  /// Weight gradients left for the end of the step.
  private let deferred = DeferredGradients()
  private var deferrableBytes = 0
  private var isFirst = true

  /// Weight gradients are deferred where what they hold takes at most so much memory, in gradient slots.
  ///
  /// It holds activations, which grow with the crop, while the time that gradients travel grows with the slot: where more
  /// is held, the walk back is long enough without.
  private static let deferredSlots = 3

  /// A step over its parts.
  public init(_ parts: StepParts, _ options: StepOptions) {
    self.parts = parts
    self.options = options
    statistics = KeptStatistics(
      of: [parts.student.parameters.buffers] + (parts.teacher.map { [$0.network.parameters.buffers] } ?? []))
    norm = GradientNorm(parts.optimizer.slices.map { ($0.name, $0.range) }, shards: parts.shards)
  }

  /// Runs step number `step` (from 0) on this rank's samples of a batch that is not cut. See below.
  public func run(_ batch: DomainBatch, step: Int, kept: KeptPseudoLabels? = nil) throws -> StepRecord {
    try run([batch], step: step, kept: [kept])
  }

  /// Runs step number `step` (from 0) on this rank's samples of each micro-batch, one after the other: their gradients are
  /// added up, and what the passes hold is as large as one of them. A collective: called by all ranks with the same
  /// number.
  /// - Parameters:
  ///   - batches: as many as the share has micro-batches.
  ///   - step: number of the step.
  ///   - kept: for each, what to believe of the target images instead of asking the teacher; on all ranks or none. Empty:
  ///     the teacher is asked for all.
  /// - Throws: what communication throws; a `Failure` on all ranks if the guard ends the run.
  public func run(_ batches: [DomainBatch], step: Int, kept: [KeptPseudoLabels?] = []) throws -> StepRecord {
    let count = parts.share.microBatches
    precondition(
      batches.count == count && (kept.isEmpty || kept.count == count),
      "\(batches.count) batches and \(kept.count) kept labels for \(count) micro-batches")
    terms = []
    phases = PhaseTimes()
    operations = 0
    backwardSeconds = 0
    deferrableBytes = 0
    notes = []
    let messagesBefore = messages
    statistics.keep()
    phases.measure("teacher average") {
      parts.teacher?.follow(parts.student, momentum: Float(parts.momentum.momentum(at: step)))
    }
    parts.student.parameters.clearGradients()
    try tuneBuckets()
    var pseudoLabels: [PseudoLabels] = []
    for (index, batch) in batches.enumerated() {
      let micro = MicroBatch(
        batch: batch, kept: kept.isEmpty ? nil : kept[index], share: parts.share.ofMicroBatch(index),
        isLast: index == count - 1)
      if let pseudo = try learn(micro, step) { pseudoLabels.append(pseudo) }
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
      try gatherParameters()
    } else {
      statistics.restore()
    }
    let shares = pseudoLabels.map(\.confidentShare)
    return StepRecord(
      completed: step + 1, losses: losses, learningRate: rate,
      confidentShare: shares.isEmpty ? nil : shares.reduce(0, +) / Float(shares.count), gradientNorm: gradientNorm,
      skipped: skipped, messages: messages - messagesBefore, phases: phases, pseudoLabels: pseudoLabels,
      operations: operations, reduction: parts.reduction.figures, backwardSeconds: backwardSeconds, notes: notes)
  }

  /// All passes over a micro-batch, whose gradients are added to the slots.
  private func learn(_ micro: MicroBatch, _ step: Int) throws -> PseudoLabels? {
    precondition(micro.batch.samples == micro.share.samples, "\(micro.batch.samples) for \(micro.share.samples)")
    var own = try phases.measure("source") { try sourcePass(micro, step) }
    let pseudo = try phases.measure("teacher") { try pseudoLabels(micro) }
    if let pseudo {
      own += try phases.measure("mixed") { try mixedPass(micro, pseudo, step) }
      for extra in parts.extraTargetPasses {
        own += try phases.measure(extra.name) { try extraPass(extra, micro, pseudo, step) }
      }
    }
    terms = LossTerm.added(terms, own)
    return pseudo
  }

  private var messages: MessageFigures {
    (parts.share.world as? MeteredCommunicator)?.figures ?? MessageFigures()
  }

  private func pseudoLabels(_ micro: MicroBatch) throws -> PseudoLabels? {
    let (batch, share) = (micro.batch, micro.share)
    if let kept = micro.kept { return try parts.teacher?.pseudoLabels(kept: kept, valid: batch.validMask, share) }
    return try parts.teacher?.pseudoLabels(batch.targetImage, valid: batch.validMask, share)
  }

  private func sourcePass(_ micro: MicroBatch, _ step: Int) throws -> [LossTerm] {
    let batch = micro.batch
    let drawn = draws("source", step, batch, present: [])
    let image = options.augmentSource ? strongAugmentation(batch.sourceImage, drawn) : batch.sourceImage
    let context = trainingContext("source", step, micro)
    let prepared = try parts.featureDistance?.beforeSource(
      image: image, box: drawn.box, network: parts.student, context)
    let output = try parts.student.train(image, box: drawn.box, context)
    parts.observer?.passed(
      ObservedPass(name: "source", image: image, labels: batch.sourceLabels, weights: nil, output: output))
    var terms = segmentationLosses(
      output, pass: "source", labels: batch.sourceLabels, weights: nil, box: drawn.box,
      detailWeight: options.detailWeight, context)
    if let term = try parts.featureDistance?.afterSource(
      output, image: image, labels: batch.sourceLabels, box: drawn.box, network: parts.student, prepared: prepared,
      context)
    {
      terms.append(term)
    }
    try walkBack(context, "source", micro)
    return terms
  }

  private func mixedPass(_ micro: MicroBatch, _ pseudo: PseudoLabels, _ step: Int) throws -> [LossTerm] {
    let present = try classesPresent(micro.batch.sourceLabels, on: parts.share.communicator)
    let drawn = draws("mixed", step, micro.batch, present: present)
    let mixed = classMix(micro.batch, pseudo, drawn)
    let context = trainingContext("mixed", step, micro)
    let output = try parts.student.train(mixed.image, box: drawn.box, context)
    parts.observer?.passed(
      ObservedPass(name: "mixed", image: mixed.image, labels: mixed.labels, weights: mixed.weights, output: output))
    let terms = segmentationLosses(
      output, pass: "mixed", labels: mixed.labels, weights: mixed.weights, box: drawn.box,
      detailWeight: options.detailWeight, context)
    try walkBack(context, "mixed", micro)
    return terms
  }

  private func extraPass(
    _ extra: any ExtraTargetPass, _ micro: MicroBatch, _ pseudo: PseudoLabels, _ step: Int
  ) throws -> [LossTerm] {
    let context = trainingContext(extra.name, step, micro)
    let terms = try extra.losses(
      TargetPass(
        name: extra.name, step: step, batch: micro.batch, pseudo: pseudo, student: parts.student,
        detailWeight: options.detailWeight, context: context, draws: parts.draws, observer: parts.observer))
    try walkBack(context, extra.name, micro)
    return terms
  }

  /// Walks a pass back. In the last one of the step, gradients that are complete may travel at once.
  private func walkBack(_ context: ForwardContext, _ pass: String, _ micro: MicroBatch) throws {
    guard let tape = context.tape else { return }
    let watch = Stopwatch()
    defer {
      backwardSeconds += watch.seconds
      if micro.isLast { deferrableBytes += tape.deferrableBytes }
    }
    operations += tape.recorded
    let last = parts.extraTargetPasses.last?.name ?? (parts.teacher == nil ? "source" : "mixed")
    let slots = parts.student.parameters.gradients
    guard parts.teamGradients == nil, micro.isLast, pass == last, let slots else {
      tape.walkBack()
      try parts.teamGradients?.passEnded(slots)
      return
    }
    parts.reduction.begin(slots, seal: parts.student.parameters.gradientSeal)
    guard parts.overlap.mode != .after else { return tape.walkBack() }
    try parts.reduction.whilePolling {
      try tape.walkBack(landed: parts.reduction.landed, passed: parts.reduction.poll)
      try deferred.run(landed: parts.reduction.landed, passed: parts.reduction.poll)
    }
  }

  private func draws(_ pass: String, _ step: Int, _ batch: DomainBatch, present: [UInt8]) -> PassDraws {
    parts.draws.draws(
      DrawRequest(
        pass: pass, step: step, microBatch: batch.microBatch, samples: batch.samples, height: batch.sourceLabels.height,
        width: batch.sourceLabels.width, present: present))
  }

  private func trainingContext(_ pass: String, _ step: Int, _ micro: MicroBatch) -> ForwardContext {
    micro.share.context(
      tape: Tape(deferring: micro.isLast && parts.overlap.mode == .deferring ? deferred : nil), normalization: .batch,
      draws: options.stochasticSeed.map { StochasticDraws(seed: $0, step: step, pass: pass) })
  }

  private func tuneBuckets() throws {
    defer { isFirst = false }
    guard isFirst, options.tunesBuckets, parts.teamGradients == nil, let slots = parts.student.parameters.gradients
    else { return }
    if let note = try parts.reduction.tuneBuckets(slots) { notes.append(note) }
  }

  private func sumGradients(_ step: Int) throws -> (sum: Tensor, norm: Double) {
    let watch = Stopwatch()
    let sum = try parts.teamGradients?.sum() ?? parts.reduction.finish()
    backwardSeconds += watch.seconds
    let slots = parts.student.parameters.gradients?.count ?? 0
    let mayDefer = deferrableBytes > 0 && deferrableBytes <= TrainingStep.deferredSlots * 4 * slots
    if let note = try parts.overlap.stepEnded(seconds: backwardSeconds, mayDefer: mayDefer) { notes.append(note) }
    return (sum, try parts.shards.map { try norm(sum, dealtOut: $0) } ?? norm(sum))
  }

  /// Tells all ranks the parameters that their owners have advanced.
  private func gatherParameters() throws {
    guard parts.shards != nil else { return }
    let values = parts.student.parameters.values
    try phases.measure("gather") {
      if let team = parts.teamGradients { try team.gather(values) } else { try parts.reduction.gather(values) }
    }
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
