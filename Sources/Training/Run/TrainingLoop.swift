// The loop around the step: log, check replicas, evaluate, save, stop on a signal, sum up.

import Adaptation
import Collectives
import Domains
import Support

extension Trainer {
  /// Trains until `lastStep` steps are complete in total, or a signal asks to stop.
  /// - Parameters:
  ///   - lastStep: completed steps to stop at.
  ///   - watchdog: is told how long steps take.
  public func run(until lastStep: Int, _ watchdog: Watchdog? = nil) throws -> RunOutcome {
    do {
      return try train(until: lastStep, watchdog)
    } catch let failure as Failure where failure == communicator.agreedFailure {
      keeper?.finishAfterFailure()
      throw failure
    }
  }

  private func train(until lastStep: Int, _ watchdog: Watchdog?) throws -> RunOutcome {
    let recipe = experiment.recipe
    if recipe.checkpoint.every > 0 && firstStep + recipe.checkpoint.every <= lastStep {
      keeper?.expect(snapshot(step: firstStep))
    }
    let trace = recipe.trace && firstStep < lastStep ? StepTrace() : nil
    for step in firstStep..<max(firstStep, lastStep) {
      guard try experiment.survey(before: step, while: { try !isAskedToStop() }, say: say) else {
        try save(step, isLast: true)
        return stopped(after: step)
      }
      let isLast = step + 1 == lastStep
      let stops = try conclude(try take(step, watchdog), isLast: isLast)
      if let spans = trace?.stepEnded(isLast: isLast || stops) { try write(trace: spans) }
      if stops, !isLast { return stopped(after: step + 1) }
    }
    guard let matrices = try evaluate() else { return stopped(after: max(firstStep, lastStep)) }
    let summary = try summary(until: max(firstStep, lastStep), matrices)
    return RunOutcome(status: .done, summary: summary, matrices: matrices)
  }

  /// A step that was taken.
  private struct TakenStep {
    let record: StepRecord
    let batches: [DomainBatch]
    let seconds: Double
  }

  /// Takes a step by its number, and compares replicas after it.
  private func take(_ step: Int, _ watchdog: Watchdog?) throws -> TakenStep {
    Activity.begin(step: step + 1)
    let watch = Stopwatch()
    let batches = try KernelMeter.phase("data") {
      try communicator.together { try experiment.loader.batches(step: step) }
    }
    let loading = watch.seconds
    let kept = try KernelMeter.phase("kept labels") {
      try batches.map { try recorder?.kept($0.target?.provenance ?? []) }
    }
    var record = try experiment.step.run(batches, step: step, kept: kept)
    record.phases.add("data", loading)
    record.notes.forEach(say)
    if record.skipped == nil { try note(record.pseudoLabels, batches, step: step) }
    let seconds = watch.seconds
    time.add(seconds)
    watchdog?.stepEnded(seconds: seconds)
    Activity.enter("replicas")
    try agreement.check(step: step + 1, experiment.replicatedState, parts: experiment.replicatedParts(of:))
    return TakenStep(record: record, batches: batches, seconds: seconds)
  }

  /// Logs, saves and evaluates as far as it is time for it. Returns whether a signal has asked to stop.
  private func conclude(_ taken: TakenStep, isLast: Bool) throws -> Bool {
    let (recipe, record) = (experiment.recipe, taken.record)
    let completed = record.completed
    var stops = try isAskedToStop()
    let isDue = recipe.checkpoint.every > 0 && completed % recipe.checkpoint.every == 0
    let isScored =
      recipe.evaluation.every > 0 && completed % recipe.evaluation.every == 0 && !isLast && !stops && !isLost
    let isTold = isLast || stops || recipe.log.includes(completed) || record.skipped != nil
    if isTold, !isScored { try writeLog(record, taken.batches, taken.seconds, nil) }
    try stopIfLost(record)
    // An evaluation may take long: what is saved comes before what is only known.
    let isSaved = isLast || stops || isDue
    if isSaved { try save(completed, isLast: isLast || stops) } else { try keeper?.stepEnded() }
    if isScored {
      let scores = try evaluate()?.mapValues(\.meanIoU)
      stops = try isAskedToStop()
      if isTold || stops { try writeLog(record, taken.batches, taken.seconds, scores) }
      if stops { try isSaved ? keeper?.finish() : save(completed, isLast: true) }
    }
    return stops
  }

  /// Whether a signal has asked one rank to stop.
  private func isAskedToStop() throws -> Bool { try communicator.allMaximum(Int64(StopSignals.pending ?? 0)) != 0 }

  private func stopped(after step: Int) -> RunOutcome {
    say("stopped by a signal after step \(step); go on with --resume")
    return RunOutcome(status: .stopped, summary: nil, matrices: [:])
  }

  /// Records what the teacher said of each micro-batch, and counts what labels there were.
  private func note(_ labels: [PseudoLabels], _ batches: [DomainBatch], step: Int) throws {
    for (pseudo, batch) in zip(labels, batches) {
      if let recorder, !pseudo.areKept {
        Activity.enter("pseudo-labels")
        try recorder.record(pseudo, batch.target?.provenance ?? [], step: step)
      }
      if answers { pseudoLabelWatch?.add(pseudo, source: batch.source?.labels) }
    }
  }
}
