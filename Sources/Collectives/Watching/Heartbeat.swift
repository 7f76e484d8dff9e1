// What watchdogs tell each other, and who is to blame when a job stands still. Nothing here waits or communicates.

import Support

/// A sign of life of one rank.
public struct Heartbeat: Sendable, Equatable {
  /// The rank.
  public var rank: Int
  /// Where its training thread is.
  public var place: Activity.Place
  /// Seconds since that thread last told anything.
  public var standing: Double
  /// Whether it is the last one: the rank is done.
  public var isLast: Bool

  /// A sign of life.
  public init(rank: Int, place: Activity.Place, standing: Double, isLast: Bool = false) {
    self.rank = rank
    self.place = place
    self.standing = standing
    self.isLast = isLast
  }

  /// At most this many bytes.
  static let maximumBytes = 256

  /// One line of text, the phase last.
  var bytes: [UInt8] {
    let numbers = [
      rank, place.step, place.marks, Int(standing * 1000), place.kind.rawValue, isLast ? 1 : 0,
      place.isWaiting ? 1 : 0, place.phases,
    ]
    let text = numbers.map(String.init).joined(separator: " ") + " " + place.phase
    return Array(text.utf8.prefix(Heartbeat.maximumBytes))
  }

  /// From `bytes`; nil if they are something else.
  init?(_ bytes: [UInt8]) {
    let words = String(decoding: bytes, as: UTF8.self).split(
      separator: " ", maxSplits: 8, omittingEmptySubsequences: false)
    let numbers = words.prefix(8).compactMap { Int($0) }
    guard words.count == 9, numbers.count == 8, let kind = Activity.Kind(rawValue: numbers[4]) else { return nil }
    rank = numbers[0]
    place = Activity.Place(
      step: numbers[1], phase: String(words[8]), kind: kind, phases: numbers[7], marks: numbers[2],
      isWaiting: numbers[6] == 1)
    standing = Double(numbers[3]) / 1000
    isLast = numbers[5] == 1
  }
}

/// When a rank counts as stalled.
public struct StallLimits: Sendable, Equatable {
  /// Times the usual duration of a step.
  public var factor: Double
  /// The limit in seconds where that is less, or where no step has ended yet.
  public var minimumSeconds: Double
  /// Seconds that preparations, and the first step, may take without a mark.
  public var startUpSeconds: Double
  /// Seconds that work beside training steps may take without a mark.
  public var besideSeconds: Double

  /// Limits.
  public init(factor: Double, minimumSeconds: Double, startUpSeconds: Double, besideSeconds: Double = 3600) {
    self.factor = factor
    self.minimumSeconds = minimumSeconds
    self.startUpSeconds = startUpSeconds
    self.besideSeconds = besideSeconds
  }

  /// Seconds without a sign of life after which a rank is stalled.
  func silence(usual: Double?) -> Double { max(minimumSeconds, factor * (usual ?? 0)) }

  /// Seconds at one place after which a rank that gives signs of life is stalled.
  func standing(_ place: Activity.Place, usual: Double?) -> Double {
    switch place.kind {
    case .step where usual != nil: silence(usual: usual)
    case .step, .startUp: max(startUpSeconds, silence(usual: usual))
    case .beside: max(besideSeconds, silence(usual: usual))
    }
  }
}

/// Ranks that hold up a job.
public struct Stall: Sendable, Equatable {
  /// One of them.
  public struct Culprit: Sendable, Equatable {
    /// The rank.
    public let rank: Int
    /// Seconds without a sign of life, or at one place.
    public let seconds: Double
    /// Whether it gives no sign of life.
    public let isSilent: Bool
    /// Where it was last.
    public let place: Activity.Place
  }

  /// In order of ranks.
  public let culprits: [Culprit]

