// Sums of long vectors over ranks along the fixed tree, piece by piece over a channel of their own: blocking, or moved on
// by polls while the rank computes. Either way, and for every size of piece, each element is added along the same tree
// as in `RankTree`, so the bits are the same where values travel as Float32. As bfloat16 they are rounded at places that
// depend on where a piece is halved.

import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Long sums under way between ranks.
///
/// Stretches of a vector are queued and cut into pieces of the cache's size, or stay whole on one host. Piece k goes over lane k modulo the number
/// of lanes, on every rank, so that messages find each other whatever the ranks' speeds. Several lanes are under way at
/// once: while one piece is added, others travel.
///
/// Every function is called by all ranks, and stretches are queued in the same order on all; polls may differ. Values
/// must stay where they are until `wait` returns or `poll` returns true.
public final class PiecewiseSum {
  private struct Job {
    let values: UnsafeMutablePointer<Float>
    let piece: Range<Int>
    let work: PieceWork
  }

  /// How vectors are cut.
  public let layout: PieceLayout
  /// Bytes this rank has sent so far.
  public private(set) var sentBytes = 0
  private let channel: any MessageChannel
  private let lanes: [PieceLane]
  /// Memory of all lanes.
  private let scratch: LargeScratch
  private let position: Int
  private let wire: WireFormat
  private var queue: [Job] = []
  private var nextJob = 0
  private var nextLane = 0
  private var busy = 0

  /// Rounds of polls without effect, about a millisecond of them, before a rank gives up its core.
  private static let patience = 2000

  /// Bytes of a piece unless told otherwise: a half of it fits a core's cache. `apus benchmark all-reduce` compares
  /// others.
  public static let usualPieceBytes = 2 << 20

  /// Bytes of the longest stretch that stays whole where there is one lane, unless told otherwise.
  ///
  /// Two cores near each other are faster with pieces (1.4 instead of 1.8 ms for 17 MB), two that are far apart without
  /// (3.0 instead of 5.1 ms). Likely because a long piece has left the other core's cache by the time it is fetched, and
  /// memory is nearer than that cache; this was concluded from times, not counted. Where cores lie is not known here, so
  /// the choice is what keeps up with `MPI_Allreduce` on both. Beyond this length that one gets much slower, and pieces
  /// beat it on all cores.
  public static let usualWholeBytes = 32 << 20

  /// Lanes unless told otherwise: 1 where all ranks share a host, else 2. Called by all ranks.
  ///
  /// Two ranks of one host were faster with one lane from 4 to 67 MB. Likely because they copy themselves, so that a
  /// second lane hides nothing and takes cache from the first; that was not measured apart.
  public static func usualLanes(on communicator: any Communicator) throws -> Int {
    Set(try communicator.gatherStrings(communicator.hostName)).count == 1 ? 1 : 2
  }

  /// Opens a channel. Called by all ranks.
  /// - Parameters:
  ///   - communicator: the ranks.
  ///   - order: rank at each position of the tree; nil is the order of ranks, which alone gives the promised bits.
  ///   - wire: how values travel.
  ///   - pieceBytes: bytes of one piece; speed only with `.float32`.
  ///   - lanes: pieces under way at once, equal on all ranks; nil: `usualLanes`.
  ///   - wholeBytes: stretches of at most so many bytes are summed in one piece, equal on all ranks; speed only with
  ///     `.float32`. nil: `usualWholeBytes` with one lane; none with several, as pieces shall travel while others are
  ///     added, nor with numbers of half the width, whose bits depend on where a piece is halved.
  /// - Precondition: `order` holds each rank once.
  public init(
    on communicator: any Communicator, order: [Int]? = nil, wire: WireFormat = .float32,
    pieceBytes: Int = PiecewiseSum.usualPieceBytes, lanes: Int? = nil, wholeBytes: Int? = nil
  ) throws {
    let order = order ?? Array(0..<communicator.worldSize)
    precondition(order.sorted() == Array(0..<communicator.worldSize), "\(order) is no order of the ranks")
    let lanes = try lanes ?? PiecewiseSum.usualLanes(on: communicator)
    precondition(lanes > 0, "\(lanes) lanes")
    let position = order.firstIndex(of: communicator.rank) ?? communicator.rank
    let layout = PieceLayout(
      ranks: order.count, pieceBytes: pieceBytes,
      wholeBytes: wholeBytes ?? (lanes == 1 && wire == .float32 ? PiecewiseSum.usualWholeBytes : 0))
    let channel = try communicator.openChannel(lanes: lanes)
    let scratchCount = PieceLane.scratchCount(layout)
    let scratch = LargeScratch(order.count == 1 ? 0 : lanes * scratchCount)
    self.layout = layout
    self.channel = channel
    self.position = position
    self.wire = wire
    self.scratch = scratch
    self.lanes =
      order.count == 1
      ? []
      : (0..<lanes).map {
        PieceLane(
          channel, lane: $0, layout, order: order, position: position, wire: wire,
          scratch: scratch.base + $0 * scratchCount)
      }
  }

