// What a training step is put together from, and its constants. How they work together is in TrainingStep.swift, how a
// recipe describes them in RecipeStep.swift.

import Adaptation
import DataParallel
import Networks
import Optimization

/// The constants of a step.
public struct StepOptions: Sendable, Equatable {
  /// Weight of the detail loss.
  public var detailWeight: Float
  /// Weight of the auxiliary head's loss.
  public var auxiliaryWeight: Float
  /// What cross-entropies are divided by.
  public var normalisation: LossNormalisation
  /// Whether source images are jittered and blurred like mixed ones.
  public var augmentSource: Bool
  /// Whose classes may be pasted onto a target image.
  public var mixClasses: ClassScope
  /// Seed of what objectives draw.
  public var seed: UInt64
  /// Seed of dropout and drop path; nil switches both off.
  public var stochasticSeed: UInt64?
  /// Whether the first step looks for the best size of gradient buckets.
  public var tunesBuckets: Bool

  /// Given constants.
  public init(
    detailWeight: Float, auxiliaryWeight: Float = 0, normalisation: LossNormalisation = .all, augmentSource: Bool,
    mixClasses: ClassScope = .batch, seed: UInt64 = 0, stochasticSeed: UInt64?, tunesBuckets: Bool = false
  ) {
    self.detailWeight = detailWeight
    self.auxiliaryWeight = auxiliaryWeight
    self.normalisation = normalisation
    self.augmentSource = augmentSource
    self.mixClasses = mixClasses
    self.seed = seed
    self.stochasticSeed = stochasticSeed
    self.tunesBuckets = tunesBuckets
  }
}

/// The parts that a step works with.
public struct StepParts {
  /// This rank's share of the global batch.
  public let share: BatchShare
  /// The trained network.
  public let student: SegmentationNetwork
  /// Its average; nil where nobody needs it.
  public let teacher: Teacher?
  /// Who labels target images; nil where nobody asks.
  public let labelSource: LabelSource?
  /// How the method trains.
  public let host: Host
  /// What it adds, in the order of the catalogue.
  public let objectives: [any Objective]
  /// Networks of objectives with optimizers of their own.
  public let companions: StepCompanions
  /// Maps of the student that objectives read, by pass.
  public let sites: [String: Set<Site>]
  /// Where random choices come from.
  public let draws: any DrawSource
  /// Sums gradients over samples and ranks.
  public let reduction: GradientReduction
  /// Whether gradients travel while the last backward pass computes.
  public let overlap: OverlapTrial
  /// Joins the gradients of a team before; nil without teams.
  public let teamGradients: TeamGradients?
  /// The optimizer.
  public let optimizer: any ArenaOptimizer
  /// What each rank's optimizer advances; nil where every rank's advances all.
  public let shards: ArenaShards?
  /// Learning rate by step.
  public let schedule: LearningRateSchedule
  /// Teacher momentum by step.
  public let momentum: TeacherMomentum
  /// Decides which steps the optimizer uses.
  public let stepGuard: StepGuard
  /// Told what passes saw and made; nil in runs.
  public let observer: (any StepObserver)?

  /// All parts.
  /// - Precondition: what a host and its objectives need is there, companions included, and objectives have different
  ///   names.
  public init(
    share: BatchShare, student: SegmentationNetwork, teacher: Teacher?, labelSource: LabelSource? = .teacher,
    host: Host,
    objectives: [any Objective] = [], companions: StepCompanions = .none, sites: [String: Set<Site>] = [:],
    draws: any DrawSource, reduction: GradientReduction,
    teamGradients: TeamGradients? = nil, overlap: OverlapTrial? = nil,
    optimizer: any ArenaOptimizer, shards: ArenaShards? = nil, schedule: LearningRateSchedule,
    momentum: TeacherMomentum,
    stepGuard: StepGuard = StepGuard(StepGuard.Options(skipsNonFinite: false)), observer: (any StepObserver)? = nil
  ) {
    let names = objectives.map(\.name)
    precondition(Set(names).count == names.count, "objectives \(names) of one step")
    precondition(companions.isEmpty == objectives.allSatisfy { $0.companions.isEmpty }, "companions of \(names)")
    precondition((share.team == nil) == (teamGradients == nil), "a team joins its gradients")
    precondition(reduction.scatters == (shards != nil), "sums that are scattered have owners")
    precondition(observer == nil || shards == nil, "no rank has the whole gradient to show")
    precondition(
      teacher != nil && labelSource != nil || !host.needsLabels, "host \(host.rawValue) needs a teacher's labels")
    self.share = share
    self.student = student
    self.teacher = teacher
    self.labelSource = labelSource
    self.host = host
    self.objectives = objectives
    self.companions = companions
    self.sites = sites
    self.draws = draws
    self.reduction = reduction
    self.overlap = overlap ?? OverlapTrial(.off, on: share.communicator)
    self.teamGradients = teamGradients
    self.optimizer = optimizer
    self.shards = shards
    self.schedule = schedule
    self.momentum = momentum
    self.stepGuard = stepGuard
    self.observer = observer
  }
}
