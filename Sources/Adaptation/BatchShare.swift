// This rank's part of the global batch.

import Autograd
import Collectives
import DataParallel
import Networks

/// Which samples of the global batch this rank holds, and whom it shares them with.
public struct BatchShare {
  /// Ranks that share the batch.
  public let communicator: any Communicator
  /// Samples of all ranks together.
  public let globalBatch: Int
  /// Global indices of this rank's samples.
  public let samples: Range<Int>

  /// A share; see `ShardPlan` for how samples are dealt out.
  public init(communicator: any Communicator, globalBatch: Int, samples: Range<Int>) {
    self.communicator = communicator
    self.globalBatch = globalBatch
    self.samples = samples
  }

  /// Context of a pass over this share.
  public func context(
    tape: Tape? = nil, normalization: NormalizationMode, draws: StochasticDraws? = nil
  ) -> ForwardContext {
    ForwardContext(
      tape: tape, normalization: normalization, draws: draws, communicator: communicator, globalBatch: globalBatch,
      firstSample: samples.lowerBound)
  }
}
