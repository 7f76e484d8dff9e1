// This rank's part of a batch: of the global one, or of each micro-batch that it is cut into.

import Autograd
import Collectives
import DataParallel
import Networks

/// Which samples of a batch this rank holds, and whom it shares them with.
///
/// Where gradients are accumulated, the batch is a micro-batch of the step: losses, statistics and class sets are of its
/// samples on all ranks, and no other's.
public struct BatchShare {
  /// All ranks of the run.
  public let world: any Communicator
  /// Ranks that share the batch, in the order of their samples; of every team the one with this rank's place. What is
  /// summed over them is of the whole batch.
  public let communicator: any Communicator
  /// Ranks that hold the same samples and share out their crops and windows; nil where this rank computes all.
  public let team: (any Communicator)?
  /// Samples of all ranks together, in one micro-batch.
  public let globalBatch: Int
  /// Micro-batches of a step.
  public let microBatches: Int
  /// Indices of this rank's samples in the step; as a share is made, those of the first micro-batch.
  public private(set) var samples: Range<Int>

  /// A share without a team.
  public init(communicator: any Communicator, globalBatch: Int, samples: Range<Int>) {
    world = communicator
    self.communicator = communicator
    team = nil
    self.globalBatch = globalBatch
    microBatches = 1
    self.samples = samples
  }

  /// The share of a rank of `world` as planned.
  public init(_ plan: ShardPlan, on world: any Communicator) {
    precondition(plan.worldSize == world.worldSize && plan.rank == world.rank, "a plan for another rank")
    self.world = world
    communicator = plan.teamSize > 1 ? RankGroup(plan.counterparts, of: world) : world
    team = plan.teamSize > 1 ? RankGroup(Array(plan.team), of: world) : nil
    globalBatch = plan.microBatch
    microBatches = plan.microBatches
    samples = plan.samples
  }

  /// The share of a micro-batch by its number, from 0: the same place among its samples as in the first one's.
  public func ofMicroBatch(_ index: Int) -> BatchShare {
    precondition((0..<microBatches).contains(index), "micro-batch \(index) of \(microBatches)")
    var other = self
    other.samples = samples.lowerBound + index * globalBatch..<samples.upperBound + index * globalBatch
    return other
  }

  /// Context of a pass over this share.
  public func context(
    tape: Tape? = nil, normalization: NormalizationMode, draws: StochasticDraws? = nil
  ) -> ForwardContext {
    ForwardContext(
      tape: tape, normalization: normalization, draws: draws, communicator: communicator, globalBatch: globalBatch,
      microBatches: microBatches, firstSample: samples.lowerBound, team: team)
  }
}
