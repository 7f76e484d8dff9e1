// What a method adds to the steps of its host: one object a run, whose hooks are called in the order of a step.

import Autograd
import Domains
import Networks
import Support
import Tensors

/// A tensor of an objective's state.
public struct NamedTensor {
  /// Its name within the objective.
  public let name: String
  /// The values, changed in place.
  public let tensor: Tensor

  /// A tensor with its name.
  public init(_ name: String, _ tensor: Tensor) {
    self.name = name
    self.tensor = tensor
  }
}

/// What a method adds to a step.
///
/// Every hook has a default that adds nothing. All are called on all ranks, for every micro-batch, and objective after
/// objective in the order of the catalogue, so that two spellings of a recipe give the same bits. Whether a collective is
/// reached may depend on the step number or on reduced values only; random choices come from the `StepView`.
public protocol Objective: AnyObject {
  /// Name in recipes, and of its state in checkpoints.
  var name: String { get }
  /// What it remembers: tensors of fixed shape, changed in place, equal on all ranks.
  var state: [NamedTensor] { get }
  /// An encoder that it keeps frozen as it was before training; nil for most.
  var frozenEncoder: ReferenceEncoder? { get }
  /// Networks with optimizers of their own, the same ones in the same order on all ranks.
  var companions: [any TrainedCompanion] { get }
  /// Whether it needs the passes of its host on one tape, which takes the memory of all: every pass has run when the losses
  /// of the first one are asked for, and gradients may be put into its maps until those of the last one were.
  var joinsHostPasses: Bool { get }
  /// Sweeps over a data set that give its state first values.
  var surveys: [Survey] { get }
  /// Passes after the host's: a function of the step number.
  func passes(at step: Int) -> [Pass]
  /// Before anything is predicted: other labels, other images.
  func prepare(_ step: inout StepView) throws
  /// After the target images were labelled: other labels or weights.
  func refine(_ labels: inout PseudoLabels, _ step: StepView) throws
  /// The mixed images; nil is the host's ClassMix. At most one objective of a run answers.
  func mixed(_ step: StepView) throws -> LabelledImages?
  /// Before the student runs: other boxes or crops, and work beside it.
  func before(_ views: inout [View], of pass: String, _ step: StepView) throws
  /// What it must know of the whole micro-batch.
  func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics
  /// Factors on the pixel weights of a run's cross-entropy, `[N, H, W]`; nil is 1.
  func weights(_ run: StudentRun, of pass: String, _ totals: PassTotals, _ step: StepView) throws -> Tensor?
  /// Puts gradients into maps, lets companions learn and returns its loss terms.
  func losses(_ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView) throws -> [LossTerm]
  /// Once a step that the optimizer used, after it.
  func finish(step: Int) throws
}

extension Objective {
  /// Remembers nothing.
  public var state: [NamedTensor] { [] }
  /// Freezes none.
  public var frozenEncoder: ReferenceEncoder? { nil }
  /// Has none.
  public var companions: [any TrainedCompanion] { [] }
  /// Leaves each on its own.
  public var joinsHostPasses: Bool { false }
  /// Asks for none.
  public var surveys: [Survey] { [] }
  /// Adds no pass.
  public func passes(at step: Int) -> [Pass] { [] }
  /// Changes nothing.
  public func prepare(_ step: inout StepView) throws {}
  /// Changes nothing.
  public func refine(_ labels: inout PseudoLabels, _ step: StepView) throws {}
  /// Leaves it to the host.
  public func mixed(_ step: StepView) throws -> LabelledImages? { nil }
  /// Changes nothing.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {}
  /// Asks for nothing.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    PassStatistics()
  }
  /// 1.
  public func weights(_ run: StudentRun, of pass: String, _ totals: PassTotals, _ step: StepView) throws -> Tensor? {
    nil
  }
  /// Adds none.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] { [] }
  /// Does nothing.
  public func finish(step: Int) throws {}
}

