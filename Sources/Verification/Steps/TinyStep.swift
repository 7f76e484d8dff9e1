// Whole steps over the tiny network of reference files: what the files of all methods with such steps share.

import Adaptation
import Collectives
import DataParallel
import Domains
import Networks
import Optimization
import Tensors
import Training

/// What a group with whole steps says of network and optimizer: `options` of the group, and `config` of the file.
struct TinyStepOptions: Decodable {
  let lr: Double
  let power: Double
  let total: Int
  let momentum: Double
  let weightDecay: Double
  let mean: [Float]
  private(set) var classes = 0

  private enum CodingKeys: String, CodingKey { case lr, power, total, momentum, weightDecay, mean }

  /// Reads what a group says.
  /// - Throws: `Failure` 65 if something is missing or out of range.
  static func read(_ fixture: Fixture, _ group: String) throws -> TinyStepOptions {
    var options: TinyStepOptions = try fixture.options(of: group)
    options.classes = try fixture.config("classes", Int.self) ?? 0
    guard options.total > 0, options.mean.count == 3, 2...255 ~= options.classes else {
      throw fixture.bad(group, "options or config out of range")
    }
    return options
  }

  /// The network.
  var tiny: TinyNetwork { TinyNetwork(mean: mean, classes: classes) }

  /// A network with the parameters that a group of the file holds.
  /// - Parameters:
  ///   - auxiliary: the last feature map of an auxiliary head; nil without one.
  ///   - predicts: whether that head predicts too.
  func network(
    _ fixture: Fixture, _ group: String, slots: Int, auxiliary: Int? = nil, predicts: Bool = false
  ) throws -> SegmentationNetwork {
    var configuration = tiny.configuration
    configuration.auxiliary = auxiliary.map { AuxiliaryHead(stage: $0, predicts: predicts) }
    let network = try SegmentationNetwork(configuration, gradientSlots: slots, seed: 0)
    try fixture.load(group, into: network.parameters)
    return network
  }

  /// What objectives of the step are made with.
  func setup(_ student: SegmentationNetwork, _ host: Host, samples: Int) -> ObjectiveSetup {
    ObjectiveSetup(
      configuration: student.configuration, host: host, seed: 0, scheduledSteps: total, decaySteps: total,
      share: share(samples))
  }

  private func share(_ samples: Int) -> BatchShare {
    BatchShare(communicator: SoloCommunicator(), globalBatch: samples, samples: 0..<samples)
  }

  /// The step over all samples on one rank, with SGD; the cross-entropy is over labelled pixels.
  /// - Parameters:
  ///   - warmUpSteps: in which the rate rises to its base.
  ///   - change: what else its constants are.
  func step(
    _ student: SegmentationNetwork, _ teacher: Teacher?, _ host: Host, objectives: [any Objective] = [],
    sites: [String: Set<Site>] = [:], samples: Int, draws: any DrawSource,
    momentum: TeacherMomentum = TeacherMomentum(), warmUpSteps: Int = 0,
    observer: any StepObserver, _ change: (inout StepOptions) -> Void
  ) throws -> TrainingStep {
    let share = share(samples)
    let groups = TinyNetwork.groups(weightDecay: weightDecay)
    var options = StepOptions(detailWeight: 0, normalisation: .labelled, augmentSource: false, stochasticSeed: nil)
    change(&options)
    return TrainingStep(
      StepParts(
        share: share, student: student, teacher: teacher, host: host, objectives: objectives,
        companions: try StepCompanions(of: objectives, on: share.communicator), sites: sites, draws: draws,
        reduction: try GradientReduction(on: share.communicator),
        optimizer: SGD(
          slices: student.parameters.slices.map { groups.slice(name: $0.name, range: $0.range) },
          momentum: self.momentum),
        schedule: LearningRateSchedule(
          baseRate: lr, warmUpSteps: warmUpSteps, warmUpRatio: 0, warmUpTo: .base, power: power, totalSteps: total),
        momentum: momentum, observer: observer),
      options)
  }
}

extension Fixture {
  /// Images of both domains and source labels of a step. The domains' images may have different sizes, which no loader
  /// gives.
  /// - Throws: `Failure` 65 if labels do not fit, or the domains have different numbers of images.
  func batch(_ step: Int, _ path: String, classes: Int) throws -> DomainBatch {
    let source = try rawImage("\(path)/source_rgb")
    let target = try rawImage("\(path)/target_rgb")
    guard source.samples == target.samples else {
      throw bad(path, "\(source.samples) source and \(target.samples) target images")
    }
    let labels = try labels("\(path)/source_label", of: source, classes: classes)
    var batch = DomainBatch(
      step: step, samples: 0..<source.samples, source: DomainSamples(image: source, labels: labels), target: nil)
    batch.target = DomainSamples(image: target)
    return batch
  }
}

/// Nothing is drawn: a network of one resolution sees whole images.
struct WholeImages: DrawSource {
  func draws(_ request: DrawRequest) -> PassDraws {
    PassDraws(box: Box(top: 0, bottom: request.height, left: 0, right: request.width))
  }
}
