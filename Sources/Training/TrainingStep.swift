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

/// What one pass over the networks is about.
private struct MicroBatch {
  let batch: DomainBatch
  let kept: KeptPseudoLabels?
  /// This rank's share of it.
  let share: BatchShare
}

/// A training step of HRDA (Hoyer et al., ECCV 2022) and of its relatives.
public final class TrainingStep {
  /// What the step works with.
  public let parts: StepParts
  private let options: StepOptions
  private let exchange: GradientExchange
  private let statistics: KeptStatistics
  private var terms: [LossTerm] = []
  private var phases = PhaseTimes()
  private var operations = 0

  /// A step over its parts.
  public init(_ parts: StepParts, _ options: StepOptions) {
    self.parts = parts
    self.options = options
    statistics = KeptStatistics(
      of: [parts.student.parameters.buffers] + (parts.teacher.map { [$0.network.parameters.buffers] } ?? []))
    exchange = GradientExchange(parts, tunesBuckets: options.tunesBuckets)
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
    let messagesBefore = messages
    statistics.keep()
    phases.measure("teacher average") {
      parts.teacher?.follow(parts.student, momentum: Float(parts.momentum.momentum(at: step)))
    }
    parts.student.parameters.clearGradients()
    try exchange.stepBegins()
    var pseudoLabels: [PseudoLabels] = []
    for (index, batch) in batches.enumerated() {
      let micro = MicroBatch(
        batch: batch, kept: kept.isEmpty ? nil : kept[index], share: parts.share.ofMicroBatch(index))
      exchange.microBatchBegins(isLast: index == count - 1)
      if let pseudo = try learn(micro, step) { pseudoLabels.append(pseudo) }
    }
    let (gradient, gradientNorm) = try phases.measure("reduction") { try exchange.sum() }
    parts.observer?.summed(gradient)
    let rate = parts.schedule.rate(at: step)
    let losses = try sumLosses()
    let skipped = try parts.stepGuard.reasonToSkip(
      step: step, losses: losses, gradientNorm: gradientNorm,
      brokenPixels: pseudoLabels.reduce(0) { $0 + $1.brokenPixels }, on: parts.share.communicator)
    if skipped == nil {
      phases.measure("optimizer") {
        parts.optimizer.advance(
          parameters: parts.student.parameters.values, gradient: gradient, rate: rate, step: step + 1)
      }
      if parts.shards != nil { try phases.measure("gather") { try exchange.gatherParameters() } }
    } else {
      statistics.restore()
    }
    let shares = pseudoLabels.map(\.confidentShare)
    return StepRecord(
      completed: step + 1, losses: losses, learningRate: rate,
      confidentShare: shares.isEmpty ? nil : shares.reduce(0, +) / Float(shares.count), gradientNorm: gradientNorm,
      skipped: skipped, messages: messages - messagesBefore, phases: phases, pseudoLabels: pseudoLabels,
      operations: operations, reduction: parts.reduction.figures, backwardSeconds: exchange.backwardSeconds,
      notes: exchange.notes)
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
    let drawn = parts.draws.draws(DrawRequest(pass: "source", step: step, of: batch))
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
    try walkBack(context, "source")
    return terms
  }

  private func mixedPass(_ micro: MicroBatch, _ pseudo: PseudoLabels, _ step: Int) throws -> [LossTerm] {
    let present = try classesPresent(micro.batch.sourceLabels, on: parts.share.communicator)
    let drawn = parts.draws.draws(DrawRequest(pass: "mixed", step: step, of: micro.batch, present: present))
    let mixed = classMix(micro.batch, pseudo, drawn)
    let context = trainingContext("mixed", step, micro)
    let output = try parts.student.train(mixed.image, box: drawn.box, context)
    parts.observer?.passed(
      ObservedPass(name: "mixed", image: mixed.image, labels: mixed.labels, weights: mixed.weights, output: output))
    let terms = segmentationLosses(
      output, pass: "mixed", labels: mixed.labels, weights: mixed.weights, box: drawn.box,
      detailWeight: options.detailWeight, context)
    try walkBack(context, "mixed")
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
    try walkBack(context, extra.name)
    return terms
  }

  private func walkBack(_ context: ForwardContext, _ pass: String) throws {
    guard let tape = context.tape else { return }
    operations += tape.recorded
    try exchange.walkBack(tape, pass)
  }

  private func trainingContext(_ pass: String, _ step: Int, _ micro: MicroBatch) -> ForwardContext {
    micro.share.context(
      tape: exchange.makeTape(), normalization: .batch,
      draws: options.stochasticSeed.map { StochasticDraws(seed: $0, step: step, pass: pass) })
  }

  private func sumLosses() throws -> [(name: String, value: Double)] {
    let samples = parts.share.samples.count
    let rows = (0..<samples).flatMap { sample in terms.map { $0.perSample[sample] } }
    let sums = try globalSum(rows: rows, samples: samples, count: terms.count, on: parts.share.communicator)
    return zip(terms, sums).map { ($0.name, $1) }
  }
}
