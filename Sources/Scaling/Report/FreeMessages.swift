// How long a traced step would take if messages cost nothing: every rank computes what it computed, and waits only for
// what it needs of others.

import Collectives

/// The step on a network without latency, of any bandwidth, whose messages cost no processor time (POP: Dimemas' ideal
/// network).
///
/// The k-th message between two ranks is what the k-th receipt waits for; meetings and broadcasts are told apart by their
/// members and their count. Polling for sums inside a backward pass counts as computing.
///
/// Source: POP Centre of Excellence, Additive and multiplicative efficiency metrics; Rosas, Giménez, Labarta, Scalability
/// prediction for fundamental performance factors, Supercomputing Frontiers and Innovations 2014.
public struct FreeMessages {
  private struct Meeting: Hashable {
    let ranks: [Int]
    let isBroadcast: Bool
  }

  private let events: [[MessageEvent]]
  private var time: [Double]
  private var next: [Int]
  /// Whether the rank has computed and sent what comes before the receipt that it waits for.
  private var isThere: [Bool]
  /// When messages were sent that nobody has taken yet, by sender and receiver.
  private var sent: [SIMD2<Int>: [Double]] = [:]
  private var met: [Meeting: [[Int: Double]]] = [:]
  private var meetings: [[Meeting: Int]]

  private init(_ step: TracedStep) {
    events = step.events
    let ranks = step.events.count
    time = [Double](repeating: 0, count: ranks)
    next = [Int](repeating: 0, count: ranks)
    isThere = [Bool](repeating: false, count: ranks)
    meetings = [[Meeting: Int]](repeating: [:], count: ranks)
  }

  /// Seconds of the last rank; nil where the events of ranks do not fit together.
  public static func seconds(_ step: TracedStep) -> Double? {
    var free = FreeMessages(step)
    var moved = true
    while moved {
      moved = false
      for rank in step.events.indices {
        while free.advance(rank) { moved = true }
      }
    }
    guard zip(free.next, step.events).allSatisfy({ $0 == $1.count }) else { return nil }
    return zip(free.time, step.tail).map { $0 + $1 }.max()
  }

  /// Takes the rank past its next event if nothing holds it there.
  private mutating func advance(_ rank: Int) -> Bool {
    guard next[rank] < events[rank].count else { return false }
    let event = events[rank][next[rank]]
    if !isThere[rank] {
      isThere[rank] = true
      time[rank] += event.computing
      arrives(rank, event.kind)
    }
    guard let end = end(rank, event.kind) else { return false }
    time[rank] = max(time[rank], end)
    next[rank] += 1
    isThere[rank] = false
    return true
  }

  private mutating func arrives(_ rank: Int, _ kind: MessageEvent.Kind) {
    switch kind {
    case .exchange(let to, _), .send(let to): sent[[rank, to], default: []].append(time[rank])
    case .receive, .end: break
    case .broadcast(let root): join(rank, Meeting(ranks: [root], isBroadcast: true))
    case .meeting(let ranks): join(rank, Meeting(ranks: ranks, isBroadcast: false))
    }
  }

  private mutating func join(_ rank: Int, _ meeting: Meeting) {
    let number = meetings[rank][meeting, default: 0]
    while met[meeting, default: []].count <= number { met[meeting, default: []].append([:]) }
    met[meeting]?[number][rank] = time[rank]
  }

  /// When the rank may go on; nil if that is not known yet.
  private mutating func end(_ rank: Int, _ kind: MessageEvent.Kind) -> Double? {
    switch kind {
    case .send, .end: return time[rank]
    case .exchange(_, let from), .receive(let from):
      guard let first = sent[[from, rank]]?.first else { return nil }
      sent[[from, rank]]?.removeFirst()
      return first
    case .broadcast(let root):
      let meeting = Meeting(ranks: [root], isBroadcast: true)
      let number = meetings[rank][meeting, default: 0]
      guard let start = met[meeting]?[number][root] else { return nil }
      meetings[rank][meeting] = number + 1
      return start
    case .meeting(let ranks):
      let meeting = Meeting(ranks: ranks, isBroadcast: false)
      let number = meetings[rank][meeting, default: 0]
      guard let arrivals = met[meeting]?[number], arrivals.count == ranks.count else { return nil }
      meetings[rank][meeting] = number + 1
      return arrivals.values.max()
    }
  }
}
