// Everything a run is made of, assembled from a recipe. The same on every rank.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Optimization
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
  /// Rows and columns of a target image.
  public let targetSize: PixelSize
  /// Frozen encoder of the feature distance, if the recipe has one.
  public let reference: ReferenceEncoder?
  /// The step.
  public let step: TrainingStep
  /// Batches by step number, one for each micro-batch.
  public let loader: SampleLoader

  /// What the run began with, by digest.
  public internal(set) var origin = RunOrigin()

  /// Classes and palette.
  public var classes: ClassSet { data.classes }
  /// Labelled images to score on; nil if the recipe names none.
  public var validation: (any Dataset)? { data.validation }
  /// Number of target images.
  public var targetCount: Int { data.target.count }
  /// The trained network.
  public var student: SegmentationNetwork { step.parts.student }
  /// Its average; nil for source-only runs.
  public var teacher: Teacher? { step.parts.teacher }

  /// Assembles a run. A collective: a failure on one rank is thrown on all.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - communicator: the ranks.
  ///   - data: the data sets; nil lists those of the recipe.
  ///   - counting: how class pixels of the source labels are come by.
  ///   - checkpoints: reads the files that `init` and `encoder.weights` name; nil where the weights come from a
  ///     checkpoint of the run, as in resuming.
  ///   - reductionOrder: rank at each position of the tree that adds gradients; nil, as in every run, is the order of
  ///     ranks. Another one is a control for tests and gives other bits.
  public init(
    _ recipe: Recipe, on communicator: any Communicator, data given: RunData? = nil,
    counting: ClassCounting = ClassCounting(), startingWith checkpoints: (any CheckpointStore)? = nil,
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
    let adapts = recipe.adapts
    let data = try given ?? RunData(recipe, on: communicator)
    self.data = data
    let statistics =
      recipe.rareClassSampling.enabled ? try counting.statistics(of: data, recipe, on: communicator) : nil
    (loader, targetSize) = try communicator.together {
      try Experiment.makeLoader(recipe, data, statistics, parts: parts, checksSizes: communicator.rank == 0)
    }
    origin.data = data.identities.digests
    origin.data[DataIdentities.countsKey] = statistics?.digest
    Activity.prepare("networks")
    let configuration = recipe.networkConfiguration(classCount: data.classes.count)
    let student = try SegmentationNetwork(
      configuration, gradientSlots: plan.place < 2 ? share.samples.count : 0, seed: recipe.seed)
    let teacher =
      adapts
      ? Teacher(
        try SegmentationNetwork(configuration, gradientSlots: 0, seed: recipe.seed),
        threshold: Float(recipe.teacher.threshold), confidence: recipe.teacher.confidence) : nil
    reference = recipe.featureDistance.weight > 0 ? try ReferenceEncoder(configuration, seed: recipe.seed) : nil
    let featureDistance = reference.map {
      FeatureDistanceTerm($0, recipe.featureDistanceOptions, classCount: configuration.classCount)
    }
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
        share: share, student: student, teacher: teacher, featureDistance: featureDistance,
        extraTargetPasses: recipe.method.options.extraTargetPasses,
        draws: SeededDraws(
          seed: recipe.seed, configuration: configuration, augmentation: recipe.augmentation,
          offsetMultiple: student.grid.offsetMultiple),
        reduction: reduction, teamGradients: teamGradients,
        overlap: OverlapTrial(recipe.communication.overlap, isPossible: recipe.allowsOverlap, on: communicator),
        optimizer: recipe.makeOptimizer(student.parameters, owned: shards?.own), shards: shards,
        schedule: recipe.learningRate, momentum: TeacherMomentum(alpha: recipe.scaledMomentum),
        stepGuard: StepGuard(recipe.stepGuard.options)),
      StepOptions(
        detailWeight: Float(recipe.network.detailWeight), augmentSource: recipe.augmentSource,
        stochasticSeed: recipe.seed, tunesBuckets: recipe.tunesBuckets))
    if let checkpoints {
      Activity.prepare("starting weights")
      try takeStartingWeights(checkpoints)
    }
    Activity.prepare("digests")
    noteOrigin()
  }

  private static func makeLoader(
    _ recipe: Recipe, _ data: RunData, _ statistics: ClassStatistics?, parts: [Range<Int>], checksSizes: Bool
  ) throws -> (SampleLoader, PixelSize) {
    Activity.prepare("data")
    let rare = recipe.rareClassSampling
    let sampler = try statistics.map {
      try RareClassSampler(
        $0,
        RareClassOptions(
          temperature: rare.temperature, minimumPixels: rare.minimumPixels, minimumCropPixels: rare.minimumCropPixels),
        classNames: data.classes.names)
    }
    if recipe.adapts, recipe.teacher.cache, checksSizes { try requireOneSize(data.target) }
    let margins = recipe.data.target.map {
      ImageMargins(top: $0.margins.top, bottom: $0.margins.bottom, left: $0.margins.left, right: $0.margins.right)
    }
    let loader = try SampleLoader(
      source: data.source, target: data.target, sampler: sampler,
      options: SampleLoader.Options(
        rules: CropRules(
          crop: recipe.crop.size,
          dominantShare: recipe.crop.maximumShare, redraws: recipe.crop.tries),
        flipProbability: Float(recipe.crop.flip), seed: recipe.seed, parts: parts,
        margins: margins == ImageMargins(top: 0, bottom: 0, left: 0, right: 0) ? nil : margins,
        checksSizes: checksSizes))
    return (loader, try data.target.size(0))
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

extension Recipe {
  /// What decides the shapes of the network.
  public func networkConfiguration(classCount: Int) -> NetworkConfiguration {
    var configuration = NetworkConfiguration(
      encoder: .named(encoder.name), classCount: classCount, detailHeight: network.detailCrop.height,
      detailWidth: network.detailCrop.width, headWidth: head.width, attentionWidth: attention.width)
    configuration.encoderOptions = EncoderOptions(dropPath: Float(encoder.dropPath))
    configuration.resolution = Resolution(rawValue: network.resolution.rawValue) ?? .hrda
    configuration.head = head.name
    configuration.fusion = head.fusion
    configuration.dilations = head.dilations
    configuration.headDropout = Float(head.dropout)
    configuration.contextReduction = Int((1 / network.contextScale).rounded())
    configuration.detailOverlap = network.detailOverlap
    return configuration
  }

  /// How mixed images are changed.
  public var augmentation: AugmentationOptions {
    var options = AugmentationOptions()
    options.jitterStrength = Float(mix.jitterStrength)
    options.jitterThreshold = Float(mix.jitterThreshold)
    options.blurThreshold = Float(mix.blurThreshold)
    options.blurSigma = Float(mix.blurSigma[0])...Float(mix.blurSigma[1])
    return options
  }

  /// Options of the feature distance.
  var featureDistanceOptions: FeatureDistanceOptions {
    var options = FeatureDistanceOptions()
    options.weight = Float(featureDistance.weight)
    options.classes = featureDistance.classes.map { UInt8($0) }
    options.minimumShare = Float(featureDistance.minimumShare)
    return options
  }

  /// Learning rate over the run.
  public var learningRate: LearningRateSchedule {
    LearningRateSchedule(
      baseRate: scaledLearningRate, warmUpSteps: schedule.warmUpSteps, warmUpRatio: schedule.warmUpRatio,
      power: schedule.power, totalSteps: schedule.steps)
  }

  /// The optimizer over a network's parameters, with the published groups by name.
  /// - Parameters:
  ///   - parameters: the network's.
  ///   - owned: the elements that this rank advances; nil for all.
  public func makeOptimizer(_ parameters: NetworkParameters, owned: [Range<Int>]? = nil) -> AdamW {
    let groups = ParameterGroups(headFactor: optimizer.headFactor, weightDecay: optimizer.weightDecay)
    return AdamW(
      slices: parameters.slices.map { groups.slice(name: $0.name, range: $0.range) }, owned: owned,
      beta1: optimizer.betas[0], beta2: optimizer.betas[1], epsilon: optimizer.epsilon)
  }
}