  /// All culprits in words, by host, with what the first has done: `rank 2 on node2 (with 3) and rank 4 on node3 have
  /// given no sign of life for 11 s, in step 17, phase mixed`.
  public func description(hosts: [String]) -> String {
    guard let first = culprits.first else { return "nobody" }
    let places = Dictionary(grouping: culprits.map(\.rank)) { hosts[$0] }.values.sorted { $0[0] < $1[0] }
    let groups = places.map { ranks in
      let others = ranks.count > 1 ? " (with \(shortened(Array(ranks.dropFirst()))))" : ""
      return "rank \(ranks[0]) on \(hosts[ranks[0]])\(others)"
    }
    let who =
      groups.count > 1 ? groups.dropLast().joined(separator: ", ") + " and " + groups[groups.count - 1] : groups[0]
    let how = first.isSilent ? "given no sign of life for" : "stood still for"
    let place = first.place.step > 0 ? "in step \(first.place.step)" : "before the first step"
    return "\(who) \(culprits.count > 1 ? "have" : "has") \(how) \(Int(first.seconds.rounded())) s, "
      + "\(place), phase \(first.place.phase)"
  }

  /// `3, 5 to 7` for 3, 5, 6, 7.
  private func shortened(_ ranks: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for rank in ranks {
      if let last = runs.last, last.upperBound + 1 == rank {
        runs[runs.count - 1] = last.lowerBound...rank
      } else {
        runs.append(rank...rank)
      }
    }
    return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)" }.joined(
      separator: ", ")
  }
}

/// Collects signs of life and judges. Rank 0 judges all ranks; each other rank judges rank 0.
///
/// A rank is stalled if it is silent too long, whatever it was doing: the process is stopped, or its host is gone. Where
/// all give signs of life and all stand still too long, those are to blame that have come least far and do not wait for
/// others.
public struct StallJudge: Sendable {
  private struct Entry {
    var last: Heartbeat
    var silent = 0.0
  }

  private let rank: Int
  private var entries: [Entry]

  /// The judge of a rank.
  public init(rank: Int, ranks: Int) {
    self.rank = rank
    entries = (0..<ranks).map { Entry(last: Heartbeat(rank: $0, place: Activity.Place(), standing: 0)) }
  }

  /// Takes note of a sign of life, the judge's own included.
  public mutating func heard(_ beat: Heartbeat) {
    guard entries.indices.contains(beat.rank) else { return }
    entries[beat.rank] = Entry(last: beat)
  }

  /// Time passes.
  public mutating func advance(by seconds: Double) {
    for index in entries.indices { entries[index].silent += seconds }
  }

  /// Ranks that have not said their last word.
  var waitedFor: [Int] { entries.filter { !$0.last.isLast }.map(\.last.rank) }

  /// Who is stalled, if anybody is.
  /// - Parameters:
  ///   - limits: when a rank counts as stalled.
  ///   - usual: seconds that steps take; nil before the first has ended.
  public func stall(_ limits: StallLimits, usual: Double?) -> Stall? {
    let silence = limits.silence(usual: usual)
    guard rank == 0 else {
      // One after the other, so that one rank speaks for all.
      let patience = silence * (1 + 0.2 * Double(min(rank, 10)))
      guard let first = entries.first, !first.last.isLast, first.silent > patience else { return nil }
      return Stall(culprits: [culprit(first, isSilent: true)])
    }
    let present = entries.filter { !$0.last.isLast }
    if present.contains(where: { $0.silent > silence }) {
      // Others that fell silent with that rank cross the limit a moment later: living ones speak ten times within it.
      let silent = present.filter { $0.silent > silence / 2 }
      return Stall(culprits: silent.map { culprit($0, isSilent: true) })
    }
    guard !present.isEmpty,
      present.allSatisfy({ $0.last.standing > limits.standing($0.last.place, usual: usual) })
    else { return nil }
    let least = present.map { $0.last.place.phases }.min()
    let behind = present.filter { $0.last.place.phases == least }
    let busy = behind.filter { !$0.last.place.isWaiting }
    return Stall(culprits: (busy.isEmpty ? behind : busy).map { culprit($0, isSilent: false) })
  }

  private func culprit(_ entry: Entry, isSilent: Bool) -> Stall.Culprit {
    Stall.Culprit(
      rank: entry.last.rank, seconds: isSilent ? entry.silent : entry.last.standing, isSilent: isSilent,
      place: entry.last.place)
  }
}
