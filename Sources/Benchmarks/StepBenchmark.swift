// Times whole training steps, or the teacher's pass alone, on random images: what `apus benchmark step` runs.

import Adaptation
import Collectives
import DataParallel
import Domains
import Kernels
import Methods
import Networks
import Optimization
import Recipes
import Support
import Tensors
import Training

/// The sizes of a step benchmark.
public struct StepBenchmarkCase: Sendable, Equatable {
  /// Name on the command line.
  public let name: String
  /// Encoder by name.
  public let encoder: String
  /// Rows and columns of the training crop.
  public let crop: Int
  /// Rows and columns of the detail crop.
  public let detail: Int
  /// Steps that are timed unless told otherwise.
  public let repeats: Int

  /// A case of other sizes than those in `all`; sides are multiples of 64, the encoder is a Mix Transformer.
  public init(name: String, encoder: String, crop: Int, detail: Int, repeats: Int) {
    self.name = name
    self.encoder = encoder
    self.crop = crop
    self.detail = detail
    self.repeats = repeats
  }

  /// A case by its name: one in `all`, or `ENCODER-SIDE` such as `tiny-64` for a crop of another side.
  /// - Returns: nil if the side is no multiple of 64 from 64 to 1024.
  public init?(named name: String) {
    if let known = StepBenchmarkCase.all.first(where: { $0.name == name }) {
      self = known
      return
    }
    let words = name.split(separator: "-", omittingEmptySubsequences: false)
    guard words.count == 2, !words[0].isEmpty, let side = Int(words[1]) else { return nil }
    guard side.isMultiple(of: 64), (64...1024).contains(side) else { return nil }
    self.init(name: name, encoder: String(words[0]), crop: side, detail: side / 2, repeats: 5)
  }

  /// Training crops of 256 and 512 pixels with MiT-B0, 512 with MiT-B5; detail crops of half that side.
  public static let all = [
    StepBenchmarkCase(name: "b0-256", encoder: "b0", crop: 256, detail: 128, repeats: 7),
    StepBenchmarkCase(name: "b0-512", encoder: "b0", crop: 512, detail: 256, repeats: 5),
    StepBenchmarkCase(name: "b5-512", encoder: "b5", crop: 512, detail: 256, repeats: 3),
  ]
}

/// What is timed.
public enum StepBenchmarkPart: String, Sendable, CaseIterable, Codable {
  /// A whole step.
  case step
  /// The dense pass that labels the target image.
  case teacher
}

/// How the samples of a step are cut and shared.
public struct StepBenchmarkLayout: Sendable, Equatable {
  /// Samples of all ranks; nil: one for each group of ranks that share a sample.
  public var globalBatch: Int?
  /// Parts of the batch that go through the networks one after the other, as `batch.accumulate`.
  public var microBatches = 1
  /// Ranks that share one sample.
  public var cropShards = 1
  /// Whether each rank keeps its share of the moments only.
  public var shardMoments = false
  /// Whether gradients travel during the last backward pass; `.auto` measures it over the first ten steps.
  public var overlap = OverlapSetting.off
  /// How the learning rate follows the batch.
  public var batchRule = Recipe.BatchRule.none

  /// One sample for each rank, nothing shared.
  public init() {}
}

/// A training step over random data: a source and a target image for each sample, 19 classes, heads 256 wide, dropout and
/// drop path on, feature distance on, pseudo-labels kept.
///
/// Data and draws are functions of the sample's index in the global batch: layouts of one batch do the same work.
public final class StepBenchmark {
  /// Counters of the process around one step.
  public struct Sample: Sendable {
    /// Wall-clock seconds of this rank.
    public internal(set) var seconds = 0.0
    /// Seconds of this rank by phase.
    public internal(set) var phases = PhaseTimes()
    /// Operations recorded on tapes.
    public internal(set) var operations = 0
    /// Minor page faults.
    public internal(set) var pageFaults = 0
    /// Nil where they are not counted.
    var heapAllocations: Int?
    /// What sums of gradients took.
    public internal(set) var reduction = ReductionFigures()
    /// Messages besides those of gradients.
    public internal(set) var messages = MessageFigures()
    var backwardSeconds = 0.0
  }

