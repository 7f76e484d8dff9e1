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
  /// Classes and palette.
  public let classes: ClassSet
  /// This rank's share of the global batch.
  public let share: BatchShare
  /// How samples are dealt out over ranks.
  public let plan: ShardPlan
  /// Rows and columns of a target image.
  public let targetSize: PixelSize
  /// Number of target images.
  public let targetCount: Int
  /// The step.
  public let step: TrainingStep
  /// Batches by step number, one for each micro-batch.
  public let loader: SampleLoader
  /// Labelled images to score on; nil if the recipe names none.
  public let validation: (any Dataset)?

  /// What the run began with, by digest.
  public internal(set) var origin = RunOrigin()

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
  ///   - checkpoints: reads the files that `init` and `encoder.weights` name; nil where the weights come from a
  ///     checkpoint of the run, as in resuming.
  ///   - reductionOrder: rank at each position of the tree that adds gradients; nil, as in every run, is the order of
  ///     ranks. Another one is a control for tests and gives other bits.
  public init(
    _ recipe: Recipe, on communicator: any Communicator, startingWith checkpoints: (any CheckpointStore)? = nil,
    reductionOrder: [Int]? = nil
  ) throws {
    self.recipe = recipe
    ConvolutionMethod.current = recipe.convolution
    plan = try communicator.together {
      try recipe.checkAbilities()
      return try ShardPlan(
        globalBatch: recipe.batch.global, microBatches: recipe.batch.accumulate, cropShards: recipe.batch.cropShards,
        on: communicator)
    }
    let metered = MeteredCommunicator(communicator)
    share = BatchShare(plan, on: metered)
    let parts = (0..<plan.microBatches).map { [share] in share.ofMicroBatch($0).samples }
    (classes, loader, validation, targetSize, targetCount) = try communicator.together {
      try Experiment.makeData(recipe, parts: parts, checksSizes: communicator.rank == 0)
    }
    Activity.prepare("networks")
    let configuration = recipe.networkConfiguration(classCount: classes.count)
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
    let objectives = try communicator.together { try recipe.makeObjectives(configuration) }
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
        share: share, student: student, teacher: teacher, host: recipe.method.host, objectives: objectives,
        sites: requirements.sites,
        draws: SeededDraws(
          seed: recipe.seed, configuration: configuration, augmentation: recipe.augmentation,
          offsetMultiple: student.grid.offsetMultiple),
        reduction: reduction, teamGradients: teamGradients,
        overlap: OverlapTrial(recipe.communication.overlap, isPossible: recipe.allowsOverlap, on: communicator),
        optimizer: recipe.makeOptimizer(student.parameters, owned: shards?.own), shards: shards,
        schedule: recipe.learningRate, momentum: TeacherMomentum(alpha: recipe.scaledMomentum),
        stepGuard: StepGuard(recipe.stepGuard.options)),
      StepOptions(
        detailWeight: Float(recipe.network.detailWeight), augmentSource: recipe.augmentSource, seed: recipe.seed,
        stochasticSeed: recipe.seed, tunesBuckets: recipe.tunesBuckets))
    if let checkpoints {
      Activity.prepare("starting weights")
      try takeStartingWeights(checkpoints)
    }
    Activity.prepare("digests")
    noteOrigin()
  }

  private static func makeData(
    _ recipe: Recipe, parts: [Range<Int>], checksSizes: Bool
  ) throws -> (ClassSet, SampleLoader, (any Dataset)?, PixelSize, Int) {
    Activity.prepare("data")
    let classes = try recipe.classSet()
    let host = recipe.method.host
    let source = host.hasSource ? try recipe.data.source?.make(classes, withLabels: true) : nil
    let adapts =
      host.hasTarget || recipe.requirements(recipe.networkConfiguration(classCount: classes.count)).needsLabels
    let target = adapts ? try recipe.data.target?.make(classes, withLabels: false) : nil
    guard source != nil || !host.hasSource else {
      throw Failure(.badData, "the recipe names no source data", at: "data.source", remedy: "add data.source")
    }
    guard target != nil || !adapts else {
      throw Failure(.badData, "the method needs target images", at: "data.target", remedy: "add data.target")
    }
    let rare = recipe.rareClassSampling
    Activity.prepare("class index")
    let sampler = try source.flatMap { source in
      rare.enabled
        ? try RareClassSampler(
          try ClassStatistics(of: source, classCount: classes.count),
          RareClassOptions(
            temperature: rare.temperature, minimumPixels: rare.minimumPixels,
            minimumCropPixels: rare.minimumCropPixels),
          classNames: classes.names) : nil
    }
    Activity.prepare("data")
    if let target, recipe.teacher.cache, checksSizes { try requireOneSize(target) }
    let margins = recipe.data.target.map {
      ImageMargins(top: $0.margins.top, bottom: $0.margins.bottom, left: $0.margins.left, right: $0.margins.right)
    }
    let loader = try SampleLoader(
      source: source, target: target, sampler: sampler,
      options: SampleLoader.Options(
        rules: CropRules(
          crop: recipe.crop.size,
          dominantShare: recipe.crop.maximumShare, redraws: recipe.crop.tries),
        flipProbability: Float(recipe.crop.flip), seed: recipe.seed, parts: parts,
        margins: margins == ImageMargins(top: 0, bottom: 0, left: 0, right: 0) ? nil : margins,
        checksSizes: checksSizes))
    let validation = try recipe.data.validation?.make(classes, withLabels: true)
    return (classes, loader, validation, try target?.size(0) ?? recipe.crop.size, target?.count ?? 0)
  }
}

/// Makes sure that the pseudo-label cache, which has one size for all images, can hold those of a data set.
/// - Throws: `Failure` 65 that names the first image of another size than the first one.
func requireOneSize(_ target: any Dataset) throws {
  let first = try target.size(0)
  for index in 1..<max(target.count, 1) {
    let size = try target.size(index)
    guard size != first else { continue }
    throw Failure(
      .badData, "image is \(size), \(target.place(0)) is \(first); pseudo-labels are kept for images of one size",
      at: target.place(index), remedy: "resize the images (data.target.resize), or set teacher.cache to false")
  }
}
