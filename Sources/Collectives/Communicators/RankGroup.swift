// Some of the ranks, as a world of their own: a team that shares samples, or the ranks that hold the same part in every
// team. Messages go point to point through the world's communicator.

import Support

/// A few ranks of a communicator, numbered by their place in a list.
///
/// Nothing is set up together: every member makes the group by itself, from the same list. Only members call its
/// operations, in the same order. Messages between two ranks keep their order whatever groups they belong to, so groups
/// may overlap as long as all ranks go through them in one order.
public final class RankGroup: Communicator {
  /// Ranks of the communicator it was made from, by place.
  public let members: [Int]
  /// This rank's place, 0 ..< worldSize.
  public let rank: Int
  private let world: any Communicator

  /// - Precondition: `members` are different ranks of `world`, this rank among them.
  public init(_ members: [Int], of world: any Communicator) {
    precondition(
      Set(members).count == members.count && members.allSatisfy { (0..<world.worldSize).contains($0) },
      "\(members) of \(world.worldSize) ranks")
    guard let place = members.firstIndex(of: world.rank) else {
      preconditionFailure("rank \(world.rank) is not one of \(members)")
    }
    self.members = members
    self.world = world
    rank = place
  }

  /// Number of members.
  public var worldSize: Int { members.count }
  /// Name of the host this rank runs on.
  public var hostName: String { world.hostName }
  /// The world's.
  public var agreedFailure: Failure? {
    get { world.agreedFailure }
    set { world.agreedFailure = newValue }
  }

  /// See `Communicator`.
  public func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    try world.exchange(
      sending: outgoing, to: members[destination], receiving: incoming, from: members[source])
  }

  /// See `Communicator`.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws {
    try world.send(bytes, to: members[destination])
  }

  /// See `Communicator`.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws {
    try world.receive(bytes, from: members[source])
  }

  /// Along a binary tree, which doubles the number of members that have the bytes in every round.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    let place = (rank - root + worldSize) % worldSize
    var distance = 1
    while distance < worldSize {
      if place < distance, place + distance < worldSize {
        try send(UnsafeRawBufferPointer(bytes), to: (place + distance + root) % worldSize)
      } else if place >= distance, place < 2 * distance {
        try receive(bytes, from: (place - distance + root) % worldSize)
      }
      distance *= 2
    }
  }

  /// Nobody knows of all members before all are here.
  public func barrier() throws { _ = try gathered([UInt8(0)], lengths: [Int](repeating: 1, count: worldSize)) }

  /// Refused: the library knows the whole world only.
  public func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    throw Failure(
      .internal, "the library's own sum over \(worldSize) of \(world.worldSize) ranks", remedy: "use reproducible sums")
  }

  /// The world's channel under the group's numbers. All ranks of the world call it at once, each for a group of its own.
  public func openChannel(lanes: Int) throws -> any MessageChannel {
    GroupChannel(try world.openChannel(lanes: lanes), ranks: members)
  }

  /// None: a watchdog looks after the whole world.
  public func heartbeatChannel() throws -> (any HeartbeatChannel)? { nil }

  /// The world's log, under the world's numbers.
  public func noting<Result>(meetingOf ranks: [Int], _ body: () throws -> Result) rethrows -> Result {
    try world.noting(meetingOf: ranks.map { members[$0] }, body)
  }

  /// The world's log.
  public func noting<Result>(unit name: String, _ body: () throws -> Result) rethrows -> Result {
    try world.noting(unit: name, body)
  }

  /// Ends the job on all ranks of the world.
  public func abort(_ reason: String, status: Int32) -> Never { world.abort(reason, status: status) }
}

extension Communicator {
  /// Every rank's values, in rank order, on every rank, by log2 P exchanges, rounded up, in which the number of ranks whose
  /// values are known doubles; every rank sends the values of P - 1 ranks in all.
  ///
  /// Source: Bruck, Ho, Kipnis, Upfal, Weathersby, Efficient Algorithms for All-to-All Communications in Multiport
  /// Message-Passing Systems, IEEE TPDS 1997, section 4.
  /// - Parameters:
  ///   - own: this rank's values.
  ///   - lengths: number of values of each rank, the same on all.
  public func gathered<Element: BitwiseCopyable>(_ own: [Element], lengths: [Int]) throws -> [[Element]] {
    precondition(
      lengths.count == worldSize && lengths[rank] == own.count, "\(own.count) values of rank \(rank) in \(lengths)")
    func length(_ ranks: Range<Int>) -> Int { ranks.reduce(0) { $0 + lengths[(rank + $1) % worldSize] } }
    // Values of this rank, of the next one, and so on, one after the other.
    var known = own
    known.reserveCapacity(lengths.reduce(0, +))
    var distance = 1
    while distance < worldSize {
      let ranks = min(distance, worldSize - distance)
      let (sent, received) = (length(0..<ranks), length(distance..<distance + ranks))
      known += try known.withUnsafeBytes { outgoing in
        try [Element](unsafeUninitializedCapacity: received) { incoming, count in
          try exchange(
            sending: UnsafeRawBufferPointer(rebasing: outgoing[..<(sent * MemoryLayout<Element>.stride)]),
            to: (rank + worldSize - distance) % worldSize,
            receiving: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: incoming[..<received])),
            from: (rank + distance) % worldSize)
          count = received
        }
      }
      distance *= 2
    }
    var all = [[Element]](repeating: [], count: worldSize)
    var place = 0
    for other in 0..<worldSize {
      let source = (rank + other) % worldSize
      all[source] = Array(known[place..<place + lengths[source]])
      place += lengths[source]
    }
    return all
  }

  /// As above, where a rank knows its own number of values only.
  public func gathered<Element: BitwiseCopyable>(_ own: [Element]) throws -> [[Element]] {
    let ones = [Int](repeating: 1, count: worldSize)
    return try gathered(own, lengths: try gathered([own.count], lengths: ones).map { $0[0] })
  }
}
