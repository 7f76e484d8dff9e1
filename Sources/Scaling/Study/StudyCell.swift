// A cell: one layout of one piece of work, launched again and again.

import Benchmarks
import Collectives
import DataParallel
import Recipes
import Support
import Training

/// What a cell is for.
public enum CellKind: String, Sendable, CaseIterable {
  /// The batch grows with the ranks.
  case weak
  /// The batch stays.
  case strong
  /// A control: so many copies of one rank's work on one host, which do not speak to each other.
  case copies
}

/// Whether a launch may be taken for a measurement.
public enum CellNature: String, Sendable {
  /// Every compute thread has a core, and every host is one.
  case measured
  /// More threads than cores, or one machine that plays several hosts: it shows that the bits agree, nothing about time.
  case functional
}

/// One layout of one piece of work.
public struct StudyCell: Sendable, Equatable {
  /// What it is for.
  public let kind: CellKind
  /// Number of ranks, or of copies.
  public let ranks: Int
  /// Samples of all ranks together; of a copy, its own.
  public private(set) var globalBatch: Int
  /// Ranks that share the crops of a sample.
  public let cropShards: Int
  /// Compute threads of a rank.
  public private(set) var threads: Int
  /// Whether gradients travel during the backward pass.
  public private(set) var overlap: OverlapSetting
  /// Whether moments are dealt out over the ranks.
  public private(set) var shardMoments: Bool
  /// Micro-batches of a step.
  public private(set) var accumulate: Int
  /// The benchmark case, by name.
  public let benchmark: String
  /// Steps of a launch.
  public let steps: Int
  /// Whether it names the case, which is not the study's.
  let namesCase: Bool
  /// Whether it can be measured here, as far as the study tells.
  public internal(set) var nature = CellNature.measured

  /// The name, from which files of its launches are called: what differs from the usual is in it.
  public var name: String {
    var parts = [kind.rawValue, "r\(ranks)", "b\(globalBatch)", "t\(threads)"]
    if cropShards > 1 { parts.append("c\(cropShards)") }
    if accumulate > 1 { parts.append("a\(accumulate)") }
    if shardMoments { parts.append("moments") }
    if overlap != .auto { parts.append("overlap-\(overlap.rawValue)") }
    if namesCase { parts.append("\(benchmark)-\(steps)") }
    return parts.joined(separator: "-")
  }

  /// What every launch must compute to the same bits: work, batch and micro-batches, whatever the layout. Nil for
  /// layouts whose sums follow another tree.
  public var sameBits: String? {
    let world = kind == .copies ? 1 : ranks
    let plan = try? ShardPlan(
      globalBatch: globalBatch, microBatches: accumulate, cropShards: cropShards, worldSize: world)
    guard plan?.isReproducible == true else { return nil }
    return "\(benchmark), \(steps) steps, global batch \(globalBatch)"
      + (accumulate > 1 ? " in \(accumulate) micro-batches" : "")
  }

  /// Steps at the start of a launch that choose something.
  public var leastWarmUp: Int { WarmUp.least(choosesOverlap: overlap == .auto && ranks > 1 && kind != .copies) }

  /// The same with other factors.
  func with(
    threads: Int? = nil, overlap: OverlapSetting? = nil, shardMoments: Bool? = nil, accumulate: Int? = nil,
    globalBatch: Int? = nil
  ) -> StudyCell {
    var cell = self
    cell.threads = threads ?? cell.threads
    cell.overlap = overlap ?? cell.overlap
    cell.shardMoments = shardMoments ?? cell.shardMoments
    cell.accumulate = accumulate ?? cell.accumulate
    cell.globalBatch = globalBatch ?? cell.globalBatch
    return cell
  }

  /// How the benchmark is to share out its samples.
  public var layout: StepBenchmarkLayout {
    var layout = StepBenchmarkLayout()
    (layout.globalBatch, layout.microBatches, layout.cropShards) = (globalBatch, accumulate, cropShards)
    (layout.shardMoments, layout.overlap) = (shardMoments, kind == .copies ? .off : overlap)
    return layout
  }
}

/// A launch of a cell.
public struct StudyLaunch: Sendable, Equatable {
  /// The cell.
  public let cell: StudyCell
  /// The block, from 0.
  public let block: Int
  /// Place in the order of the block, from 0.
  public let place: Int

  /// A launch of a cell.
  public init(cell: StudyCell, block: Int, place: Int) {
    self.cell = cell
    self.block = block
    self.place = place
  }

  /// Name of its file, without an ending.
  public var name: String { StudyLaunch.name(cell: cell.name, block: block) }

  /// The name of a launch.
  public static func name(cell: String, block: Int) -> String {
    let digits = String(block)
    return "\(cell)-\(String(repeating: "0", count: max(0, 3 - digits.count)))\(digits)"
  }
}
