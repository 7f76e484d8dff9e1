// One training step, top to bottom: the teacher follows the student; for every micro-batch target images are labelled and
// the student learns pass after pass, those of the host and those that objectives add; gradients are summed over samples
// and ranks, the optimizer advances.

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

/// A training step of HRDA (Hoyer et al., ECCV 2022) and of its relatives: a host's passes with what objectives add.
public final class TrainingStep {
  /// What the step works with.
  public let parts: StepParts
  private let options: StepOptions
  private let exchange: GradientExchange
  private let before: KeptTensors
  private let hostPasses: HostPasses
  private var terms: [LossTerm] = []
  private var phases = PhaseTimes()
  private var operations = 0

  /// A step over its parts.
  public init(_ parts: StepParts, _ options: StepOptions) {
    self.parts = parts
    self.options = options
    before = KeptTensors(
      [parts.student.parameters.buffers] + (parts.teacher.map { [$0.network.parameters.buffers] } ?? [])
        + parts.objectives.flatMap { $0.state.map(\.tensor) } + parts.companions.statistics)
    hostPasses = HostPasses(
      parts.host, augmentsSource: options.augmentSource, mixClasses: options.mixClasses, objectives: parts.objectives)
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
    let messagesBefore = parts.messages
    try begin(step)
    var pseudoLabels: [PseudoLabels] = []
    for (index, batch) in batches.enumerated() {
      exchange.microBatchBegins(isLast: index == count - 1)
      let view = StepView(
        step: step, batch: batch, share: parts.share.ofMicroBatch(index), student: parts.student,
        teacher: parts.teacher, seed: options.seed, draws: parts.draws)
      if let labels = try learn(view, kept: kept.isEmpty ? nil : kept[index]) { pseudoLabels.append(labels) }
    }
    let (gradient, gradientNorm) = try measure("reduction") { try exchange.sum() }
    let companionNorms = try parts.companions.sumGradients(&phases)
    parts.observer?.summed(gradient)
    let losses = try LossTerm.summed(terms, samples: parts.share.samples.count, on: parts.share.communicator)
    let skipped = try parts.stepGuard.reasonToSkip(
      step: step, losses: losses, gradientNorm: gradientNorm, companionNorms: companionNorms,
      brokenPixels: pseudoLabels.reduce(0) { $0 + $1.brokenPixels }, on: parts.share.communicator)
    if skipped == nil { try advance(gradient, step) } else { before.restore() }
    return StepRecord(
      completed: step + 1, losses: losses, learningRate: parts.schedule.rate(at: step), gradientNorm: gradientNorm,
      skipped: skipped, messages: parts.messages - messagesBefore, phases: phases, pseudoLabels: pseudoLabels,
      operations: operations, reduction: parts.reduction.figures, backwardSeconds: exchange.backwardSeconds,
      notes: exchange.notes)
  }

  /// Keeps what a step that is left out puts back; the teacher follows, and nothing has been learned yet.
  private func begin(_ step: Int) throws {
    terms = []
    phases = PhaseTimes()
    operations = 0
    before.keep()
    measure("teacher average") {
      parts.teacher?.follow(parts.student, momentum: Float(parts.momentum.momentum(at: step)))
    }
    parts.student.parameters.clearGradients()
    parts.companions.clearGradients()
    try exchange.stepBegins()
  }

  /// All networks move by their summed gradients, and objectives after them.
  private func advance(_ gradient: Tensor, _ step: Int) throws {
    measure("optimizer") {
      parts.optimizer.advance(
        parameters: parts.student.parameters.values, gradient: gradient, rate: parts.schedule.rate(at: step),
        step: step + 1)
      parts.companions.advance(step: step)
    }
    if parts.shards != nil { try measure("gather") { try exchange.gatherParameters() } }
    for objective in parts.objectives { try objective.finish(step: step) }
  }

