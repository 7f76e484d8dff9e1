// Everything a run is made of, assembled from a recipe. The same on every rank.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Optimization
import Recipes
import Storage
import Support
import Tensors

/// The parts of a run.
public final class Experiment {
  /// The recipe.
  public let recipe: Recipe
  /// The data sets.
  public let data: RunData
  /// This rank's share of the global batch.
  public let share: BatchShare
  /// How samples are dealt out over ranks.
  public let plan: ShardPlan
  /// Rows and columns of a target image; those of the crop for methods that do not adapt.
  public let targetSize: PixelSize
  /// The step.
  public let step: TrainingStep
  /// The surveys of its objectives.
  let surveys: SurveyRunner
  /// Batches by step number, one for each micro-batch.
  public let loader: SampleLoader
  /// What looks wrong with labels that are new to the run though it is allowed, a line each; the same on every rank.
  public let labelWarnings: [String]

  /// What the run began with, by digest.
  public internal(set) var origin = RunOrigin()

  /// Runs the surveys that are due before a step. A collective; trainers do it before every step.
  /// - Parameters:
  ///   - step: number of the step, from 0.
  ///   - mayGoOn: asked between rounds of images, the same answer on all ranks.
  ///   - say: prints a line.
  /// - Returns: false if they could not go on: the rest is done when they are asked for again.
  @discardableResult
  public func survey(
    before step: Int, while mayGoOn: () throws -> Bool = { true }, say: (String) -> Void = { _ in }
  ) throws -> Bool { try surveys.run(before: step, while: mayGoOn, say: say) }

  /// Classes and palette.
  public var classes: ClassSet { data.classes }
  /// Labelled images to score on; nil if the recipe names none.
  public var validation: (any Dataset)? { data.validation }
  /// Number of target images; 0 for methods that do not adapt.
  public var targetCount: Int { data.target?.count ?? 0 }
  /// The trained network.
  public var student: SegmentationNetwork { step.parts.student }
  /// Its average; nil where no target image is labelled.
  public var teacher: Teacher? { step.parts.teacher }
  /// The encoder that an objective keeps frozen, if one does.
  public var reference: ReferenceEncoder? { step.parts.objectives.lazy.compactMap(\.frozenEncoder).first }

  /// Assembles a run. A collective: a failure on one rank is thrown on all.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - communicator: the ranks.
  ///   - given: the data sets; nil lists those of the recipe.
  ///   - counting: how class pixels of the source labels are come by.
  ///   - checkpoints: reads the files that `init` and `encoder.weights` name; nil where the weights come from a
  ///     checkpoint of the run, as in resuming.
  ///   - look: looks at all files and labels first; nil, as in benchmarks, meets faults where they are read.
  ///   - reductionOrder: rank at each position of the tree that adds gradients; nil, as in every run, is the order of
  ///     ranks. Another one is a control for tests and gives other bits.
  public init(
    _ recipe: Recipe, on communicator: any Communicator, data given: RunData? = nil,
    counting: ClassCounting = ClassCounting(), startingWith checkpoints: (any CheckpointStore)? = nil,
    look: DataLook? = nil, reductionOrder: [Int]? = nil
  ) throws {
    self.recipe = recipe
    ConvolutionMethod.current = recipe.convolution
    plan = try communicator.together { try recipe.shardPlan(on: communicator) }
    let metered = MeteredCommunicator(communicator)
    share = BatchShare(plan, on: metered)
    let parts = (0..<plan.microBatches).map { [share] in share.ofMicroBatch($0).samples }
    let data = try given ?? RunData(recipe, on: communicator)
    self.data = data
    let sets = data.lookedAt(recipe)
    let isNew = try look?.isNew(sets, classCount: data.classes.count, on: communicator)
    if let look, let isNew {
      Activity.prepare("file headers")
      try look.look(at: zip(sets, isNew).filter(\.1).map(\.0), on: communicator)
    }
    Activity.prepare("networks")
    let configuration = recipe.networkConfiguration(classCount: data.classes.count)
    let requirements = recipe.requirements(configuration)
    let student = try SegmentationNetwork(
      configuration, attaching: requirements.heads, gradientSlots: plan.place < 2 ? share.samples.count : 0,
      seed: recipe.seed)
    let teacher =
      requirements.needsLabels
      ? Teacher(
        try SegmentationNetwork(
          configuration, attaching: requirements.heads, gradientSlots: 0, seed: recipe.seed),
        threshold: Float(recipe.teacher.threshold), confidence: recipe.teacher.confidence) : nil
    let reference = recipe.usesFeatureDistance ? try ReferenceEncoder(configuration, seed: recipe.seed) : nil
    // Wrong weights are told before labels are counted, which may take long.
    if let checkpoints {
      Activity.prepare("starting weights")
      try NetworkStart(recipe, student, teacher, reference).take(checkpoints, on: communicator)
    }
    let counts = try counting.counts(
      of: data, recipe, countsClasses: requirements.countsClasses, isNew: isNew, on: communicator)
    let objectives = try communicator.together { [share] in
      try recipe.makeObjectives(configuration, share, reference: reference, sourceClasses: counts.source)
    }
    labelWarnings = try communicator.together { counts.warnings(data.classes, try recipe.scoredAs(data.classes)) }
    look?.remember()
    let checksSizes = isNew == nil && communicator.rank == 0
    (loader, targetSize) = try communicator.together {
      try data.makeLoader(recipe, parts: parts, counts: counts.source, checksSizes: checksSizes)
    }
    origin.data = data.identities.digests
    origin.data[DataIdentities.countsKey] = counts.source?.digest
    let reduction = try GradientReduction(
      on: plan.teamSize > 1 ? RankGroup(plan.counterparts, of: communicator) : communicator,
      method: recipe.reduction.method, bucketBytes: recipe.communication.bucketMB.bytes,
      scatters: recipe.dealsOutMoments(over: communicator.worldSize), order: reductionOrder)
    let teamGradients =
      plan.teamSize > 1
      ? TeamGradients(
        team: RankGroup(Array(plan.team), of: MeteredCommunicator(communicator)), reduction: reduction,
        parameters: student.parameters.values.count) : nil
    let shards = try ArenaShards.of(student.parameters, reduction, teamGradients, on: metered)
    step = TrainingStep(
      StepParts(
        share: share, student: student, teacher: teacher, labelSource: recipe.labels.source,
        host: recipe.method.host, objectives: objectives,
        companions: try StepCompanions(of: objectives, on: share.communicator), sites: requirements.sites,
        draws: SeededDraws(
          seed: recipe.seed, configuration: configuration, augmentation: recipe.augmentation,
          offsetMultiple: student.grid.offsetMultiple),
        reduction: reduction, teamGradients: teamGradients,
        overlap: OverlapTrial(recipe.communication.overlap, isPossible: recipe.allowsOverlap, on: communicator),
        optimizer: recipe.makeOptimizer(student.parameters, owned: shards?.own), shards: shards,
        schedule: recipe.learningRate, momentum: recipe.teacherMomentum,
        stepGuard: StepGuard(recipe.stepGuard.options)),
      StepOptions(
        detailWeight: Float(recipe.network.detailWeight), auxiliaryWeight: Float(recipe.network.auxiliary.weight),
        normalisation: recipe.loss.normalisation, augmentSource: recipe.augmentSource, mixClasses: recipe.mix.classes,
        seed: recipe.seed, stochasticSeed: recipe.seed,
        tunesBuckets: recipe.tunesBuckets))
    surveys = SurveyRunner(objectives, data, student, on: communicator)
    Activity.prepare("digests")
    noteOrigin()
  }
}
