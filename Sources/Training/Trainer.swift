// The loop around the step: resume, log, check replicas, evaluate, save, stop on a signal, sum up.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Storage
import Support
import Tensors

/// How a run ended.
public struct RunOutcome: Sendable {
  /// `.done`, or `.stopped` after a signal.
  public let status: ExitStatus
  /// The figures; nil if the run was stopped.
  public let summary: Summary?
  /// Scores by network name, where the run was evaluated.
  public let matrices: [String: ConfusionMatrix]
}

/// Trains until the last step. Every function is called by all ranks.
public final class Trainer {
  let experiment: Experiment
  private let communicator: any Communicator
  private let directory: RunDirectory?
  private let store: any CheckpointStore
  private let pseudoLabels: any PseudoLabelStore
  private let saver: BackgroundSaver?
  private let agreement: ReplicaAgreement
  private let say: (String) -> Void
  private var firstStep = 0
  private var log: RunLog?
  private var recorder: PseudoLabelRecorder?
  private var events: EventFile?
  private var trainingSeconds = 0.0

  /// A trainer for an assembled experiment.
  ///
  /// - Parameters:
  ///   - directory: the run's folder, held by rank 0; nil on other ranks.
  ///   - store: where checkpoints are; rank 0 writes, all ranks read.
  ///   - pseudoLabels: where pseudo-labels are kept, one file per rank.
  ///   - say: prints a line of progress; called on rank 0.
  public init(
    _ experiment: Experiment, directory: RunDirectory?, store: any CheckpointStore,
    pseudoLabels: any PseudoLabelStore, say: @escaping (String) -> Void
  ) {
    self.experiment = experiment
    communicator = experiment.share.communicator
    self.directory = directory
    self.store = store
    self.pseudoLabels = pseudoLabels
    self.say = communicator.rank == 0 ? say : { _ in }
    let keep = Retention(newest: experiment.recipe.checkpoint.keep)
    saver = communicator.rank == 0 ? BackgroundSaver(store, retention: keep) : nil
    agreement = ReplicaAgreement(on: communicator, interval: experiment.recipe.digest.every)
  }

  /// Checks that all ranks mean the same run, takes rank 0's weights, and goes on from the newest good checkpoint if
  /// asked to.
  public func prepare(resume: Bool) throws {
    let parameters = experiment.student.parameters
    var recipe = experiment.recipe
    // Hosts may differ in cores, so APUS_THREADS may differ too.
    recipe.threads = 0
    try agreement.compare([
      ("the program version", programVersion), ("the recipe", recipe.fingerprint),
      ("the network", ReplicaAgreement.layoutDigest(parameters.slices.map { ($0.name, $0.officialShape) })),
      ("the CPU level", "\(CPULevel.current)"),
    ])
    let isResumed = resume ? try restoreNewest() : false
    try agreement.share(state.map(\.tensor))
    let firstTeacher = try communicator.broadcastString(experiment.origin.firstTeacher ?? "")
    if experiment.teacher != nil, experiment.recipe.teacher.cache { try startRecording(firstTeacher) }
    try communicator.together {
      guard let directory else { return }
      if !isResumed { try experiment.saveFrozenEncoder(to: directory.layout.frozenEncoder, store: store) }
      log = try RunLog(directory.layout.log, keepingUpTo: firstStep)
      events = try EventFile(folder: directory.layout.path)
      if firstStep == 0 { try directory.write(experiment.recipe.resolvedYAML, to: directory.layout.recipe) }
    }
  }

  /// Goes on from the newest good checkpoint; false if there is none.
  private func restoreNewest() throws -> Bool {
    let found = try communicator.together { communicator.rank == 0 ? try store.latest() : nil }
    let step = try communicator.broadcastString(found.map { String($0.snapshot.step) } ?? "")
    guard let step = Int(step) else {
      say("no checkpoint in \(store.folder): starting afresh")
      return false
    }
    for skipped in found?.skipped ?? [] { say("passed over checkpoint of step \(skipped.step): \(skipped.failure)") }
    try communicator.together {
      guard let found else { return }
      try experiment.restore(found.snapshot, from: found.file)
      if let directory {
        try experiment.restoreFrozenEncoder(from: directory.layout.frozenEncoder, store: store)
      }
    }
    if let run = found?.snapshot.run { warnOfChanges(since: run) }
    firstStep = step
    say("resuming after step \(step) from \(store.file(step: step))")
    return true
  }