  /// Everything that a micro-batch teaches; its gradients are added to the slots. Returns what its target images were
  /// labelled as.
  private func learn(_ micro: StepView, kept: KeptPseudoLabels?) throws -> PseudoLabels? {
    var view = micro
    for objective in parts.objectives { try objective.prepare(&view) }
    if var labels = try measure("teacher", { try labels(view, kept) }) {
      for objective in parts.objectives { try objective.refine(&labels, view) }
      view.labels = labels
    }
    var own: [LossTerm] = []
    let tapes = hostPasses.tapes(at: view.step, with: parts.objectives)
    for (index, passes) in tapes.enumerated() {
      let name = passes.map(\.name).joined(separator: "+")
      own += try measure(name) { try learn(passes, view, isLast: index == tapes.count - 1) }
    }
    terms = LossTerm.added(terms, own)
    return view.labels
  }

  private func labels(_ view: StepView, _ kept: KeptPseudoLabels?) throws -> PseudoLabels? {
    guard let source = parts.labelSource else { return nil }
    return try parts.teacher?.pseudoLabels(
      view, from: source, kept: kept, keeping: parts.sites[Requirements.labellingPass] ?? [])
  }

  /// One tape: the student looks at every view, all ranks learn what losses must know, gradients are walked back.
  private func learn(_ passes: [Pass], _ step: StepView, isLast: Bool) throws -> [LossTerm] {
    let tape = exchange.makeTape()
    var looks: [(pass: String, runs: [StudentRun])] = []
    for pass in passes { looks.append((pass.name, try runs(of: pass, tape, step, isFirst: looks.isEmpty))) }
    let asked = try looks.map { pass, runs in
      try [options.normalisation.statistics(runs)] + parts.objectives.map { try $0.statistics(runs, of: pass, step) }
    }
    var totals = try PassTotals.exchanged(
      asked.flatMap { $0 }, samples: step.share.samples.count, on: step.share.communicator)[...]
    var terms: [LossTerm] = []
    for (pass, runs) in looks {
      terms += try losses(runs, of: pass, Array(totals.prefix(parts.objectives.count + 1)), step)
      totals = totals.dropFirst(parts.objectives.count + 1)
    }
    operations += tape.recorded
    try exchange.walkBack(tape, isLast: isLast)
    return terms
  }

  /// What the student makes of the views of a pass.
  private func runs(of pass: Pass, _ tape: Tape, _ step: StepView, isFirst: Bool) throws -> [StudentRun] {
    var views = try pass.views(step)
    for objective in parts.objectives { try objective.before(&views, of: pass.name, step) }
    return try views.enumerated().map { index, view in
      if index > 0 || !isFirst { tape.divide() }
      return try run(view, of: pass.name, tape, step)
    }
  }

  /// Cross-entropies of a pass, then the terms of objectives, given what was asked for: by the former, then by each.
  private func losses(
    _ runs: [StudentRun], of pass: String, _ totals: [PassTotals], _ step: StepView
  ) throws -> [LossTerm] {
    let asked = Array(zip(parts.objectives, totals.dropFirst()))
    var terms = try runs.flatMap { run in
      try options.crossEntropy(
        run, times: try asked.compactMap { try $0.weights(run, of: pass, $1, step) },
        options.normalisation.labelled(run, totals[0]))
    }
    for (objective, totals) in asked { terms += try objective.losses(runs, of: pass, totals, step) }
    return terms
  }

  private func run(_ view: View, of pass: String, _ tape: Tape, _ step: StepView) throws -> StudentRun {
    var context = step.share.context(
      tape: tape, normalization: .batch,
      draws: options.stochasticSeed.map { StochasticDraws(seed: $0, step: step.step, pass: view.name) })
    context.restyle = view.restyle
    let output = try parts.student.train(
      view.image, boxes: view.detailCrops, crops: view.crops, keeping: parts.sites[pass] ?? [], context)
    parts.observer?.passed(
      ObservedPass(
        name: view.name, image: view.image.value, labels: view.labels, weights: view.weights, output: output))
    return StudentRun(view: view, output: output, context: context)
  }

  /// A phase of the step, for its times and for whoever logs its messages.
  private func measure<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    try parts.share.world.noting(unit: name) { try phases.measure(name, body) }
  }
}
