// Everything a run is made of, assembled from a recipe. The same on every rank.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Networks
import Recipes
import Storage
import Support

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
  /// Whether target images are labelled.
  public var labelsTarget: Bool { step.parts.labelSource != nil && teacher != nil }
  /// Its average; nil where nobody needs it.
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
    data = try given ?? RunData(recipe, on: communicator)
    let isNew = try look?.lookAtNew(data.lookedAt(recipe), classCount: data.classes.count, on: communicator)
    let configuration = recipe.networkConfiguration(classCount: data.classes.count)
    let requirements = recipe.requirements(configuration)
    let networks = try RunNetworks(recipe, configuration, requirements, plan)
    // Wrong weights are told before labels are counted, which may take long.
    if let checkpoints { try NetworkStart(recipe, networks).take(checkpoints, on: communicator) }
    let counts = try counting.counts(
      of: data, recipe, countsClasses: requirements.countsClasses, isNew: isNew, on: communicator)
    let objectives = try communicator.together { [share] in
      try recipe.makeObjectives(configuration, share, reference: networks.reference, sourceClasses: counts.source)
    }
    labelWarnings = try communicator.together { [data] in try counts.warnings(recipe, data.classes) }
    look?.remember()
    (loader, targetSize) = try communicator.together { [data, share, plan] in
      try data.makeLoader(
        recipe, parts: (0..<plan.microBatches).map { share.ofMicroBatch($0).samples }, counts: counts,
        checksSizes: isNew == nil && communicator.rank == 0)
    }
    let sums = try GradientSums(recipe, plan, networks, on: communicator, metered, order: reductionOrder)
    let parts = try StepParts(recipe, share, networks, objectives, requirements, sums, on: communicator)
    step = TrainingStep(parts, StepOptions(recipe))
    surveys = SurveyRunner(objectives, data, networks.student, on: communicator)
    Activity.prepare("digests")
    origin.data = data.identities.digests
    origin.data[DataIdentities.countsKey] = counts.source?.digest
    noteOrigin()
  }
}
