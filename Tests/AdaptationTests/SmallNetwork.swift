// A network small enough for many passes, and rank-dependent shares of a batch.

import Adaptation
import Autograd
import Collectives
import Domains
import Networks
import Tensors
import TestSupport

/// A tiny network for 5 classes.
func smallNetwork(
  _ resolution: Resolution = .hrda, slots: Int = 0, seed: UInt64 = 1, dropout: Float = 0.1, detail: Int = 32,
  auxiliary: AuxiliaryHead? = nil
) throws -> SegmentationNetwork {
  var configuration = NetworkConfiguration(
    encoder: "tiny", classCount: 5, detailHeight: detail, detailWidth: detail, headWidth: 16, attentionWidth: 16)
  configuration.resolution = resolution
  configuration.headDropout = dropout
  configuration.auxiliary = auxiliary
  return try SegmentationNetwork(configuration, gradientSlots: slots, seed: seed)
}

/// The equal part of a batch that a rank holds.
func share(of globalBatch: Int, on communicator: any Communicator) -> BatchShare {
  let count = globalBatch / communicator.worldSize
  let first = communicator.rank * count
  return BatchShare(communicator: communicator, globalBatch: globalBatch, samples: first..<first + count)
}

/// A step over a batch; without a network of its own, nobody asks for one.
func stepView(
  _ batch: DomainBatch, _ student: SegmentationNetwork? = nil, _ own: BatchShare? = nil
) throws -> StepView {
  let student = try student ?? smallNetwork()
  return StepView(
    step: 0, batch: batch, share: own ?? share(of: batch.samples.count, on: SoloCommunicator()), student: student,
    teacher: nil, seed: 1,
    draws: SeededDraws(seed: 1, configuration: student.configuration, augmentation: AugmentationOptions()))
}

/// Bit patterns, which tell 0 from -0 and find not-a-number equal to itself.
func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// Overwrites a parameter of a network, official order.
func set(_ network: SegmentationNetwork, _ name: String, _ values: [Float]) -> Bool {
  network.parameters.load(values, named: name, into: network.parameters.values)
}