  /// Bits depend on the CPU level and the libraries: going on with others is allowed, but not silently.
  private func warnOfChanges(since run: RunDescription) {
    let level = "\(CPULevel.current)"
    if run.cpuLevel != level {
      say("warning: the checkpoint was written at CPU level \(run.cpuLevel), this is \(level): bits will differ")
    }
    let versions = matrixLibraryVersions
    for (name, version) in run.libraryVersions.sorted(by: { $0.key < $1.key }) where versions[name] != version {
      say("warning: the checkpoint was written with \(name) \(version), here it is \(versions[name] ?? "none")")
    }
  }

  private func startRecording(_ teacherDigest: String) throws {
    let recipe = experiment.recipe
    let plan = (0..<experiment.share.globalBatch).map { experiment.plan.rank(of: $0) }
    let origin = PseudoLabelOrigin(
      teacherDigest: teacherDigest, recipeDigest: recipe.weightFingerprint, threshold: Float(recipe.teacher.threshold),
      height: experiment.targetSize.height, width: experiment.targetSize.width, rank: communicator.rank,
      worldSize: communicator.worldSize)
    recorder = try PseudoLabelRecorder(
      pseudoLabels, origin, completedSteps: firstStep, plan: plan, on: communicator)
  }

  /// Everything that must be equal on all ranks.
  private var state: [(name: String, tensor: Tensor)] {
    let optimizer = experiment.step.parts.optimizer
    let student = experiment.student.parameters
    var tensors = [
      ("student parameters", student.values), ("student statistics", student.buffers),
      ("first moment", optimizer.firstMoment), ("second moment", optimizer.secondMoment),
    ]
    if let teacher = experiment.teacher?.network.parameters {
      tensors += [("teacher parameters", teacher.values), ("teacher statistics", teacher.buffers)]
    }
    if let frozen = experiment.reference?.parameters {
      tensors += [("frozen encoder", frozen.values), ("frozen encoder's statistics", frozen.buffers)]
    }
    return tensors
  }

  /// Trains until `lastStep` steps are complete in total, or a signal asks to stop.
  public func run(until lastStep: Int) throws -> RunOutcome {
    let recipe = experiment.recipe
    let trace = recipe.trace && firstStep < lastStep ? directory.map { StepTrace($0) } : nil
    for step in firstStep..<max(firstStep, lastStep) {
      let watch = Stopwatch()
      let batch = try KernelMeter.phase("data") {
        try communicator.together { try experiment.loader.batch(step: step) }
      }
      let loading = watch.seconds
      var record = try experiment.step.run(batch, step: step)
      record.phases.add("data", loading)
      record.notes.forEach(say)
      if let recorder, let pseudo = record.pseudoLabels {
        try recorder.record(pseudo, batch.targetProvenance, step: step)
      }
      let seconds = watch.seconds
      trainingSeconds += seconds
      let completed = step + 1
      try agreement.check(step: completed, state)
      let isLast = completed == lastStep
      var scores: [String: Double]?
      if !isLast, recipe.evaluation.every > 0, completed % recipe.evaluation.every == 0 {
        scores = try evaluate().mapValues(\.meanIoU)
      }
      if isLast || recipe.log.includes(completed) { try writeLog(record, seconds, scores) }
      let stops = try communicator.allMaximum(Int64(StopSignals.pending ?? 0)) != 0
      let isDue = recipe.checkpoint.every > 0 && completed % recipe.checkpoint.every == 0
      if recipe.trace { try communicator.together { try trace?.stepEnded(isLast: isLast || stops) } }
      if isLast || stops || isDue { try save(completed, waits: isLast || stops) }
      if stops, !isLast {
        say("stopped by a signal after step \(completed); go on with --resume")
        return RunOutcome(status: .stopped, summary: nil, matrices: [:])
      }
    }
    let matrices = try evaluate()
    return RunOutcome(status: .done, summary: summary(until: max(firstStep, lastStep), matrices), matrices: matrices)
  }

  private func save(_ step: Int, waits: Bool) throws {
    // Entries first: a checkpoint whose pseudo-labels are missing could not be resumed.
    try recorder?.publish(completedSteps: step)
    try communicator.barrier()
    try communicator.together {
      guard let saver else { return }
      try saver.save(experiment.snapshot(step: step))
      if waits { _ = try saver.finish() }
    }
  }

