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

/// The same draws in every step: a detail crop in the middle, five pasted classes, jitter and blur.
private struct FixedDraws: DrawSource {
  let box: Box

  func draws(_ request: DrawRequest) -> PassDraws {
    PassDraws(
      box: box,
      jitter: request.samples.map { _ in
        ColourJitter(brightness: 1.1, contrast: 0.9, saturation: 1.1, hue: 0.05, order: [3, 1, 0, 2])
      },
      blur: request.samples.map { _ in 0.8 }, chosen: request.samples.map { _ in [1, 2, 3, 4, 13] })
  }
}

/// A training step over random data: one source and one target image, 19 classes, heads 256 wide, dropout and drop path
/// on, feature distance on, pseudo-labels kept.
public final class StepBenchmark {
  /// Counters of the process around one step.
  struct Sample {
    var seconds = 0.0
    var phases = PhaseTimes()
    var operations = 0
    var pageFaults = 0
    /// Nil where they are not counted.
    var heapAllocations: Int?
    var reduction = ReductionFigures()
    var messages = MessageFigures()
    var backwardSeconds = 0.0
  }

  let setting: StepBenchmarkCase
  let part: StepBenchmarkPart
  let configuration: NetworkConfiguration
  private let communicator: any Communicator
  private let step: TrainingStep
  private let batch: DomainBatch
  private let recorder: PseudoLabelRecorder
  private var number = 0

  /// Networks and data of a case. Called by all ranks.
  /// - Parameters:
  ///   - setting: the case.
  ///   - part: what is timed.
  ///   - cropShards: ranks that share one sample; the global batch is a sample for each such group.
  ///   - shardMoments: whether each rank keeps its share of the moments only.
  ///   - overlap: whether gradients travel during the last backward pass; `.auto` measures it over the first ten steps.
  ///   - world: the ranks.
  /// - Throws: `Failure` if the encoder is not known or the ranks cannot be grouped so.
  public init(
    _ setting: StepBenchmarkCase, part: StepBenchmarkPart, cropShards: Int = 1, shardMoments: Bool = false,
    overlap: OverlapSetting = .off,
    on world: any Communicator = SoloCommunicator()
  ) throws {
    let communicator = MeteredCommunicator(world)
    self.communicator = communicator
    self.setting = setting
    self.part = part
    var recipe = Recipe()
    recipe.encoder.name = setting.encoder
    recipe.optimizer.shardMoments = shardMoments
    recipe.network.detailCrop = PixelSize(height: setting.detail, width: setting.detail)
    configuration = recipe.networkConfiguration(classCount: 19)
    let plan = try communicator.together {
      try ShardPlan(
        globalBatch: max(1, communicator.worldSize / cropShards), cropShards: cropShards, on: communicator)
    }
    let share = BatchShare(plan, on: communicator)
    batch = StepBenchmark.batch(side: setting.crop, samples: plan.samples)
    recorder = try StepBenchmark.recorder(
      side: setting.crop, threshold: Float(recipe.teacher.threshold), plan, on: communicator)
    let student = try SegmentationNetwork(configuration, gradientSlots: plan.place < 2 ? 1 : 0, seed: 1)
    let reduction = try GradientReduction(
      on: share.communicator, scatters: recipe.dealsOutMoments(over: communicator.worldSize))
    let teamGradients = share.team.map {
      TeamGradients(team: $0, reduction: reduction, parameters: student.parameters.values.count)
    }
    let shards = try ArenaShards.of(student.parameters, reduction, teamGradients, on: communicator)
    let offset = (setting.crop - setting.detail) / 2
    let box = Box(
      top: offset, bottom: offset + setting.detail, left: offset, right: offset + setting.detail)
    step = TrainingStep(
      StepParts(
        share: share, student: student,
        teacher: Teacher(
          try SegmentationNetwork(configuration, gradientSlots: 0, seed: 1),
          threshold: Float(recipe.teacher.threshold)),
        host: .selfTraining,
        objectives: [
          FeatureDistance(try ReferenceEncoder(configuration, seed: 1), recipe.featureDistance, classCount: 19)
        ], sites: FeatureDistance.requirements.sites,
        draws: FixedDraws(box: box), reduction: reduction, teamGradients: teamGradients,
        overlap: OverlapTrial(overlap, isPossible: cropShards == 1, on: communicator),
        optimizer: recipe.makeOptimizer(student.parameters, owned: shards?.own), shards: shards,
        schedule: recipe.learningRate,
        momentum: TeacherMomentum(alpha: recipe.teacher.momentum)),
      StepOptions(
        detailWeight: Float(recipe.network.detailWeight), auxiliaryWeight: Float(recipe.network.auxiliary.weight),
        normalisation: recipe.loss.normalisation,
        augmentSource: false, stochasticSeed: 1, tunesBuckets: true))
  }

  /// Normal noise for images; labels in squares of 64 pixels, the first of a thing class.
  private static func batch(side: Int, samples: Range<Int>) -> DomainBatch {
    var stream = RandomStream(seed: 1, step: 0, sample: 0, purpose: Purpose("benchmark", "data"))
    func image() -> Tensor {
      Tensor((0..<side * side * 3).map { _ in Float(stream.nextNormal()) }, [1, side, side, 3])
    }
    let cells = side / 64
    var classes = (0..<cells * cells).map { _ in UInt8(stream.nextIndex(below: 19)) }
    classes[0] = 13
    let labels = (0..<side * side).map { classes[$0 / side / 64 * cells + $0 % side / 64] }
    return DomainBatch(
      step: 0, samples: samples,
      source: DomainSamples(image: image(), labels: LabelMap(height: side, width: side, values: labels)),
      target: DomainSamples(image: image(), provenance: provenance(side: side, samples: samples)))
  }

  /// Runs once and says what it took.
  func once() throws -> Sample {
    var sample = Sample()
    let (faults, allocations) = (minorPageFaults(), heapAllocations() ?? 0)
    let watch = Stopwatch()
    switch part {
    case .step:
      let record = try step.run(batch, step: number)
      sample.phases = record.phases
      try sample.phases.measure("pseudo-labels") {
        for pseudo in record.pseudoLabels { try recorder.record(pseudo, batch.target?.provenance ?? [], step: number) }
      }
      sample.operations = record.operations
      sample.reduction = record.reduction
      sample.messages = record.messages
      sample.backwardSeconds = record.backwardSeconds
    case .teacher:
      try sample.phases.measure("teacher") {
        _ = try step.parts.teacher?.pseudoLabels(
          batch.target?.image ?? Tensor(zeros: [0]), valid: nil, step.parts.share)
      }
    }
    number += 1
    sample.seconds = watch.seconds
    sample.pageFaults = minorPageFaults() - faults
    sample.heapAllocations = heapAllocations().map { $0 - allocations }
    return sample
  }

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
    report.digest = step.parts.student.parameters.digest()
    return (report, metered[0].1)
  }

  /// What `run` has recorded on all ranks as one Chrome trace, on rank 0's clock; "" on other ranks. Called by all ranks.
  public func trace(_ spans: [[MeterSpan]]) throws -> String { try mergedTrace(spans, on: communicator) }
}
