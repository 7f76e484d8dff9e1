// Gradients of a team of ranks that share the crops of their samples. A sample's slot is filled by several ranks, one
// crop each, and must hold the bits that one rank would have put there: contributions are added pass after pass, the
// context's before the detail's. S samples of the team, P parameters.

import Collectives
import Kernels
import Tensors

/// Joins the gradients of a team: of the rank that walks the contexts back, place 0, and the one that walks the details
/// back, place 1. Other places have none.
///
/// The two exchange halves of their slots after every pass and each keeps one half of the sums. Then each half is summed
/// over samples and teams, and the halves are brought together.
public final class TeamGradients {
  private let team: any Communicator
  private let reduction: GradientReduction
  private let count: Int
  private var kept: Tensor?
  /// Room for what comes: a piece.
  private let scratch: Tensor
  private let result: Tensor
  private var passes = 0

  /// Bytes of a piece unless told otherwise. Over TCP, 15 MB took 12 ms in pieces of 2 MB and 8 ms in one.
  public static let usualPieceBytes = 8 << 20

  /// - Parameters:
  ///   - team: ranks with the same samples, at least two.
  ///   - reduction: sums over the ranks with this rank's place in their teams.
  ///   - parameters: P.
  ///   - pieceBytes: bytes of slots exchanged at once, equal on all ranks; speed and memory only.
  public init(
    team: any Communicator, reduction: GradientReduction, parameters: Int,
    pieceBytes: Int = TeamGradients.usualPieceBytes
  ) {
    precondition(team.worldSize > 1, "a team of \(team.worldSize)")
    self.team = team
    self.reduction = reduction
    count = parameters
    scratch = Tensor(uninitialized: [min(parameters, max(1, pieceBytes / MemoryLayout<Float>.stride))])
    result = Tensor(uninitialized: [reduction.scatters && team.rank >= 2 ? 0 : parameters])
  }

  /// The half of the parameters that a place keeps.
  private func half(_ place: Int) -> Range<Int> {
    let grain = PieceLayout.grain
    let middle = count < 2 * grain ? count / 2 : count / 2 / grain * grain
    switch place {
    case 0: return 0..<middle
    case 1: return middle..<count
    default: return 0..<0
    }
  }

  /// What this rank owns of sums that are scattered: parts of the half that its place keeps.
  public var owned: [Range<Int>] {
    let half = half(team.rank)
    return reduction.owned(of: half.count).map { half.lowerBound + $0.lowerBound..<half.lowerBound + $0.upperBound }
  }

  /// What ranks own of parameters goes to all. Called by all ranks.
  public func gather(_ values: Tensor) throws {
    if team.rank < 2 { try reduction.gather(view(values, half(team.rank).lowerBound, half(team.rank).count)) }
    try joinHalves(of: values)
  }

  /// Takes over what a pass has put into the slots, and clears them for the next one. Called by all ranks of the team
  /// after every pass.
  ///
  /// Shape: `slots` [S, P] on the first two places, not looked at on others.
  public func passEnded(_ slots: Tensor?) throws {
    guard team.rank < 2 else { return }
    guard let slots, slots.perSample == count else {
      preconditionFailure("slots \(slots?.shape ?? []) for \(count) parameters")
    }
    let kept = self.kept ?? place(forSamples: slots.samples, half(team.rank))
    self.kept = kept
    for sample in 0..<slots.samples {
      for (mine, theirs) in pieces { try exchange(slots, sample, mine, theirs, kept) }
    }
    passes += 1
  }

  /// Halves in pieces: what comes is added while it is in a cache, and needs no more room than a piece.
  private var pieces: [(mine: Range<Int>, theirs: Range<Int>)] {
    let (mine, theirs) = (half(team.rank), half(1 - team.rank))
    func piece(_ index: Int, of range: Range<Int>) -> Range<Int> {
      let first = range.lowerBound + index * scratch.count
      return min(first, range.upperBound)..<min(first + scratch.count, range.upperBound)
    }
    let number = (max(mine.count, theirs.count) + scratch.count - 1) / scratch.count
    return (0..<number).map { (piece($0, of: mine), piece($0, of: theirs)) }
  }

  /// Exchanges a piece of a sample's slot, adds what this rank keeps of it and clears what it was.
  private func exchange(
    _ slots: Tensor, _ sample: Int, _ mine: Range<Int>, _ theirs: Range<Int>, _ kept: Tensor
  ) throws {
    let given = view(slots, sample * count + theirs.lowerBound, theirs.count)
    try team.exchange(
      sending: UnsafeRawBufferPointer(bytes(given.pointer, given.count)), to: 1 - team.rank,
      receiving: bytes(scratch.pointer, mine.count), from: 1 - team.rank)
    let own = view(slots, sample * count + mine.lowerBound, mine.count)
    let come = view(scratch, 0, mine.count)
    let half = half(team.rank)
    let target = view(kept, sample * half.count + mine.lowerBound - half.lowerBound, mine.count)
    let (first, second) = team.rank == 0 ? (own, come) : (come, own)
    addInTurn(target, first, second, restarts: passes == 0)
    own.fill(0)
    given.fill(0)
  }

  /// Where the half of a rank's sums is kept, `[S, half]`: one sample's in its place in the result.
  private func place(forSamples samples: Int, _ half: Range<Int>) -> Tensor {
    guard samples == 1 else { return Tensor(uninitialized: [samples, half.count]) }
    return Tensor(shape: [1, half.count], buffer: result.buffer, offset: result.offset + half.lowerBound)
  }

  /// The sum over all passes, samples and teams, `[P]`, on every rank, or what the rank owns of it where sums are
  /// scattered (`[0]` on places without gradients). Called by all ranks after the step's last pass.
  ///
  /// It is valid until the next pass has ended.
  public func sum() throws -> Tensor {
    passes = 0
    if team.rank < 2 {
      guard let kept else { preconditionFailure("no pass has ended") }
      let own = try reduction.sum(kept)
      if kept.samples > 1 { view(result, half(team.rank).lowerBound, own.count).assign(own) }
    }
    if !reduction.scatters { try joinHalves(of: result) }
    return result
  }

  /// The two places tell each other their halves, then places tell others the whole, each round twice as many.
  private func joinHalves(of values: Tensor) throws {
    if team.rank < 2 {
      let (mine, theirs) = (half(team.rank), half(1 - team.rank))
      try team.exchange(
        sending: UnsafeRawBufferPointer(bytes(values.pointer + mine.lowerBound, mine.count)), to: 1 - team.rank,
        receiving: bytes(values.pointer + theirs.lowerBound, theirs.count), from: 1 - team.rank)
    }
    let whole = bytes(values.pointer, values.count)
    var told = 2
    while told < team.worldSize {
      if team.rank < told, team.rank + told < team.worldSize {
        try team.send(UnsafeRawBufferPointer(whole), to: team.rank + told)
      } else if told..<2 * told ~= team.rank {
        try team.receive(whole, from: team.rank - told)
      }
      told *= 2
    }
  }

  /// As one sample: kernels cut samples into tiles.
  private func view(_ tensor: Tensor, _ first: Int, _ count: Int) -> Tensor {
    Tensor(shape: [1, count], buffer: tensor.buffer, offset: tensor.offset + first)
  }

  private func bytes(_ first: UnsafeMutablePointer<Float>, _ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: first, count: count))
  }
}
