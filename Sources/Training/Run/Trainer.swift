// What trains a run: how it begins or goes on, and what it saves. The loop itself is in TrainingLoop.swift.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Recipes
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
  let communicator: any Communicator
  let directory: RunDirectory?
  private let store: any CheckpointStore
  private let pseudoLabels: any PseudoLabelStore
  let agreement: ReplicaAgreement
  let say: (String) -> Void
  private(set) var firstStep = 0
  /// Whether the checkpoint that the run goes on from is of a recipe of other weights, until one of this recipe is made.
  private var recipeIsNew = false
  private(set) var keeper: CheckpointKeeper?
  var log: RunLog?
  private(set) var recorder: PseudoLabelRecorder?
  private(set) var pseudoLabelWatch: PseudoLabelWatch?
  var events: EventFile?
  var logging = SideOutput("the log", losing: "lines")
  var drawing = SideOutput("the event file", losing: "steps")
  var time = TrainingTime(after: nil)

  /// A trainer for an assembled experiment.
  ///
  /// - Parameters:
  ///   - experiment: the parts of the run.
  ///   - directory: the run's folder, held by rank 0; nil on other ranks.
  ///   - store: where checkpoints are; rank 0 writes, all ranks read.
  ///   - pseudoLabels: where pseudo-labels are kept, one file per rank.
  ///   - say: prints a line of progress; called on rank 0.
  public init(
    _ experiment: Experiment, directory: RunDirectory?, store: any CheckpointStore,
    pseudoLabels: any PseudoLabelStore, say: @escaping (String) -> Void
  ) {
    self.experiment = experiment
    communicator = experiment.share.world
    self.directory = directory
    self.store = store
    self.pseudoLabels = pseudoLabels
    self.say = communicator.rank == 0 ? say : { _ in }
    agreement = ReplicaAgreement(on: communicator, interval: experiment.recipe.digest.every)
  }

  /// Checks that all ranks mean the same run, takes rank 0's weights, and goes on from the newest good checkpoint if
  /// asked to.
  public func prepare(resume: Bool) throws {
    Activity.prepare("replicas")
    let parameters = experiment.student.parameters
    try agreement.compare([
      ("the recipe", experiment.recipe.withoutPlaces.fingerprint),
      ("the network", ReplicaAgreement.layoutDigest(parameters.slices.map { ($0.name, $0.officialShape) })),
      ("the CPU level", "\(CPULevel.current)"),
    ])
    var visits: Tensor?
    if resume { Activity.prepare("checkpoint") }
    let isResumed = resume ? try restoreNewest(&visits) : false
    Activity.prepare("weights of rank 0")
    try agreement.share(experiment.replicatedState.map(\.tensor))
    experiment.step.parts.stepGuard.takeOver()
    experiment.surveys.takeOver()
    keeper = CheckpointKeeper(
      store, experiment.recipe.checkpoint, on: communicator, completedSteps: firstStep, say: say)
    let firstTeacher = try communicator.broadcastString(experiment.origin.firstTeacher ?? "")
    Activity.prepare("run folder")
    startPseudoLabelWatch()
    if experiment.labelsTarget, experiment.recipe.keepsLabels { try startRecording(firstTeacher, visits) }
    if let note = experiment.recipe.batchRuleNote { say(note) }
    for warning in experiment.labelWarnings { say("warning: \(warning)") }
    if !isResumed { try rehearseEvaluation() }
    try communicator.together {
      guard let directory else { return }
      if !isResumed { try experiment.saveFrozenEncoder(to: directory.layout.frozenEncoder, store: store) }
      let log = try RunLog(directory.layout.log, keepingUpTo: firstStep)
      time = TrainingTime(after: log.last)
      self.log = log
      if firstStep == 0 { try directory.write(experiment.recipe.resolvedYAML, to: directory.layout.recipe) }
      if firstStep == 0 || !recipeIsNew { try directory.keep(experiment.data.identities) }
    }
  }

  /// Goes on from the newest good checkpoint; false if there is none.
  /// - Parameter visits: how often pseudo-labels were used, as rank 0 reads it.
  private func restoreNewest(_ visits: inout Tensor?) throws -> Bool {
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
    try experiment.dealOutMoments(found?.snapshot)
    if let run = found?.snapshot.run { run.warningsOfOtherBits.forEach(say) }
    firstStep = step
    let isNew = try communicator.together {
      try found.map {
        try experiment.recipe.differsInWeights(from: $0.snapshot.run, data: experiment.origin.data, in: $0.file)
      } ?? false
    }
    recipeIsNew = try communicator.orBits(isNew ? 1 : 0) != 0 && step > 0
    say("resuming after step \(step) from \(store.file(step: step))")
    if recipeIsNew {
      say("recipe or data are others than until there: pseudo-labels are begun anew, former ones are kept beside them")
    } else {
      visits = found?.snapshot.tensor(PseudoLabelRecorder.visitsRecord)
    }
    return true
  }

  private func startRecording(_ teacherDigest: String, _ visits: Tensor?) throws {
    let recipe = experiment.recipe
    let holders = (0..<experiment.plan.microBatch).map { Array(experiment.plan.ranks(of: $0)) }
    let images = experiment.targetCount
    let ages = PseudoLabelAges(
      period: recipe.teacher.refresh, images: images, stored: try shared(visits, count: images))
    let origin = PseudoLabelOrigin(
      teacherDigest: teacherDigest, recipeDigest: recipe.weightFingerprint,
      formerRecipeDigest: recipe.formerWeightFingerprint, dataDigest: experiment.data.target?.identity.digest,
      threshold: Float(recipe.teacher.threshold), height: experiment.targetSize.height,
      width: experiment.targetSize.width, rank: communicator.rank, worldSize: communicator.worldSize)
    recorder = try PseudoLabelRecorder(
      pseudoLabels, origin, completedSteps: recipeIsNew ? 0 : firstStep, holders: holders,
      ownSamples: experiment.share.samples,
      ages: ages, classCount: experiment.classes.names.count, on: communicator)
    recorder?.observer = { [pseudoLabelWatch] in pseudoLabelWatch?.saw($0) }
  }

  /// Rank 0's tensor on all ranks; nil where rank 0 has none of that length.
  private func shared(_ values: Tensor?, count: Int) throws -> Tensor? {
    let has = communicator.rank == 0 && values?.count == count
    guard try communicator.orBits(has ? 1 : 0) == 1 else { return nil }
    let result = values.flatMap { has ? $0 : nil } ?? Tensor(zeros: [count])
    try agreement.share([result])
    return result
  }

  private func startPseudoLabelWatch() {
    let recipe = experiment.recipe
    guard experiment.labelsTarget, recipe.watch.pseudoLabels > 0 else { return }
    pseudoLabelWatch = PseudoLabelWatch(
      classes: experiment.classes.names, threshold: Float(recipe.teacher.threshold), every: recipe.watch.pseudoLabels,
      completedSteps: firstStep, on: communicator)
  }

  /// Whether this rank speaks for its samples, which several ranks may hold.
  var answers: Bool { experiment.plan.place == 0 }

  /// Saves the state after some steps. A collective.
  /// - Parameter isLast: waits until it is on disk.
  func save(_ step: Int, isLast: Bool) throws {
    guard let keeper else { preconditionFailure("a run is prepared before it saves") }
    Activity.beside("checkpoint")
    // Entries first: a checkpoint whose pseudo-labels are missing could not be resumed.
    try keeper.save(snapshot(step: step), isLast: isLast, deliver: experiment.deliverMoments) {
      try communicator.together { try reclaimFolder(step) }
      if recipeIsNew {
        try communicator.together {
          try directory?.goOn(with: experiment.recipe, experiment.data.identities, after: firstStep)
        }
      }
      recipeIsNew = false
      try recorder?.publish(completedSteps: step, restartingFrom: keeper.newestSaved)
    }
  }

  /// The state of the run, equal on all ranks.
  func snapshot(step: Int) -> Snapshot {
    let visits = recorder?.visits.map { Snapshot.Record(PseudoLabelRecorder.visitsRecord, $0) }
    return experiment.snapshot(step: step, objectives: visits.map { [$0] } ?? [])
  }

  /// Where somebody deleted the run's folder, makes it anew with what a resumed run needs.
  private func reclaimFolder(_ step: Int) throws {
    guard let directory, try directory.reclaim() else { return }
    say("warning: \(directory.layout.path) was deleted; it is made anew, without earlier checkpoints and log")
    try directory.write(experiment.recipe.resolvedYAML, to: directory.layout.recipe)
    try directory.write(experiment.data.identities)
    try experiment.saveFrozenEncoder(to: directory.layout.frozenEncoder, store: store)
    log = try RunLog(directory.layout.log, keepingUpTo: step)
    events = nil
  }
}