  let setting: StepBenchmarkCase
  let part: StepBenchmarkPart
  let configuration: NetworkConfiguration
  private let communicator: MeteredCommunicator
  private let step: TrainingStep
  private let batches: [DomainBatch]
  private let recorder: PseudoLabelRecorder
  private var number = 0

  /// Networks and data of a case. Called by all ranks.
  /// - Parameters:
  ///   - setting: the case.
  ///   - part: what is timed.
  ///   - layout: how the batch is cut and shared.
  ///   - world: the ranks.
  /// - Throws: `Failure` if the encoder is not known or the ranks cannot be grouped so.
  public init(
    _ setting: StepBenchmarkCase, part: StepBenchmarkPart = .step, _ layout: StepBenchmarkLayout = .init(),
    on world: any Communicator = SoloCommunicator()
  ) throws {
    let communicator = MeteredCommunicator(world)
    self.communicator = communicator
    self.setting = setting
    self.part = part
    var recipe = Recipe()
    recipe.encoder.name = setting.encoder
    recipe.optimizer.shardMoments = layout.shardMoments
    recipe.optimizer.batchRule = layout.batchRule
    recipe.network.detailCrop = PixelSize(height: setting.detail, width: setting.detail)
    configuration = recipe.networkConfiguration(classCount: 19)
    let plan = try communicator.together { try layout.plan(on: communicator) }
    recipe.batch.global = plan.globalBatch
    let share = BatchShare(plan, on: communicator)
    batches = (0..<plan.microBatches).map {
      StepBenchmark.batch(side: setting.crop, samples: share.ofMicroBatch($0).samples, microBatch: $0)
    }
    recorder = try StepBenchmark.recorder(
      side: setting.crop, threshold: Float(recipe.teacher.threshold), plan, on: communicator)
    step = try StepBenchmark.step(setting, recipe, configuration, plan, share, layout, on: communicator)
  }

  /// The step of HRDA with a box in the middle. Called by all ranks.
  private static func step(
    _ setting: StepBenchmarkCase, _ recipe: Recipe, _ configuration: NetworkConfiguration, _ plan: ShardPlan,
    _ share: BatchShare, _ layout: StepBenchmarkLayout, on communicator: any Communicator
  ) throws -> TrainingStep {
    let student = try SegmentationNetwork(
      configuration, gradientSlots: plan.place < 2 ? share.samples.count : 0, seed: 1)
    let average = try SegmentationNetwork(configuration, gradientSlots: 0, seed: 1)
    let distance = FeatureDistance(
      try ReferenceEncoder(configuration, seed: 1), recipe.featureDistance, classCount: configuration.classCount)
    let reduction = try GradientReduction(
      on: share.communicator, scatters: recipe.dealsOutMoments(over: communicator.worldSize))
    let teamGradients = share.team.map {
      TeamGradients(team: $0, reduction: reduction, parameters: student.parameters.values.count)
    }
    let shards = try ArenaShards.of(student.parameters, reduction, teamGradients, on: communicator)
    let offset = (setting.crop - setting.detail) / 2
    let box = Box(top: offset, bottom: offset + setting.detail, left: offset, right: offset + setting.detail)
    return TrainingStep(
      StepParts(
        share: share, student: student, teacher: Teacher(average, threshold: Float(recipe.teacher.threshold)),
        host: .selfTraining, objectives: [distance], sites: FeatureDistance.requirements.sites,
        draws: FixedDraws(box: box), reduction: reduction, teamGradients: teamGradients,
        overlap: OverlapTrial(layout.overlap, isPossible: layout.cropShards == 1, on: communicator),
        optimizer: recipe.makeOptimizer(student.parameters, owned: shards?.own), shards: shards,
        schedule: recipe.learningRate, momentum: TeacherMomentum(alpha: recipe.teacher.momentum)),
      StepOptions(
        detailWeight: Float(recipe.network.detailWeight), auxiliaryWeight: Float(recipe.network.auxiliary.weight),
        normalisation: recipe.loss.normalisation, augmentSource: false, stochasticSeed: 1, tunesBuckets: true))
  }

