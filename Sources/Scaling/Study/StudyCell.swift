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
  /// A control: messages and sums by their size.
  case links
  /// A control: saving and loading the state of a run.
  case storage

  /// Whether it is a point of a line over rank counts.
  public var scales: Bool { self == .weak || self == .strong }
  /// Whether its launches are of training steps.
  public var trains: Bool { scales || self == .copies }
}

/// Whether a launch may be taken for a measurement.
public enum CellNature: String, Sendable {
  /// Every compute thread has a core, and every host is one.
  case measured
  /// More threads than cores, or one machine that plays several hosts: it shows that the bits agree, nothing about time.
  case functional
}

/// A piece of work: a benchmark case, or a recipe.
struct CellWork: Sendable, Equatable {
  /// Of the case, or of the recipe.
  var name: String
  /// The recipe's file.
  var recipe: String?
  /// What the recipe says, as a digest.
  var recipeDigest = ""
  /// Whether sums over ranks have the bits of the tree.
  var isReproducible = true
  /// Where samples come from.
  var data = StudyData.synthetic
  /// Steps of a launch.
  var steps: Int
  /// Whether cells have it in their names.
  var isNamed = false
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
  /// How the learning rate follows the batch; nil: as the recipe says.
  public private(set) var batchRule: Recipe.BatchRule?
  /// The benchmark case or the recipe, by name.
  public let benchmark: String
  /// The recipe's file; nil for a benchmark case.
  public let recipe: String?
  /// What the recipe says, as a digest; empty for a benchmark case.
  public let recipeDigest: String
  /// Whether sums over ranks have the bits of the tree.
  let isReproducible: Bool
  /// Where samples come from.
  public let data: StudyData
  /// Steps of a launch.
  public let steps: Int
  /// Whether it names the case, which is not the study's.
  let namesCase: Bool
  /// Whether it can be measured here, as far as the study tells.
  public internal(set) var nature = CellNature.measured
  /// Whether no model of step times may be fitted to it.
  public internal(set) var isHeldOut = false

  /// A cell of some work without factors.
  init(
    _ kind: CellKind, ranks: Int, globalBatch: Int, cropShards: Int = 1, threads: Int = 1, accumulate: Int = 1,
    batchRule: Recipe.BatchRule? = nil, of work: CellWork
  ) {
    self.kind = kind
    self.ranks = ranks
    self.globalBatch = globalBatch
    self.cropShards = cropShards
    self.threads = threads
    self.accumulate = accumulate
    self.batchRule = batchRule
    overlap = .auto
    shardMoments = false
    (benchmark, recipe, recipeDigest) = (work.name, work.recipe, work.recipeDigest)
    (isReproducible, data, steps, namesCase) = (work.isReproducible, work.data, work.steps, work.isNamed)
  }

  /// What it runs.
  var work: CellWork {
    CellWork(
      name: benchmark, recipe: recipe, recipeDigest: recipeDigest, isReproducible: isReproducible, data: data,
      steps: steps, isNamed: namesCase)
  }

  /// The name, from which files of its launches are called: what differs from the usual is in it.
  public var name: String {
    guard kind.trains else { return "\(kind.rawValue)-r\(ranks)" }
    var parts = [kind.rawValue, "r\(ranks)", "b\(globalBatch)", "t\(threads)"]
    if cropShards > 1 { parts.append("c\(cropShards)") }
    if accumulate > 1 { parts.append("a\(accumulate)") }
    if shardMoments { parts.append("moments") }
    if overlap != .auto { parts.append("overlap-\(overlap.rawValue)") }
    if let batchRule { parts.append("rule-\(batchRule.rawValue)") }
    if data == .loader { parts.append("loader") }
    if namesCase { parts.append("\(benchmark)-\(steps)") }
    return parts.joined(separator: "-")
  }

  /// What every launch must compute to the same bits: work, batch and micro-batches, whatever the layout. Nil for
  /// layouts whose sums follow another tree.
  public var sameBits: String? {
    guard kind.trains else { return nil }
    let world = kind == .copies ? 1 : ranks
    let plan = try? ShardPlan(
      globalBatch: globalBatch, microBatches: accumulate, cropShards: cropShards, worldSize: world)
    guard isReproducible, plan?.isReproducible == true else { return nil }
    return "\(benchmark)\(data == .loader ? " by its loader" : ""), \(steps) steps, global batch \(globalBatch)"
      + (accumulate > 1 ? " in \(accumulate) micro-batches" : "")
      + (batchRule.map { ", batch rule \($0.rawValue)" } ?? "")
  }

  /// Where samples come from, in words.
  var dataWords: String {
    switch (recipe != nil, data) {
    case (false, _): "\(benchmark): random images in memory, the loader is not part of it"
    case (true, .synthetic): "recipe \(benchmark): the samples of its first step, held in memory"
    case (true, .loader): "recipe \(benchmark): its data sets by the loader"
    }
  }

  /// Steps at the start of a launch that choose something.
  public var leastWarmUp: Int {
    kind.trains ? WarmUp.least(choosesOverlap: overlap == .auto && ranks > 1 && kind != .copies) : 1
  }

  /// The same with other factors.
  func with(
    threads: Int? = nil, overlap: OverlapSetting? = nil, shardMoments: Bool? = nil, accumulate: Int? = nil,
    globalBatch: Int? = nil, batchRule: Recipe.BatchRule? = nil
  ) -> StudyCell {
    var cell = self
    cell.threads = threads ?? cell.threads
    cell.overlap = overlap ?? cell.overlap
    cell.shardMoments = shardMoments ?? cell.shardMoments
    cell.accumulate = accumulate ?? cell.accumulate
    cell.globalBatch = globalBatch ?? cell.globalBatch
    cell.batchRule = batchRule ?? cell.batchRule
    return cell
  }

  /// How the benchmark is to share out its samples.
  public var layout: StepBenchmarkLayout {
    var layout = StepBenchmarkLayout()
    (layout.globalBatch, layout.microBatches, layout.cropShards) = (globalBatch, accumulate, cropShards)
    (layout.shardMoments, layout.overlap) = (shardMoments, kind == .copies ? .off : overlap)
    layout.batchRule = batchRule ?? .none
    return layout
  }

  /// The recipe with the cell's layout; nil for a benchmark case.
  /// - Throws: `Failure` 65 or 66 where there is no such recipe, or it cannot be trained so.
  public func resolvedRecipe() throws -> Recipe? {
    guard let recipe else { return nil }
    var overrides = [
      "batch.global=\(globalBatch)", "batch.accumulate=\(accumulate)", "batch.cropShards=\(cropShards)",
      "optimizer.shardMoments=\(shardMoments)",
      "communication.overlap=\((kind == .copies ? OverlapSetting.off : overlap).rawValue)",
    ]
    if let batchRule { overrides.append("optimizer.batchRule=\(batchRule.rawValue)") }
    var resolved = try Recipe.read(recipe, overrides: overrides, catalogue: .standard)
    try resolved.checkAbilities()
    resolved.schedule.steps = max(resolved.schedule.steps, steps + 1)
    return resolved
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