  private func writeLog(_ record: StepRecord, _ seconds: Double, _ scores: [String: Double]?) throws {
    guard let log else { return }
    var values = Dictionary(uniqueKeysWithValues: record.losses)
    if let share = record.confidentShare { values["confident-share"] = Double(share) }
    let images = Double(experiment.share.globalBatch) / seconds
    let entry = LogEntry(
      step: record.completed, losses: values, learningRate: record.learningRate, gradientNorm: record.gradientNorm,
      imagesPerSecond: images,
      seconds: Dictionary(uniqueKeysWithValues: record.phases.seconds.map { ($0.name, $0.seconds) }),
      bytesReduced: experiment.step.parts.reduction.reducedBytes,
      messages: communicator.worldSize > 1 ? record.messages : nil,
      reduction: communicator.worldSize > 1 ? record.reduction : nil, peakMemoryBytes: peakMemoryBytes(), mIoU: scores)
    try log.append(entry)
    try events?.add(entry.scalars, step: entry.step)
    say(
      "step \(record.completed)  "
        + record.losses.map { "\($0.name) \(rounded($0.value, 4))" }.joined(separator: "  ")
        + (record.confidentShare.map { "  confident \(rounded(Double($0), 3))" } ?? "")
        + "  \(rounded(images, 2)) images/s")
  }

  /// Scores of the networks the recipe names, on the validation images; empty if there are none.
  public func evaluate() throws -> [String: ConfusionMatrix] {
    guard let validation = experiment.validation else { return [:] }
    let recipe = experiment.recipe
    let scoredAs = try recipe.scoredAs(experiment.classes)
    let evaluator = Evaluator(validation, scoredAs: scoredAs, on: communicator)
    var matrices: [String: ConfusionMatrix] = [:]
    for (name, network) in networks where recipe.evaluation.includes(name) {
      matrices[name] = try evaluator.evaluate(recipe.predictor(network))
      if let matrix = matrices[name] { say("\(name): mIoU \(rounded(matrix.meanIoU, 2)) %") }
    }
    return matrices
  }

  /// The networks of the run by name.
  var networks: [(name: String, network: SegmentationNetwork)] {
    [("student", experiment.student)] + (experiment.teacher.map { [("teacher", $0.network)] } ?? [])
  }

  private func summary(until step: Int, _ matrices: [String: ConfusionMatrix]) -> Summary {
    let digests = experiment.digests
    let steps = Double(max(step - firstStep, 0) * experiment.share.globalBatch)
    return Summary(
      step: step, worldSize: communicator.worldSize, threads: WorkerPool.shared.threads,
      globalBatch: experiment.share.globalBatch, seconds: trainingSeconds,
      imagesPerSecond: trainingSeconds > 0 ? steps / trainingSeconds : 0, peakMemoryBytes: peakMemoryBytes(),
      student: scores(matrices["student"]), teacher: scores(matrices["teacher"]),
      studentDigest: digests.student, teacherDigest: digests.teacher, optimizerDigest: digests.optimizer,
      reproducibleAcrossRanks: experiment.plan.isReproducible && experiment.recipe.reduction == .reproducible)
  }

  private func scores(_ matrix: ConfusionMatrix?) -> Scores {
    guard let matrix else { return Scores(mIoU: nil, iou: [:]) }
    return matrix.scores(experiment.classes.names)
  }
}

extension LogEntry {
  /// The entry's curves under their TensorBoard tags.
  var scalars: [(tag: String, value: Double)] {
    let curves = losses.map { ("loss/\($0.key)", $0.value) } + (mIoU ?? [:]).map { ("mIoU/\($0.key)", $0.value) }
    let norm = gradientNorm.map { [("gradient-norm", $0)] } ?? []
    return (curves + norm + [("learning-rate", learningRate), ("images-per-second", imagesPerSecond)])
      .sorted { $0.0 < $1.0 }
  }
}

extension ConfusionMatrix {
  /// mIoU and IoU by class name, in percent.
  public func scores(_ names: [String]) -> Scores {
    Scores(mIoU: meanIoU, iou: Dictionary(uniqueKeysWithValues: zip(names, iou)))
  }
}

extension Recipe.Evaluation {
  /// Whether a network is evaluated.
  func includes(_ name: String) -> Bool { network == .both || network.rawValue == name }
}

extension Recipe {
  /// The sliding windows of the recipe over a network.
  public func predictor(_ network: SegmentationNetwork) -> Predictor {
    Predictor(
      network, crop: (height: evaluation.crop.height, width: evaluation.crop.width),
      stride: (height: evaluation.stride.height, width: evaluation.stride.width))
  }
}

/// A number with a fixed count of decimals.
func rounded(_ value: Double, _ decimals: Int) -> String {
  guard value.isFinite else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let digits = String(Int((abs(value) * scale).rounded()))
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  let sign = value < 0 && padded.contains(where: { $0 != "0" }) ? "-" : ""
  return decimals == 0 ? sign + padded : "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
}
