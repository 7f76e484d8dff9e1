// Forward contexts for tests.

import Autograd
import Collectives

/// A context for a batch held by one rank.
public func soloContext(_ samples: Int, tape: Tape? = nil, _ mode: NormalizationMode = .batch) -> ForwardContext {
  ForwardContext(
    tape: tape, normalization: mode, communicator: SoloCommunicator(), globalBatch: samples, firstSample: 0)
}