  /// The parts of a stretch that this rank owns after `.scatter`.
  public func owned(of range: Range<Int>) -> [Range<Int>] { layout.owned(of: range, at: position) }

  /// Whether nothing is under way.
  public var isIdle: Bool { busy == 0 && nextJob == queue.count }

  /// Queues a stretch of a vector and starts what can start.
  /// - Parameters:
  ///   - range: elements of the vector.
  ///   - values: the vector's first element; `range` counts from it, on all ranks alike.
  ///   - work: what happens to the stretch.
  public func start(_ range: Range<Int>, of values: UnsafeMutablePointer<Float>, _ work: PieceWork = .sum) throws {
    guard !lanes.isEmpty else { return }
    for piece in layout.pieces(of: range, for: work) { queue.append(Job(values: values, piece: piece, work: work)) }
    sentBytes += bytesSent(range.count, work)
    try fillLanes()
  }

  /// Moves on what has arrived; says whether everything queued is done.
  @discardableResult
  public func poll() throws -> Bool {
    _ = try moveOn()
    return isIdle
  }

  /// Waits until everything queued is done, in a loop of polls: ranks may be at different rounds of different lanes, so
  /// none may insist on one of them.
  public func wait() throws { try poll { !isIdle } }

  /// Waits until every piece queued is at least on its way.
  public func waitForQueue() throws { try poll { nextJob < queue.count } }

  private func poll(while condition: () -> Bool) throws {
    var fruitless = 0
    while condition() {
      fruitless = try moveOn() ? 0 : fruitless + 1
      // Ranks that share a core, as in tests, must let each other run; who yields too early waits for a time slice.
      if fruitless > PiecewiseSum.patience { sched_yield() }
    }
  }

  private func moveOn() throws -> Bool {
    var moved = false
    for index in lanes.indices where lanes[index].isBusy {
      guard try channel.poll(lane: index) else { continue }
      try advance(index)
      moved = true
    }
    return moved
  }

  private func advance(_ index: Int) throws {
    try lanes[index].advance()
    guard !lanes[index].isBusy else { return }
    busy -= 1
    try fillLanes()
  }

  /// Pieces take their lanes strictly in turn: a piece waits for its own lane even where another is free.
  private func fillLanes() throws {
    while nextJob < queue.count, !lanes[nextLane].isBusy {
      let job = queue[nextJob]
      try lanes[nextLane].begin(job.piece, of: job.values, job.work)
      nextJob += 1
      busy += 1
      nextLane = (nextLane + 1) % lanes.count
    }
    guard nextJob == queue.count else { return }
    queue.removeAll(keepingCapacity: true)
    nextJob = 0
  }

  /// What a stretch costs: 2 (P - 1) / P of its bytes for a sum, half of that for one half of a sum.
  private func bytesSent(_ count: Int, _ work: PieceWork) -> Int {
    let halves = work == .sum ? 2 : 1
    let width = wire == .bfloat16 && work != .gather ? 2 : 4
    return halves * width * count * (layout.ranks - 1) / layout.ranks
  }
}
