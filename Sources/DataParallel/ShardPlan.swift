// Which samples of the global batch a rank holds, and with which ranks it shares them.

import Collectives
import Support

/// The global batch cut into contiguous, equal blocks, one for each team of ranks; where gradients are accumulated, each
/// of its micro-batches cut alike.
///
/// A team is one rank, or with crop sharding several neighbouring ones that hold the same samples and share out their
/// crops and windows. `cropShards` ranks share samples: as a training pass has two crops of a sample, they form pairs
/// as long as there is a sample for every pair, and larger teams of one sample from there on.
public struct ShardPlan: Sendable, Equatable {
  /// Samples of the global batch.
  public let globalBatch: Int
  /// Equal parts of the global batch that go through the networks one after the other.
  public let microBatches: Int
  /// Number of ranks that share it.
  public let worldSize: Int
  /// Samples of a micro-batch that a rank holds.
  public let samplesPerRank: Int
  /// Ranks that hold the same samples.
  public let teamSize: Int
  /// The rank this plan was made on.
  public let rank: Int

  /// Cuts the batch for the ranks of a communicator; communicates nothing, and throws as below.
  public init(
    globalBatch: Int, microBatches: Int = 1, cropShards: Int = 1, on communicator: any Communicator
  ) throws {
    try self.init(
      globalBatch: globalBatch, microBatches: microBatches, cropShards: cropShards,
      worldSize: communicator.worldSize, rank: communicator.rank)
  }

  /// Cuts the batch.
  /// - Precondition: the batch has so many equal micro-batches.
  /// - Throws: `Failure` (65) naming the nearest choices where the batch has no such equal parts. Every rank comes to
  ///   the same verdict; call it inside `together` so that it is printed once.
  public init(
    globalBatch: Int, microBatches: Int = 1, cropShards: Int = 1, worldSize: Int, rank: Int = 0
  ) throws {
    precondition(rank >= 0 && rank < worldSize, "no rank \(rank) among \(worldSize)")
    guard globalBatch > 0 else {
      throw Failure(.badData, "a global batch of \(globalBatch) samples is empty", at: "batch.global")
    }
    precondition(globalBatch.isMultiple(of: microBatches), "\(globalBatch) samples in \(microBatches) micro-batches")
    self.globalBatch = globalBatch
    self.microBatches = microBatches
    self.worldSize = worldSize
    self.rank = rank
    let groups = try ShardPlan.groups(of: cropShards, worldSize: worldSize)
    try ShardPlan.checkParts(globalBatch, microBatches, groups, cropShards)
    let samples = globalBatch / microBatches / groups
    if cropShards == 1 {
      (teamSize, samplesPerRank) = (1, samples)
    } else if (2 * samples).isMultiple(of: cropShards) {
      (teamSize, samplesPerRank) = (2, 2 * samples / cropShards)
    } else if cropShards.isMultiple(of: samples) {
      (teamSize, samplesPerRank) = (cropShards / samples, 1)
    } else {
      throw Failure(
        .badData, "\(samples) samples cannot be shared out equally among \(cropShards) ranks", at: "batch.cropShards",
        remedy: "use batch.cropShards: 2")
    }
  }

  /// Number of groups of `cropShards` ranks.
  private static func groups(of cropShards: Int, worldSize: Int) throws -> Int {
    precondition(cropShards > 0, "\(cropShards) ranks share a sample")
    guard cropShards.nonzeroBitCount == 1 else {
      let below = 1 << (Int.bitWidth - 1 - cropShards.leadingZeroBitCount)
      throw Failure(
        .badData, "\(cropShards) is no power of two", at: "batch.cropShards", remedy: "use \(below) or \(2 * below)")
    }
    guard worldSize.isMultiple(of: cropShards) else {
      let choices = (0..<cropShards.trailingZeroBitCount).map { 1 << $0 }.filter { worldSize.isMultiple(of: $0) }
      throw Failure(
        .badData, "\(worldSize) rank\(worldSize == 1 ? "" : "s") cannot form groups of \(cropShards)",
        at: "batch.cropShards",
        remedy: "start a multiple of \(cropShards) ranks, or use batch.cropShards: "
          + choices.map(String.init).joined(separator: " or "))
    }
    return worldSize / cropShards
  }

  private static func checkParts(
    _ globalBatch: Int, _ microBatches: Int, _ groups: Int, _ cropShards: Int
  ) throws {
    let samples = globalBatch / microBatches
    guard !samples.isMultiple(of: groups) else { return }
    let ranks = choices(near(groups, in: 1...samples) { samples.isMultiple(of: $0) }.map { $0 * cropShards })
    let unit = groups * microBatches
    let below = globalBatch / unit * unit
    let batches = choices([below, below + unit].filter { $0 > 0 })
    guard microBatches > 1 else {
      throw Failure(
        .badData, "a global batch of \(globalBatch) samples cannot be cut into \(groups) equal parts",
        at: "batch.global", remedy: "use \(ranks) ranks, or batch.global: \(batches)")
    }
    let parts = near(microBatches, in: 1...globalBatch) {
      globalBatch.isMultiple(of: $0) && (globalBatch / $0).isMultiple(of: groups)
    }
    let accumulate = parts.isEmpty ? "" : ", batch.accumulate: \(choices(parts))"
    throw Failure(
      .badData,
      "a micro-batch of \(samples) samples (\(globalBatch) in \(microBatches) parts) cannot be cut into \(groups) equal "
        + "parts", at: "batch.accumulate", remedy: "use \(ranks) ranks\(accumulate), or batch.global: \(batches)")
  }

  /// The nearest numbers below and above one that will do.
  private static func near(_ number: Int, in range: ClosedRange<Int>, _ will: (Int) -> Bool) -> [Int] {
    [range.last { $0 < number && will($0) }, range.first { $0 > number && will($0) }].compactMap { $0 }
  }

  private static func choices(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: " or ") }

  /// Samples of a micro-batch.
  public var microBatch: Int { globalBatch / microBatches }

  /// Number of teams.
  public var teams: Int { worldSize / teamSize }

  /// The ranks of this rank's team, ascending.
  public var team: Range<Int> { rank / teamSize * teamSize..<(rank / teamSize + 1) * teamSize }

  /// This rank's place in its team, from 0.
  public var place: Int { rank % teamSize }

  /// The ranks that have this rank's place in their teams, in the order of their samples.
  public var counterparts: [Int] { Array(stride(from: rank % teamSize, to: worldSize, by: teamSize)) }

  /// Indices of this rank's samples in a micro-batch.
  public var samples: Range<Int> { samples(of: rank) }

  /// Indices of a rank's samples in a micro-batch.
  public func samples(of rank: Int) -> Range<Int> {
    precondition(rank >= 0 && rank < worldSize, "no rank \(rank) among \(worldSize)")
    let team = rank / teamSize
    return team * samplesPerRank..<(team + 1) * samplesPerRank
  }

  /// The ranks that hold a sample of a micro-batch.
  public func ranks(of sample: Int) -> Range<Int> {
    precondition(sample >= 0 && sample < microBatch, "no sample \(sample) in a batch of \(microBatch)")
    let first = sample / samplesPerRank * teamSize
    return first..<first + teamSize
  }

  /// Whether the tree over a team's samples, then over teams, is the tree over the micro-batch: the blocks are powers
  /// of two, or one team holds all.
  public var isReproducible: Bool { teams == 1 || samplesPerRank.nonzeroBitCount == 1 }
}
