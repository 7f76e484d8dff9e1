// Choices of speed that a run measures for itself at its start. They never change a bit.

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

/// Decides whether to overlap.
///
/// Where every core computes and the link is as fast as memory there is nothing idle to use, and polls only get in the
/// way; over a network, messages travel for nothing. Under `auto` the first step counts for nothing, then steps with
/// and without overlap alternate, three of each; what is compared is the time from the start of the last backward pass
/// to the finished sum, of the slowest rank, by medians.
public final class OverlapTrial {
  /// Whether the next step overlaps.
  public private(set) var isOn: Bool
  private let communicator: any Communicator
  private var isDecided: Bool
  private var nanoseconds: [Int64] = []
  private static let warmUp = 1
  private static let rounds = 3

  /// - Parameters:
  ///   - setting: what the recipe asks for.
  ///   - isPossible: whether gradients are final when the last pass has computed them, on every rank.
  ///   - communicator: the ranks.
  public init(_ setting: OverlapSetting, isPossible: Bool = true, on communicator: any Communicator) {
    self.communicator = communicator
    let mayOverlap = isPossible && communicator.worldSize > 1
    isDecided = setting != .auto || !mayOverlap
    isOn = mayOverlap && setting == .on
  }

  /// Takes the time of a step and prepares for the next one. Called by all ranks after every step.
  /// - Returns: what was decided, in words, at the one step that decides.
  public func stepEnded(seconds: Double) throws -> String? {
    guard !isDecided else { return nil }
    nanoseconds.append(Int64(seconds * 1e9))
    let timed = nanoseconds.count - OverlapTrial.warmUp
    isOn = timed % 2 == 1
    guard timed == 2 * OverlapTrial.rounds else { return nil }
    let slowest = try communicator.allMaximum(Array(nanoseconds.dropFirst(OverlapTrial.warmUp)))
    func median(_ first: Int) -> Double {
      let times = stride(from: first, to: slowest.count, by: 2).map { slowest[$0] }.sorted()
      return Double(times[times.count / 2]) * 1e-9
    }
    let (blocking, overlapped) = (median(0), median(1))
    isDecided = true
    isOn = overlapped < blocking
    let figures = "\(milliseconds(overlapped)) ms with, \(milliseconds(blocking)) ms without"
    return "gradients travel \(isOn ? "during" : "after") the last backward pass: it and the sum take \(figures)"
  }

  private func milliseconds(_ seconds: Double) -> Int { Int((seconds * 1e3).rounded()) }
}

extension GradientReduction {
  /// Sizes of buckets that are tried, in bytes.
  static let triedBuckets = [1 << 20, 4 << 20, 16 << 20]

  /// Tries sizes of buckets on slots of zeros, takes the fastest and says so; for about two seconds at most. Called by
  /// all ranks.
  ///
  /// - Precondition: `slots` [S, P] holds zeros, which it still does afterwards.
  public func tuneBuckets(_ slots: Tensor) throws -> String? {
    let candidates = GradientReduction.triedBuckets.filter {
      $0 / 2 < slots.perSample * MemoryLayout<Float>.stride && holdsPieces($0)
    }
    guard communicator.worldSize > 1, candidates.count > 1 else { return nil }
    let counted = reducedBytes
    defer { reducedBytes = counted }
    var best: (bytes: Int, nanoseconds: Int64)?
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
      if shortest < best?.nanoseconds ?? Int64.max { best = (bytes, shortest) }
      if try communicator.allMaximum(Int64(whole.seconds)) >= 2 { break }
    }
    guard let best else { return nil }
    bucketBytes = best.bytes
    return "buckets of \(best.bytes >> 20) MB: a sum of gradients takes \(best.nanoseconds / 1_000_000) ms"
  }
}
