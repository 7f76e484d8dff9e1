// An arena dealt out over ranks: who owns which elements, and how they come to whoever needs them.

import Collectives
import Kernels
import Support
import Tensors

/// Which rank owns which elements of arenas of one layout. Every element has one owner, for the whole run.
///
/// What exists at its owner only, such as a moment, lies there without gaps: owned stretches one after the other, in
/// the order of the arena. Source: Rajbhandari et al., ZeRO, SC 2020, stage 1.
public final class ArenaShards {
  /// Elements of the arena.
  public let count: Int
  /// What this rank owns, ascending.
  public let own: [Range<Int>]
  private let communicator: any Communicator
  private let stretches: [(range: Range<Int>, owner: Int)]
  /// Place of each of `own` in what lies without gaps.
  private let places: [Int]

  /// Tells all ranks what each owns. Called by all ranks.
  /// - Precondition: every element has one owner, and stretches begin at multiples of the grain.
  public init(_ own: [Range<Int>], of count: Int, on communicator: any Communicator) throws {
    self.count = count
    self.own = own
    self.communicator = communicator
    let all = try communicator.gathered(own.flatMap { [$0.lowerBound, $0.upperBound] })
    var stretches: [(range: Range<Int>, owner: Int)] = []
    for (owner, ends) in all.enumerated() {
      for index in stride(from: 0, to: ends.count, by: 2) { stretches.append((ends[index]..<ends[index + 1], owner)) }
    }
    stretches.sort { $0.range.lowerBound < $1.range.lowerBound }
    var end = 0
    for stretch in stretches {
      precondition(
        stretch.range.lowerBound == end && end.isMultiple(of: PieceLayout.grain),
        "elements \(stretch.range) of rank \(stretch.owner) after \(end)")
      end = stretch.range.upperBound
    }
    self.stretches = stretches
    precondition(end == count, "\(end) of \(count) elements have an owner")
    var place = 0
    places = own.map { range in
      defer { place += range.count }
      return place
    }
  }

  /// The stretches of a range with their owners, in order.
  public func owners(of range: Range<Int>) -> [(range: Range<Int>, owner: Int)] {
    var result: [(range: Range<Int>, owner: Int)] = []
    var index = first(of: stretches.count, after: range.lowerBound) { stretches[$0].range.upperBound }
    while index < stretches.count, stretches[index].range.lowerBound < range.upperBound {
      result.append((stretches[index].range.clamped(to: range), stretches[index].owner))
      index += 1
    }
    return result
  }

  /// The first of `count` ascending ends that lies behind an element.
  private func first(of count: Int, after element: Int, _ end: (Int) -> Int) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if end(middle) > element { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// The view of a stretch that this rank owns, in a tensor that holds what it owns without gaps.
  private func view(_ range: Range<Int>, of shard: Tensor) -> Tensor {
    let index = first(of: own.count, after: range.lowerBound) { own[$0].upperBound }
    precondition(index < own.count && own[index].clamped(to: range) == range, "elements \(range) are another rank's")
    return Tensor(
      shape: [range.count], buffer: shard.buffer,
      offset: shard.offset + places[index] + range.lowerBound - own[index].lowerBound)
  }

  /// Brings a range to one rank, stretch by stretch. Called by all ranks, in the same order.
  /// - Parameters:
  ///   - range: elements of the arena.
  ///   - shard: what this rank owns, without gaps.
  ///   - destination: the rank.
  ///   - take: told on `destination` of each stretch and where in the range it begins.
  public func collect(
    _ range: Range<Int>, of shard: Tensor, at destination: Int, _ take: (_ first: Int, _ values: Tensor) throws -> Void
  ) throws {
    for stretch in owners(of: range) {
      let place = stretch.range.lowerBound - range.lowerBound
      switch (stretch.owner == communicator.rank, destination == communicator.rank) {
      case (true, true): try take(place, view(stretch.range, of: shard))
      case (true, false): try send(view(stretch.range, of: shard), to: destination)
      case (false, true):
        let values = Tensor(uninitialized: [stretch.range.count])
        try receive(values, from: stretch.owner)
        try take(place, values)
      case (false, false): break
      }
    }
  }

  /// Deals out a range that one rank holds. Called by all ranks, in the same order.
  /// - Parameters:
  ///   - range: elements of the arena.
  ///   - whole: the range's values on `source`; not looked at elsewhere.
  ///   - source: the rank that holds them.
  ///   - shard: where this rank keeps what it owns, without gaps.
  public func deal(_ range: Range<Int>, _ whole: Tensor?, from source: Int, into shard: Tensor) throws {
    for stretch in owners(of: range) where [stretch.owner, source].contains(communicator.rank) {
      guard communicator.rank == source else {
        try receive(view(stretch.range, of: shard), from: source)
        continue
      }
      guard let whole, whole.count == range.count else {
        preconditionFailure("\(whole?.shape ?? []) for elements \(range)")
      }
      let place = whole.offset + stretch.range.lowerBound - range.lowerBound
      let values = Tensor(shape: [stretch.range.count], buffer: whole.buffer, offset: place)
      if stretch.owner == source {
        view(stretch.range, of: shard).assign(values)
      } else {
        try send(values, to: stretch.owner)
      }
    }
  }

  /// Numbers that the owners of stretches have formed, on every rank. Called by all ranks.
  /// - Parameters:
  ///   - parts: stretches in any order, each within what one rank owns.
  ///   - byOwner: what `indices` says of them.
  ///   - form: numbers of these stretches, one each.
  func gathered(_ parts: [Range<Int>], byOwner: [[Int]], _ form: ([Range<Int>]) -> [Double]) throws -> [Double] {
    let mine = form(byOwner[communicator.rank].map { parts[$0] })
    var result = [Double](repeating: 0, count: parts.count)
    for (indices, numbers) in zip(byOwner, try communicator.gathered(mine, lengths: byOwner.map(\.count))) {
      for (index, number) in zip(indices, numbers) { result[index] = number }
    }
    return result
  }

  /// Which of the parts each rank owns.
  /// - Precondition: no part has two owners.
  func indices(byOwner parts: [Range<Int>]) -> [[Int]] {
    var result = [[Int]](repeating: [], count: communicator.worldSize)
    for (index, part) in parts.enumerated() {
      let owners = owners(of: part)
      precondition(owners.count == 1, "elements \(part) have \(owners.count) owners")
      result[owners[0].owner].append(index)
    }
    return result
  }

  private func send(_ values: Tensor, to rank: Int) throws {
    let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(start: values.pointer, count: values.count))
    try withExtendedLifetime(values) { try communicator.send(bytes, to: rank) }
  }

  private func receive(_ values: Tensor, from rank: Int) throws {
    let bytes = UnsafeMutableBufferPointer(start: values.pointer, count: values.count)
    try withExtendedLifetime(values) { try communicator.receive(UnsafeMutableRawBufferPointer(bytes), from: rank) }
  }
}
