// Which samples of the global batch a rank holds.

import Collectives
import Support

/// The global batch cut into contiguous, equal blocks, one per rank.
public struct ShardPlan: Sendable, Equatable {
  /// Samples of the global batch (of one micro-batch, where gradients are accumulated).
  public let globalBatch: Int
  /// Number of ranks that share it.
  public let worldSize: Int
  /// Samples of one rank.
  public let samplesPerRank: Int
  /// The rank this plan was made on.
  public let rank: Int

  /// Cuts the batch for the ranks of a communicator; communicates nothing, and throws as below.
  public init(globalBatch: Int, on communicator: any Communicator) throws {
    try self.init(globalBatch: globalBatch, worldSize: communicator.worldSize, rank: communicator.rank)
  }

  /// Cuts the batch.
  /// - Throws: `Failure` (65) naming the nearest choices where the batch has no such equal parts. Every rank comes to
  ///   the same verdict; call it inside `together` so that it is printed once.
  public init(globalBatch: Int, worldSize: Int, rank: Int = 0) throws {
    precondition(rank >= 0 && rank < worldSize, "no rank \(rank) among \(worldSize)")
    guard globalBatch > 0 else {
      throw Failure(.badData, "a global batch of \(globalBatch) samples is empty", at: "batch.global")
    }
    guard globalBatch.isMultiple(of: worldSize) else {
      let fewer = (1..<worldSize).last { globalBatch.isMultiple(of: $0) }
      let more = worldSize < globalBatch ? (worldSize...globalBatch).first { globalBatch.isMultiple(of: $0) } : nil
      let ranks = [fewer, more].compactMap { $0.map(String.init) }.joined(separator: " or ")
      let below = globalBatch / worldSize * worldSize
      let batches = [below, below + worldSize].filter { $0 > 0 }.map(String.init).joined(separator: " or ")
      throw Failure(
        .badData, "a global batch of \(globalBatch) samples cannot be cut into \(worldSize) equal parts",
        at: "batch.global", remedy: "use \(ranks) ranks, or batch.global: \(batches)")
    }
    self.globalBatch = globalBatch
    self.worldSize = worldSize
    samplesPerRank = globalBatch / worldSize
    self.rank = rank
  }

  /// Global indices of this rank's samples.
  public var samples: Range<Int> { samples(of: rank) }

  /// Global indices of a rank's samples.
  public func samples(of rank: Int) -> Range<Int> {
    precondition(rank >= 0 && rank < worldSize, "no rank \(rank) among \(worldSize)")
    return rank * samplesPerRank..<(rank + 1) * samplesPerRank
  }

  /// The rank that holds a sample.
  public func rank(of sample: Int) -> Int {
    precondition(sample >= 0 && sample < globalBatch, "no sample \(sample) in a batch of \(globalBatch)")
    return sample / samplesPerRank
  }

  /// Whether the tree over a rank's samples, then over ranks, is the tree over the global batch: the blocks are powers
  /// of two, or one rank holds all.
  public var isReproducible: Bool { worldSize == 1 || samplesPerRank.nonzeroBitCount == 1 }
}
