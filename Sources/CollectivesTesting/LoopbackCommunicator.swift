// Many ranks as threads of one process, for tests: the same calls as over MPI, without MPI.

import Collectives
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One rank of a world whose ranks are threads of this process.
///
/// Sends never wait. Lengths or operations that do not match, ranks that wait for each other or for a rank that is
/// done, and ranks that throw all end in an error on every rank, never in a hang.
public final class LoopbackCommunicator: Communicator {
  /// This rank.
  public let rank: Int
  /// Number of ranks.
  public var worldSize: Int { world.ranks }
  /// Name of this host.
  public let hostName = currentHostName()
  /// The failure last agreed on.
  public var agreedFailure: Failure?
  private let world: LoopbackWorld
  private var channels = 0

  init(rank: Int, world: LoopbackWorld) {
    self.rank = rank
    self.world = world
  }

  /// Runs `body` once per rank, each on a thread of its own, and returns their results by rank.
  ///
  /// Test expectations belong behind this call: a thread that is not the test's own cannot report them.
  /// - Throws: what the first rank that failed has thrown; the others are released with an error of their own.
  @discardableResult
  public static func run<Result: Sendable>(
    ranks: Int, _ body: @Sendable (LoopbackCommunicator) throws -> Result
  ) throws -> [Result] {
    precondition(ranks > 0, "a world needs a rank, not \(ranks)")
    let world = LoopbackWorld(ranks: ranks)
    let results = Slots<Result>(count: ranks)
    withoutActuallyEscaping(body) { body in
      let threads = (0..<ranks).map { rank -> SystemThread? in
        do {
          return try SystemThread("rank \(rank)") {
            do {
              results[rank] = try body(LoopbackCommunicator(rank: rank, world: world))
              world.finish(rank)
            } catch {
              world.fail(rank, error)
            }
          }
        } catch {
          world.fail(rank, error)
          return nil
        }
      }
      for thread in threads { thread?.join() }
    }
    if let failure = world.failure { throw failure }
    return results.all
  }

  /// Sends, then receives.
  public func exchange(
    sending outgoing: UnsafeRawBufferPointer, to destination: Int,
    receiving incoming: UnsafeMutableRawBufferPointer, from source: Int
  ) throws {
    try send(outgoing, to: destination)
    try receive(incoming, from: source)
  }

  /// Leaves the bytes for `destination`.
  public func send(_ bytes: UnsafeRawBufferPointer, to destination: Int) throws {
    try world.post(bytes, .message, to(destination))
  }

  /// Waits for the next bytes of `source`.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int) throws {
    try world.take(bytes, .message, from(source))
  }

  /// The root leaves its bytes for each other rank.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try distribute(bytes, .broadcast, from: root)
  }

  /// Rank 0 hears of all, then all hear of rank 0.
  public func barrier() throws {
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    if rank == 0 {
      for other in 1..<max(worldSize, 1) { try world.take(nothing, .barrier, from(other)) }
    } else {
      try world.post(UnsafeRawBufferPointer(nothing), .barrier, to(0))
    }
    try distribute(nothing, .barrier, from: 0)
  }

  /// Rank 0 adds in rank order: bits differ from the tree's, as a library's may.
  public func nativeSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    let bytes = UnsafeMutableRawBufferPointer(values)
    if rank == 0 {
      let other = UnsafeMutableBufferPointer<Float>.allocate(capacity: values.count)
      defer { other.deallocate() }
      for source in 1..<max(worldSize, 1) {
        try world.take(UnsafeMutableRawBufferPointer(other), .sum, from(source))
        for index in values.indices { values[index] += other[index] }
      }
    } else {
      try world.post(UnsafeRawBufferPointer(bytes), .sum, to(0))
    }
    try distribute(bytes, .sum, from: 0)
  }

  /// None: ranks of one process live and end together.
  public func heartbeatChannel() throws -> (any HeartbeatChannel)? { nil }

  /// A channel whose sends leave a copy and whose receipts are filled when somebody polls.
  public func openChannel(lanes: Int) throws -> any MessageChannel {
    channels += 1
    return LoopbackChannel(rank: rank, world: world, number: channels, lanes: lanes)
  }

  /// Writes the reason and ends the process, which is the whole job here.
  public func abort(_ reason: String, status: Int32) -> Never { leaveProcess(reason, status: status) }

  private func to(_ destination: Int) -> LoopbackWorld.Mailbox {
    LoopbackWorld.Mailbox(source: rank, destination: destination)
  }

  private func from(_ source: Int) -> LoopbackWorld.Mailbox {
    LoopbackWorld.Mailbox(source: source, destination: rank)
  }

  private func distribute(
    _ bytes: UnsafeMutableRawBufferPointer, _ operation: LoopbackWorld.Operation, from root: Int
  ) throws {
    guard rank == root else { return try world.take(bytes, operation, from(root)) }
    for other in 0..<worldSize where other != root {
      try world.post(UnsafeRawBufferPointer(bytes), operation, to(other))
    }
  }
}

/// One place per rank, each written by one thread and read after all have ended.
private final class Slots<Value>: @unchecked Sendable {
  private let places: UnsafeMutableBufferPointer<Value?>

  init(count: Int) {
    places = .allocate(capacity: count)
    places.initialize(repeating: nil)
  }

  deinit {
    places.deinitialize()
    places.deallocate()
  }

  subscript(index: Int) -> Value? {
    get { places[index] }
    set { places[index] = newValue }
  }

  var all: [Value] { places.compactMap { $0 } }
}
