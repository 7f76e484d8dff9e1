// What a trainer tells about its steps: the log, the trace, the summary; and the end of a run whose numbers are lost.

import Collectives
import DataParallel
import Domains
import Support
import Tensors

extension Trainer {
  /// Adds a line to the log. Called by all ranks, which compare their speed for it.
  func writeLog(
    _ record: StepRecord, _ batches: [DomainBatch], _ seconds: Double, _ scores: [String: Double]?
  ) throws {
    let waiting = record.messages.seconds + experiment.step.parts.reduction.figures.exposedSeconds
    let straggler = communicator.worldSize > 1 ? try Straggler(seconds - waiting, on: communicator) : nil
    let pseudoLabels = try pseudoLabelWatch?.figures(completed: record.completed)
    let skipped = try record.skipped.map { try SkippedStep($0, batches, on: communicator) }
    guard let log else { return }
    var values = Dictionary(uniqueKeysWithValues: record.losses)
    if let share = record.confidentShare { values["confident-share"] = Double(share) }
    if experiment.recipe.teacher.refresh > 0 { values["labels-kept"] = record.keptShare }
    let images = Double(experiment.plan.globalBatch) / seconds
    var entry = LogEntry(
      step: record.completed, losses: values, learningRate: record.learningRate, gradientNorm: record.gradientNorm,
      imagesPerSecond: images,
      seconds: Dictionary(uniqueKeysWithValues: record.phases.seconds.map { ($0.name, $0.seconds) }),
      bytesReduced: record.reduction.bytes,
      messages: communicator.worldSize > 1 ? record.messages : nil,
      reduction: communicator.worldSize > 1 ? record.reduction : nil, peakMemoryBytes: peakMemoryBytes(), mIoU: scores)
    entry.trainingSeconds = time.seconds
    entry.straggler = straggler
    entry.pseudoLabels = pseudoLabels
    entry.skipped = skipped
    keep(entry, in: log)
    say(
      "step \(record.completed)  "
        + record.losses.map { "\($0.name) \(rounded($0.value, 4))" }.joined(separator: "  ")
        + (record.confidentShare.map { "  confident \(rounded(Double($0), 3))" } ?? "")
        + "  \(rounded(images, 2)) images/s")
    if let skipped { say("warning: step \(record.completed) is left out: \(skipped.reason)") }
  }

  /// Adds the entry to the log and its curves to the event file, which is made for the first of them.
  private func keep(_ entry: LogEntry, in log: RunLog) {
    logging.attempt(say) { try log.append(entry) }
    guard let folder = directory?.layout.path else { return }
    drawing.attempt(say) {
      let file = try events ?? EventFile(folder: folder, after: firstStep)
      events = file
      try file.add(entry.scalars, step: entry.step)
    }
  }

  /// Whether too many steps in a row were left out.
  var isLost: Bool {
    let limit = experiment.recipe.stepGuard.stopAfter
    return limit > 0 && experiment.step.parts.stepGuard.skippedInARow >= limit
  }

  /// Ends the run on all ranks where it is lost.
  func stopIfLost(_ record: StepRecord) throws {
    let count = experiment.step.parts.stepGuard.skippedInARow
    guard let reason = record.skipped, isLost else { return }
    throw communicator.failTogether(
      Failure(
        .internal, "\(count) steps in a row were left out, this one because \(reason)", at: "step \(record.completed)",
        remedy: "log.jsonl names their samples; lower optimizer.learningRate or look at the data"))
  }

  /// Writes one trace of all ranks. Called by all ranks.
  func write(trace spans: [[MeterSpan]]) throws {
    Activity.beside("trace")
    let text = try mergedTrace(spans, on: communicator)
    try communicator.together {
      if let directory { try directory.write(text, to: directory.layout.trace) }
    }
  }

  /// The figures of the run up to a step. Called by all ranks.
  func summary(until step: Int, _ matrices: [String: ConfusionMatrix]) throws -> Summary {
    let digests = try experiment.digests
    let images = Double(time.steps * experiment.plan.globalBatch)
    return Summary(
      step: step, worldSize: communicator.worldSize, threads: WorkerPool.shared.threads,
      globalBatch: experiment.plan.globalBatch, seconds: time.seconds,
      imagesPerSecond: time.seconds > 0 ? images / time.seconds : 0, peakMemoryBytes: peakMemoryBytes(),
      student: scores(matrices["student"]), teacher: scores(matrices["teacher"]),
      studentDigest: digests.student, teacherDigest: digests.teacher, optimizerDigest: digests.optimizer,
      objectiveDigest: digests.objective,
      reproducibleAcrossRanks: experiment.plan.isReproducible && experiment.recipe.reduction == .reproducible)
  }

  private func scores(_ matrix: ConfusionMatrix?) -> Scores {
    guard let matrix else { return Scores(mIoU: nil, iou: [:]) }
    return matrix.scores(experiment.classes.names)
  }
}

/// Something that is written while a run trains, and that it does not end for: says when writing begins to fail, and what
/// is missing once it succeeds again.
struct SideOutput {
  /// What is written, and what of it a failure loses.
  let name: String
  let part: String
  private var lost = 0

  /// - Parameters:
  ///   - name: what is written, such as `the log`.
  ///   - part: what a failure loses, such as `lines`.
  init(_ name: String, losing part: String) {
    self.name = name
    self.part = part
  }

  /// Writes one part, or counts it as lost.
  mutating func attempt(_ say: (String) -> Void, _ write: () throws -> Void) {
    do {
      try write()
      if lost > 0 { say("\(name) can be written again; \(lost) \(part) are missing") }
      lost = 0
    } catch {
      if lost == 0 { say("warning: \(error); training goes on") }
      lost += 1
    }
  }
}

extension LogEntry {
  /// The entry's curves under their TensorBoard tags.
  var scalars: [(tag: String, value: Double)] {
    let curves = losses.map { ("loss/\($0.key)", $0.value) } + (mIoU ?? [:]).map { ("mIoU/\($0.key)", $0.value) }
    let others = [
      ("gradient-norm", gradientNorm), ("straggler-ratio", straggler?.ratio),
      ("pseudo-labels/distance", pseudoLabels?.distance), ("pseudo-labels/agreement", pseudoLabels?.agreement),
    ].compactMap { tag, value in value.map { (tag, $0) } }
    return (curves + others + [("learning-rate", learningRate), ("images-per-second", imagesPerSecond)])
      .sorted { $0.0 < $1.0 }
  }
}
