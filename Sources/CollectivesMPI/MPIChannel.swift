// Messages over MPI that travel while the rank computes: a communicator of their own, a tag for each lane.

import CMPI
import Collectives
import Support

/// A channel over MPI. Open MPI moves messages only while somebody calls it, so whoever waits for them polls.
final class MPIChannel: MessageChannel {
  /// Requests under way on a lane, side by side as MPI wants them.
  private final class Lane {
    var requests: [MPI_Request?] = []
    /// Length and source of each request that receives.
    var expected: [(count: Int, source: Int)?] = []
    var statuses: [MPI_Status] = []
  }

  let lanes: Int
  private var handle: MPI_Comm
  private let rank: Int
  /// Longest single message to and from each rank.
  private let pieceBytes: [Int]
  private let states: [Lane]

  /// Longest single message between hosts: one that Open MPI's TCP transport sends unasked (up to 64 KB, its own header
  /// included).
  ///
  /// A longer one begins with a question, and the answer queues behind all that the same connection carries the other
  /// way. With two ranks that exchange halves of a vector, one direction then idles while the other works: at 2 Gbit/s
  /// a sum of 29 MB took 0.19 s in long messages and takes 0.12 s in these, where 0.116 s is the least possible.
  static let betweenHosts = 60_000

  /// - Parameters:
  ///   - handle: a duplicate that nobody else uses; freed by `close`.
  ///   - rank: this rank.
  ///   - lanes: number of lanes.
  ///   - pieceBytes: longest single message to and from each rank, alike at both ends.
  init(_ handle: MPI_Comm, rank: Int, lanes: Int, pieceBytes: [Int]) {
    self.handle = handle
    self.rank = rank
    self.lanes = lanes
    self.pieceBytes = pieceBytes
    states = (0..<lanes).map { _ in Lane() }
  }

  /// Gives the duplicate back. Called by all ranks, with nothing under way.
  func close() throws {
    var communicator: MPI_Comm? = handle
    try check(MPI_Comm_free(&communicator), "free MPI's communicator", rank)
  }

  func send(_ bytes: UnsafeRawBufferPointer, to destination: Int, lane: Int) throws {
    try forEachPiece(bytes.count, with: destination) { first, count in
      var request: MPI_Request? = cmpi_no_request()
      try check(
        MPI_Isend(
          bytes.baseAddress?.advanced(by: first), Int32(count), cmpi_byte(), Int32(destination), Int32(lane), handle,
          &request),
        "start sending \(bytes.count) bytes to rank \(destination)", rank)
      add(request, nil, lane)
    }
  }

  func receive(_ bytes: UnsafeMutableRawBufferPointer, from source: Int, lane: Int) throws {
    try forEachPiece(bytes.count, with: source) { first, count in
      var request: MPI_Request? = cmpi_no_request()
      try check(
        MPI_Irecv(
          bytes.baseAddress?.advanced(by: first), Int32(count), cmpi_byte(), Int32(source), Int32(lane), handle,
          &request),
        "start receiving \(bytes.count) bytes from rank \(source)", rank)
      add(request, (count, source), lane)
    }
  }

  func poll(lane: Int) throws -> Bool {
    let state = states[lane]
    guard !state.requests.isEmpty else { return true }
    var done: Int32 = 0
    try check(
      MPI_Testall(Int32(state.requests.count), &state.requests, &done, &state.statuses), "move messages on", rank)
    guard done != 0 else { return false }
    try finish(state)
    return true
  }

  private func add(_ request: MPI_Request?, _ expected: (count: Int, source: Int)?, _ lane: Int) {
    let state = states[lane]
    state.requests.append(request)
    state.expected.append(expected)
    state.statuses.append(MPI_Status())
  }

  private func finish(_ state: Lane) throws {
    for (index, expected) in state.expected.enumerated() {
      guard let expected else { continue }
      try checkLength(&state.statuses[index], expected.count, expected.source, rank)
    }
    state.requests.removeAll(keepingCapacity: true)
    state.expected.removeAll(keepingCapacity: true)
    state.statuses.removeAll(keepingCapacity: true)
  }

  private func forEachPiece(
    _ count: Int, with partner: Int, _ body: (_ first: Int, _ count: Int) throws -> Void
  ) rethrows {
    var first = 0
    repeat {
      let length = min(pieceBytes[partner], count - first)
      try body(first, length)
      first += length
    } while first < count
  }
}