/// What an objective needs of network, passes and data; known before either exists.
public struct Requirements: Sendable {
  /// Maps of the student that it reads, by pass.
  public var sites: [String: Set<Site>] = [:]
  /// Heads that it trains on maps.
  public var heads: [AttachedHead] = []
  /// Passes of the host that it hangs on.
  public var passes: Set<String> = []
  /// For passes that an option names, the key of that option, by pass: complaints are about it.
  public var passOptions: [String: String] = [:]
  /// Whether it learns from source images.
  public var needsSource = false
  /// Whether target images must be labelled, also where the host needs no labels.
  public var needsLabels = false
  /// Whether there must be a teacher, also where no target image is labelled.
  public var needsTeacher = false
  /// Whether there must be target images, also where the host looks at none.
  public var needsTarget = false
  /// Whether it makes the mixed images.
  public var mixes = false
  /// Whether it learns from a few labelled target images, `data.fewShot`.
  public var needsFewShot = false
  /// Maps that images of source and target must bring, such as `PixelMap.depth`.
  public var maps: Set<String> = []
  /// Resolutions of networks that it works with.
  public var resolutions = Set(Resolution.allCases)
  /// In `sites`, the pass in which the teacher labels target images.
  public static let labellingPass = "labels"
  /// Whether the network must have a second classifier on its last feature map that predicts too.
  public var needsSecondClassifier = false
  /// Whether it must know how many pixels of the source labels each class has.
  public var countsClasses = false

  /// Whether the run has a teacher: for labels, or as such.
  public var hasTeacher: Bool { needsLabels || needsTeacher }

  /// Nothing.
  public init() {}
}

/// What an objective is made with.
public struct ObjectiveSetup {
  /// Shapes of the networks.
  public let configuration: NetworkConfiguration
  /// The host that it takes part in.
  public let host: Host
  /// The run's seed.
  public let seed: UInt64
  /// Steps of the schedule, of which options that name shares take theirs.
  public let scheduledSteps: Int
  /// Steps after which learning rates that decay are 0.
  public let decaySteps: Int
  /// This rank's share of the first micro-batch: companions have a gradient slot for each of its samples.
  public let share: BatchShare
  /// Pixels of each class in the source labels; nil where no objective `countsClasses`.
  public let sourceClasses: ClassStatistics?

  /// From its parts.
  public init(
    configuration: NetworkConfiguration, host: Host, seed: UInt64, scheduledSteps: Int, decaySteps: Int,
    share: BatchShare, sourceClasses: ClassStatistics? = nil
  ) {
    self.configuration = configuration
    self.host = host
    self.seed = seed
    self.scheduledSteps = scheduledSteps
    self.decaySteps = decaySteps
    self.share = share
    self.sourceClasses = sourceClasses
  }
}

/// The options of an objective, and with them the objective itself. One type is one method.
public protocol MethodOptions: SettingGroup {
  /// What the objective needs, given the shapes of the networks.
  func requirements(_ configuration: NetworkConfiguration) -> Requirements
  /// The objective; nil where the options switch it off.
  /// - Throws: a `Failure` where something from outside is missing.
  func make(_ setup: ObjectiveSetup) throws -> (any Objective)?
  /// What is wrong with the options for a training crop; nil where they fit. Single values are limited by `visit`.
  func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit?
}

extension MethodOptions {
  /// Nothing.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements { Requirements() }
  /// Fits every crop.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? { nil }
}

/// Why an option of a method does not fit the rest of a recipe.
public struct OptionMisfit: Sendable, Equatable {
  /// Key within `methodOptions`.
  public let key: String
  /// The rest of a sentence that starts with the key.
  public let what: String
  /// What to do about it.
  public let remedy: String

  /// A complaint.
  public init(key: String, what: String, remedy: String) {
    self.key = key
    self.what = what
    self.remedy = remedy
  }
}

/// The options of a method that has none of its own and adds nothing to its host.
public struct NoOptions: MethodOptions {
  /// Nothing.
  public init() {}
  /// Shows nothing.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {}
  /// No objective.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { nil }
}

/// A method that recipes may name: a host, and mostly one objective.
public struct MethodEntry: Sendable {
  /// Its name in recipes.
  public let name: String
  /// How it trains.
  public let host: Host
  /// The defaults of its objective's options.
  public let options: any MethodOptions
  /// Authors, title, venue.
  public let paper: String
  /// What its recipe reaches: mIoU in percent, mean and deviation over seeds, on the procedural streets of
  /// docs/comparison.md; nil before it was measured.
  public let figure: String?
  /// The recipe with the published setting, from the root of the repository.
  public var recipe: String { "Launch/recipes/methods/\(name).yaml" }

  /// A line of the catalogue.
  public init(
    _ name: String, _ host: Host, options: any MethodOptions = NoOptions(), paper: String, figure: String? = nil
  ) {
    self.name = name
    self.host = host
    self.options = options
    self.paper = paper
    self.figure = figure
  }
}
