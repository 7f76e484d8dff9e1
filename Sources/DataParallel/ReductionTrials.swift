// Choices of speed that a run measures for itself at its start. Along the fixed tree with Float32 they change no bit;
// with other sums the size of buckets would, so that training does not try it there.

import Collectives
import Support
import Tensors

/// Whether gradients travel while the last backward pass computes; the recipe's `communication.overlap`.
public enum OverlapSetting: String, Sendable, CaseIterable {
  /// Measured over the first steps.
  case auto
  /// Always.
  case on
  /// Never: they travel after the pass.
  case off
}

/// When gradients travel.
public enum OverlapMode: Sendable, CaseIterable {
  /// After the last backward pass.
  case after
  /// While the last backward pass computes.
  case during
  /// The same, and weight gradients with much work for few bytes are computed last, so that others travel behind them.
  case deferring

  var description: String {
    switch self {
    case .after: "after the last backward pass"
    case .during: "during the last backward pass"
    case .deferring: "during the last backward pass, which leaves some weight gradients for its end"
    }
  }
}

/// Decides when gradients travel.
///
/// Where every core computes and the link is as fast as memory there is nothing idle to use, and polls only get in the
/// way; over a network, messages travel for nothing. The first step shows whether weight gradients can be deferred.
/// Under `auto` it counts for nothing else; then steps of each mode take turns, three of each. What is compared is the
/// time of all backward passes and of the sum, of the slowest rank, by medians.
public final class OverlapTrial {
  /// When gradients travel in the next step.
  public private(set) var mode: OverlapMode
  private let communicator: any Communicator
  private let setting: OverlapSetting
  /// Modes to choose from; nil before the first step.
  private var modes: [OverlapMode]?
  private var isDecided: Bool
  private var nanoseconds: [Int64] = []
  private static let rounds = 3

  /// - Parameters:
  ///   - setting: what the recipe asks for.
  ///   - isPossible: whether gradients are final when the last pass has computed them, on every rank.
  ///   - communicator: the ranks.
  public init(_ setting: OverlapSetting, isPossible: Bool = true, on communicator: any Communicator) {
    self.communicator = communicator
    self.setting = setting
    let mayOverlap = isPossible && communicator.worldSize > 1
    isDecided = setting == .off || !mayOverlap
    mode = mayOverlap && setting == .on ? .during : .after
  }

  /// Takes the time of a step and prepares for the next one. Called by all ranks after every step.
  /// - Parameters:
  ///   - seconds: of all backward passes and of the sum.
  ///   - mayDefer: whether there are weight gradients to defer and memory for it.
  /// - Returns: what was decided, in words, at the one step that decides.
  public func stepEnded(seconds: Double, mayDefer: Bool) throws -> String? {
    guard !isDecided else { return nil }
    guard let modes else { return try choose(mayDefer) }
    nanoseconds.append(Int64(seconds * 1e9))
    mode = modes[nanoseconds.count % modes.count]
    guard nanoseconds.count == OverlapTrial.rounds * modes.count else { return nil }
    let slowest = try communicator.allMaximum(nanoseconds)
    let medians = modes.indices.map { first in
      let times = stride(from: first, to: slowest.count, by: modes.count).map { slowest[$0] }.sorted()
      return times[times.count / 2]
    }
    let best = medians.indices.reduce(0) { medians[$1] < medians[$0] ? $1 : $0 }
    isDecided = true
    mode = modes[best]
    let others = modes.indices.filter { $0 != best }.map { "\(milliseconds(medians[$0])) ms \(modes[$0].description)" }
    return "gradients travel \(mode.description): backward passes and the sum take \(milliseconds(medians[best])) ms; "
      + others.joined(separator: ", ")
  }

  /// All ranks take the same modes: those that every rank can do.
  private func choose(_ mayDefer: Bool) throws -> String? {
    let canDefer = try communicator.allMinimum(mayDefer ? 1 : 0) == 1
    modes = canDefer ? OverlapMode.allCases : [.after, .during]
    guard setting == .on else { return nil }
    isDecided = true
    mode = canDefer ? .deferring : .during
    return nil
  }

  private func milliseconds(_ nanoseconds: Int64) -> Int { Int((Double(nanoseconds) * 1e-6).rounded()) }
}

extension GradientReduction {
  /// Sizes of buckets that are tried, in bytes.
  static let triedBuckets = [1 << 20, 4 << 20, 16 << 20]

  /// How much longer a sum may take in shorter buckets that are chosen for travelling earlier.
  private static let tolerance = 1.05

  /// Tries sizes of buckets on slots of zeros, takes the shortest of those that are nearly as fast as the fastest and says
  /// so; for about two seconds at most. Called by all ranks.
  ///
  /// Shorter buckets start earlier while the last backward pass computes, and the last one is waited for less long.
  /// - Precondition: `slots` [S, P] holds zeros, which it still does afterwards.
  public func tuneBuckets(_ slots: Tensor) throws -> String? {
    let candidates = GradientReduction.triedBuckets.filter {
      $0 / 2 < slots.perSample * MemoryLayout<Float>.stride && holdsPieces($0)
    }
    guard method == .reproducible, communicator.worldSize > 1, candidates.count > 1 else { return nil }
    var times: [(bytes: Int, nanoseconds: Int64)] = []
    let whole = Stopwatch()
    for bytes in candidates {
      bucketBytes = bytes
      var shortest = Int64.max
      for _ in 0..<3 {
        let watch = Stopwatch()
        _ = try sum(slots)
        let agreed = try communicator.allMaximum([Int64(watch.seconds * 1e9), Int64(whole.seconds)])
        shortest = min(shortest, agreed[0])
        if agreed[1] >= 2 { break }
      }
      times.append((bytes, shortest))
      if try communicator.allMaximum(Int64(whole.seconds)) >= 2 { break }
    }
    let limit = Double(times.map(\.nanoseconds).min() ?? 0) * GradientReduction.tolerance
    guard let best = times.first(where: { Double($0.nanoseconds) <= limit }) else { return nil }
    bucketBytes = best.bytes
    return "buckets of \(best.bytes >> 20) MB: a sum of gradients takes \(best.nanoseconds / 1_000_000) ms"
  }
}
