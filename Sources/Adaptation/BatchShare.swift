// This rank's part of the global batch.

import Autograd
import Collectives
import DataParallel
import Networks

/// Which samples of the global batch this rank holds, and whom it shares them with.
public struct BatchShare {
  /// All ranks of the run.
  public let world: any Communicator
  /// Ranks that share the batch, in the order of their samples; of every team the one with this rank's place. What is
  /// summed over them is of the global batch.
  public let communicator: any Communicator
  /// Ranks that hold the same samples and share out their crops and windows; nil where this rank computes all.
  public let team: (any Communicator)?
  /// Samples of all ranks together.
  public let globalBatch: Int
  /// Global indices of this rank's samples.
  public let samples: Range<Int>

  /// A share without a team.
  public init(communicator: any Communicator, globalBatch: Int, samples: Range<Int>) {
    world = communicator
    self.communicator = communicator
    team = nil
    self.globalBatch = globalBatch
    self.samples = samples
  }

  /// The share of a rank of `world` as planned.
  public init(_ plan: ShardPlan, on world: any Communicator) {
    precondition(plan.worldSize == world.worldSize && plan.rank == world.rank, "a plan for another rank")
    self.world = world
    communicator = plan.teamSize > 1 ? RankGroup(plan.counterparts, of: world) : world
    team = plan.teamSize > 1 ? RankGroup(Array(plan.team), of: world) : nil
    globalBatch = plan.globalBatch
    samples = plan.samples
  }

  /// Context of a pass over this share.
  public func context(
    tape: Tape? = nil, normalization: NormalizationMode, draws: StochasticDraws? = nil
  ) -> ForwardContext {
    ForwardContext(
      tape: tape, normalization: normalization, draws: draws, communicator: communicator, globalBatch: globalBatch,
      firstSample: samples.lowerBound, team: team)
  }
}
