// From a recipe to the parts of a run that it describes.

import Adaptation
import Collectives
import DataParallel
import Networks
import Optimization
import Support

extension Recipe {
  /// How samples are dealt out over the ranks of a communicator; communicates nothing.
  /// - Throws: `Failure` 65 if they cannot be, or a setting asks for what cannot be honoured.
  public func shardPlan(on communicator: any Communicator) throws -> ShardPlan {
    try checkAbilities()
    return try ShardPlan(
      globalBatch: batch.global, microBatches: batch.accumulate, cropShards: batch.cropShards, on: communicator)
  }

  /// What decides the shapes of the network.
  public func networkConfiguration(classCount: Int) -> NetworkConfiguration {
    var configuration = NetworkConfiguration(
      encoder: .named(encoder.name), classCount: classCount, detailHeight: network.detailCrop.height,
      detailWidth: network.detailCrop.width, headWidth: head.width, attentionWidth: attention.width)
    configuration.encoderOptions = EncoderOptions(
      dropPath: Float(encoder.dropPath), batchNorm: encoder.batchNorm)
    configuration.resolution = Resolution(rawValue: network.resolution.rawValue) ?? .hrda
    configuration.head = head.name
    configuration.fusion = head.fusion
    configuration.dilations = head.dilations
    configuration.headDropout = Float(head.dropout)
    configuration.guidance = head.guidance
    configuration.auxiliary =
      network.auxiliary.weight > 0
      ? AuxiliaryHead(stage: network.auxiliary.stage, predicts: network.auxiliary.predicts) : nil
    configuration.contextReduction = Int((1 / network.contextScale).rounded())
    configuration.detailOverlap = network.detailOverlap
    configuration.fusionOrder = network.fusionOrder
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

  /// Learning rate over the run.
  public var learningRate: LearningRateSchedule {
    LearningRateSchedule(
      baseRate: scaledLearningRate, warmUpSteps: schedule.warmUpSteps, warmUpRatio: schedule.warmUpRatio,
      warmUpTo: schedule.warmUpTo, power: schedule.power, totalSteps: schedule.decaySteps ?? schedule.steps)
  }

  /// Momentum of the teacher over the run.
  public var teacherMomentum: TeacherMomentum {
    TeacherMomentum(alpha: scaledMomentum, average: teacher.average)
  }

  /// The optimizer over a network's parameters, with the published groups by name.
  /// - Parameters:
  ///   - parameters: the network's.
  ///   - owned: the elements that this rank advances; nil for all.
  public func makeOptimizer(
    _ parameters: NetworkParameters, owned: [Range<Int>]? = nil
  ) -> any ArenaOptimizer {
    let groups = ParameterGroups(headFactor: optimizer.headFactor, weightDecay: optimizer.weightDecay)
    let slices = parameters.slices.map { groups.slice(name: $0.name, range: $0.range, isTrained: $0.isTrained) }
    switch optimizer.name {
    case .adamw:
      return AdamW(
        slices: slices, owned: owned, beta1: optimizer.betas[0], beta2: optimizer.betas[1],
        epsilon: optimizer.epsilon)
    case .sgd: return SGD(slices: slices, owned: owned, momentum: optimizer.momentum)
    }
  }
}
