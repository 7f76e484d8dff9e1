// A thread beside the training thread that notices when a rank stands still: MPI itself waits for ever.

import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Short messages between watchdogs, apart from all other communication. Used by one thread of each rank.
public protocol HeartbeatChannel: AnyObject, Sendable {
  /// Sends at once or not at all: false where an earlier message to that rank is still on its way. Never waits.
  func send(_ bytes: [UInt8], to rank: Int) -> Bool
  /// The next message that has arrived, or nil. Never waits.
  func receive() -> [UInt8]?
}

/// Watches over the ranks of a job and ends it where one is stalled.
///
/// Every rank tells rank 0 several times within the limit where its training thread is (`Activity`), and rank 0 tells all
/// the others that it is there. Time in which this process itself did not run, because the whole job was suspended,
/// does not count.
public final class Watchdog: @unchecked Sendable {
  private struct Shared {
    var stepSeconds: [Double] = []
    var isStopping = false
  }

  private let rank: Int
  private let hosts: [String]
  private let limits: StallLimits
  private let channel: (any HeartbeatChannel)?
  private let endJob: @Sendable (Failure) -> Void
  private let shared = Mutex(Shared())
  private let interval: Double
  private var thread: SystemThread?
  private static let farewellSeconds = 10.0

  /// Starts to watch.
  /// - Parameters:
  ///   - rank: this rank.
  ///   - hosts: host by rank.
  ///   - limits: when a rank counts as stalled.
  ///   - channel: leads to the other ranks; a rank without one watches itself.
  ///   - endJob: called from the watchdog's thread with the reason; ends the job on all ranks.
  /// - Throws: `Failure` 70 where there is no thread for it.
  public init(
    rank: Int, hosts: [String], limits: StallLimits, channel: (any HeartbeatChannel)?,
    endJob: @escaping @Sendable (Failure) -> Void
  ) throws {
    precondition(channel != nil || hosts.count == 1, "\(hosts.count) ranks need a channel")
    self.rank = rank
    self.hosts = hosts
    self.limits = limits
    self.channel = channel
    self.endJob = endJob
    interval = min(1, limits.minimumSeconds / 10)
    thread = try SystemThread("watchdog") { [self] in watch() }
  }

  /// Tells how long a step took. The usual duration is the median of the last few.
  public func stepEnded(seconds: Double) {
    shared.withLock {
      $0.stepSeconds.append(seconds)
      if $0.stepSeconds.count > 15 { $0.stepSeconds.removeFirst() }
    }
  }

  /// Ends the watch. Called by all ranks at about the same time; returns when no message is under way any more, or
  /// after 10 s.
  public func stop() {
    shared.withLock { $0.isStopping = true }
    thread?.join()
    thread = nil
  }

  private var usual: Double? {
    shared.withLock { state in
      state.stepSeconds.isEmpty ? nil : state.stepSeconds.sorted()[state.stepSeconds.count / 2]
    }
  }

  private func watch() {
    var judge = StallJudge(rank: rank, ranks: hosts.count)
    var marks = -1
    var standing = 0.0
    while true {
      let elapsed = nap()
      if shared.withLock({ $0.isStopping }) { return sayFarewell(&judge) }
      let place = Activity.place
      standing = place.marks == marks ? standing + elapsed : 0
      marks = place.marks
      let beat = Heartbeat(rank: rank, place: place, standing: standing)
      judge.advance(by: elapsed)
      judge.heard(beat)
      tellOthers(beat)
      listen(&judge)
      guard let stall = judge.stall(limits, usual: usual) else { continue }
      endJob(
        Failure(
          .internal, stall.description(hosts: hosts), at: "stalled",
          remedy: "the job ends; look there and go on with --resume"))
      return
    }
  }

  /// Sleeps until the next beat or until the watch ends. Returns the seconds that count.
  private func nap() -> Double {
    let watch = Stopwatch()
    while watch.seconds < interval, !shared.withLock({ $0.isStopping }) { usleep(20_000) }
    return min(watch.seconds, 2 * interval)
  }

  private func tellOthers(_ beat: Heartbeat) {
    guard let channel else { return }
    let bytes = beat.bytes
    if rank > 0 {
      _ = channel.send(bytes, to: 0)
    } else {
      for other in hosts.indices.dropFirst() { _ = channel.send(bytes, to: other) }
    }
  }

  private func listen(_ judge: inout StallJudge) {
    while let bytes = channel?.receive() {
      if let beat = Heartbeat(bytes) { judge.heard(beat) }
    }
  }

  /// Last words, in which no message is left behind: rank 0 hears all others, then all hear rank 0.
  private func sayFarewell(_ judge: inout StallJudge) {
    guard let channel else { return }
    let watch = Stopwatch()
    let bytes = Heartbeat(rank: rank, place: Activity.place, standing: 0, isLast: true).bytes
    var unsent = rank == 0 ? Array(hosts.indices.dropFirst()) : [0]
    var missing = unsent
    while !(unsent.isEmpty && missing.isEmpty), watch.seconds < Watchdog.farewellSeconds {
      listen(&judge)
      let waitedFor = judge.waitedFor
      missing.removeAll { !waitedFor.contains($0) }
      if rank > 0 || missing.isEmpty { unsent.removeAll { channel.send(bytes, to: $0) } }
      usleep(1000)
    }
  }
}
