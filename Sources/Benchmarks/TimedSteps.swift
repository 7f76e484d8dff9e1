// What can be timed step by step: the random work of a benchmark case, or a recipe with its data.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Recipes
import Storage
import Support
import Tensors
import Training

/// Training steps that are run one by one and say what they took.
public protocol TimedSteps: AnyObject {
  /// Parameters of the student.
  var parameterCount: Int { get }
  /// Digest of the student as it is: equal for layouts of one global batch after as many steps.
  var studentDigest: String { get }
  /// Runs one step and says what it took. Called by all ranks.
  /// - Throws: what a step throws.
  func once() throws -> StepBenchmark.Sample
  /// Starts a log of the messages of the steps to come, or ends it; see `MeteredCommunicator.listen`.
  @discardableResult
  func listen(_ listens: Bool) -> MessageLog?
}

extension StepBenchmark: TimedSteps {}

extension TimedSteps {
  /// Operations of matrix products and convolutions of this rank in one further step. Called by all ranks.
  public func countedOperations() throws -> Int {
    KernelMeter.start(workers: WorkerPool.shared.threads - 1)
    let outcome = Result { try once() }
    let lanes = KernelMeter.stop()
    _ = try outcome.get()
    return MeterProfile(lanes[0]).families.values.reduce(0) { $0 + $1.operations }
  }
}

/// Steps of a recipe from drawn weights, as in training but for log, checks of replicas, checkpoints and evaluation.
public final class RecipeSteps: TimedSteps {
  private let experiment: Experiment
  private let recorder: PseudoLabelRecorder?
  /// The batches of every step where they are held in memory; nil where the loader makes them.
  private let held: [DomainBatch]?
  private var number = 0

  /// Assembles a recipe. A collective: a failure on one rank is thrown on all.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - loads: whether every step loads its own samples; else all work on those of the first, held in memory.
  ///   - classIndex: class counts of the source labels, which are else counted where somebody needs them.
  ///   - caches: opens the folder of cached labels; nil where none can be read.
  ///   - communicator: the ranks.
  /// - Throws: what assembling a run throws; `Failure` 65 for labels that come back from a disk.
  public init(
    _ recipe: Recipe, loads: Bool, classIndex: String? = nil, caches: ((String) -> any PseudoLabelStore)? = nil,
    on communicator: any Communicator
  ) throws {
    try communicator.together {
      guard !recipe.keepsLabels || recipe.teacher.refresh == 0 else {
        throw Failure(
          .badData, "takes labels back from its pseudo-label cache, which is not timed", at: "teacher.refresh",
          remedy: "time it with teacher.refresh: 0")
      }
    }
    let data = try RunData(recipe, on: communicator, caches: caches)
    let experiment = try Experiment(
      recipe, on: communicator, data: data, counting: ClassCounting(orReadFrom: classIndex))
    self.experiment = experiment
    recorder =
      experiment.teacher != nil && recipe.keepsLabels
      ? try RecipeSteps.recorder(experiment, on: communicator) : nil
    held = loads ? nil : try communicator.together { try experiment.loader.batches(step: 0) }
  }

  private static func recorder(
    _ experiment: Experiment, on communicator: any Communicator
  ) throws -> PseudoLabelRecorder {
    let origin = PseudoLabelOrigin(
      teacherDigest: "", recipeDigest: "", threshold: Float(experiment.recipe.teacher.threshold),
      height: experiment.targetSize.height, width: experiment.targetSize.width, rank: communicator.rank,
      worldSize: communicator.worldSize)
    let plan = experiment.plan
    return try PseudoLabelRecorder(
      ForgetfulStore(), origin, completedSteps: 0, holders: (0..<plan.microBatch).map { Array(plan.ranks(of: $0)) },
      ownSamples: experiment.share.samples, ages: PseudoLabelAges(period: 0, images: experiment.targetCount),
      classCount: experiment.classes.names.count, on: communicator)
  }

  /// Parameters of the student.
  public var parameterCount: Int { experiment.student.parameters.values.count }

  /// Digest of the student as it is.
  public var studentDigest: String { experiment.student.parameters.digest() }

  private var world: any Communicator { experiment.share.world }

  /// Starts a log of the messages of the steps to come, or ends it.
  @discardableResult
  public func listen(_ listens: Bool) -> MessageLog? { (world as? MeteredCommunicator)?.listen(listens) }

  /// Runs one step and says what it took. Called by all ranks.
  public func once() throws -> StepBenchmark.Sample {
    var sample = StepBenchmark.Sample()
    let faults = minorPageFaults()
    let watch = Stopwatch()
    var times = PhaseTimes()
    try world.noting(unit: "survey") {
      _ = try times.measure("survey") { try experiment.survey(before: number) }
    }
    let batches = try world.noting(unit: "data") {
      try times.measure("data") {
        try held ?? world.together { try experiment.loader.batches(step: number) }
      }
    }
    let record = try experiment.step.run(batches, step: number)
    try world.noting(unit: "pseudo-labels") {
      try times.measure("pseudo-labels") {
        for (pseudo, batch) in zip(record.pseudoLabels, batches) where !pseudo.areKept {
          try recorder?.record(pseudo, batch.target?.provenance ?? [], step: number)
        }
      }
    }
    for phase in record.phases.seconds { times.add(phase.name, phase.seconds) }
    number += 1
    sample.seconds = watch.seconds
    sample.phases = times
    sample.operations = record.operations
    sample.reduction = record.reduction
    sample.messages = record.messages
    sample.backwardSeconds = record.backwardSeconds
    sample.pageFaults = minorPageFaults() - faults
    return sample
  }
}