  /// Runs once and says what it took. Called by all ranks.
  /// - Throws: what a step throws.
  public func once() throws -> Sample {
    var sample = Sample()
    let (faults, allocations) = (minorPageFaults(), heapAllocations() ?? 0)
    let watch = Stopwatch()
    switch part {
    case .step:
      let record = try step.run(batches, step: number)
      sample.phases = record.phases
      try communicator.noting(unit: "pseudo-labels") {
        try sample.phases.measure("pseudo-labels") {
          for (pseudo, batch) in zip(record.pseudoLabels, batches) {
            try recorder.record(pseudo, batch.target?.provenance ?? [], step: number)
          }
        }
      }
      sample.operations = record.operations
      sample.reduction = record.reduction
      sample.messages = record.messages
      sample.backwardSeconds = record.backwardSeconds
    case .teacher:
      try sample.phases.measure("teacher") {
        _ = try step.parts.teacher?.pseudoLabels(
          batches[0].target?.image ?? Tensor(zeros: [0]), valid: nil, step.parts.share)
      }
    }
    number += 1
    sample.seconds = watch.seconds
    sample.pageFaults = minorPageFaults() - faults
    sample.heapAllocations = heapAllocations().map { $0 - allocations }
    return sample
  }

  /// Digest of the student as it is: equal for layouts of one global batch after as many steps.
  public var studentDigest: String { step.parts.student.parameters.digest() }

  /// Parameters of the student.
  public var parameterCount: Int { step.parts.student.parameters.values.count }

  /// Starts a log of the messages of the steps to come, or ends it; see `MeteredCommunicator.listen`.
  @discardableResult
  public func listen(_ listens: Bool) -> MessageLog? { communicator.listen(listens) }

  /// Operations of what is timed as the published algorithm counts them.
  var referenceOperations: Double {
    let reference = ReferenceOperations(configuration)
    return part == .step ? reference.step(side: setting.crop) : reference.teacher(side: setting.crop)
  }

  /// Warms up, times `repeats` steps without the meter, then half as many with it.
  ///
  /// The ceiling of matrix products is measured before and after. Peak memory is read between the timed steps and the
  /// metered ones.
  /// - Returns: the figures, and the spans of the first metered step on every thread of this rank.
  /// - Throws: what a step throws.
  public func run(warmUp: Int, repeats: Int) throws -> (report: StepBenchmarkReport, trace: [[MeterSpan]]) {
    var rates = productRates(repeats: 10)
    for _ in 0..<warmUp { _ = try once() }
    let before = BufferPool.shared.statistics
    let samples = try (0..<repeats).map { _ in try once() }
    let after = BufferPool.shared.statistics
    let peak = peakMemoryBytes()
    let metered = try (0..<max(1, repeats / 2)).map { _ -> (Sample, [[MeterSpan]]) in
      KernelMeter.start(workers: WorkerPool.shared.threads - 1)
      let outcome = Result { try once() }
      let lanes = KernelMeter.stop()
      return (try outcome.get(), lanes)
    }
    rates += productRates(repeats: 10)
    var report = StepBenchmarkReport(
      self, samples, metered.map { ($0.0.seconds, MeterProfile($0.1[0])) }, ceiling: rates)
    report.peakMemoryBytes = peak
    report.poolMisses = after.misses - before.misses
    report.mappedBytes = after.mappedBytes - before.mappedBytes
    report.warmUp = warmUp
    report.gflopOfRanks = try communicator.gathered([report.gflopExecuted]).map { $0[0] }
    report.phasesOfRanks = try RankPhases(metered[0].1[0]).ofRanks(on: communicator)
    report.digest = studentDigest
    return (report, metered[0].1)
  }

  /// What `run` has recorded on all ranks as one Chrome trace, on rank 0's clock; "" on other ranks. Called by all ranks.
  public func trace(_ spans: [[MeterSpan]]) throws -> String { try mergedTrace(spans, on: communicator) }
}
