// From a study to its cells, each proved possible before anything starts, and to the order of launches.

import Benchmarks
import DataParallel
import Foundation
import Launching
import Recipes
import Support
import Training

/// Where launches will run, as far as it is known beforehand.
public struct StudyPlace: Sendable, Equatable {
  /// Cores of a host.
  public var cores: Int
  /// Hosts; nil where the launcher alone knows.
  public var hosts: Int?
  /// Ranks that the hosts have room for; nil without a limit.
  public var room: Int?
  /// Whether one machine plays all hosts.
  public var isPlayed: Bool

  /// A place.
  public init(cores: Int, hosts: Int? = 1, room: Int? = nil, isPlayed: Bool = false) {
    self.cores = cores
    self.hosts = hosts
    self.room = room
    self.isPlayed = isPlayed
  }

  /// A place where everything fits: it has every cell that any place has.
  public static let anywhere = StudyPlace(cores: Int(Int32.max))

  /// What a study's launcher will use.
  /// - Throws: `Failure` 66 if its host file is missing, 65 if it cannot be read as one.
  public init(_ launching: StudyLaunching, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
    let cores = launching.cores ?? max(1, Int(clamping: usableCores()))
    if launching.method == .cluster {
      self.init(cores: cores, hosts: nil, isPlayed: true)
    } else if launching.method == .slurm {
      self.init(cores: cores, hosts: nil)
    } else if let path = launching.hosts {
      let file = try HostFile(contentsOf: path, ranksPerNode: launching.ranksPerNode)
      self.init(cores: cores, hosts: Set(file.hosts.map { String($0.address) }).count, room: file.room)
    } else if environment["SLURM_JOB_ID"] != nil {
      self.init(cores: cores, hosts: environment["SLURM_NNODES"].flatMap { Int($0) } ?? 1)
    } else {
      self.init(cores: cores)
    }
  }

  /// What launches of a layout are worth.
  func nature(ranks: Int, threads: Int, perNode: Int?) -> CellNature {
    guard !isPlayed else { return .functional }
    let hosts = hosts ?? 1
    let onHost = min(ranks, perNode ?? (ranks + hosts - 1) / hosts)
    return onHost * threads > cores ? .functional : .measured
  }
}

/// The cells of a study and the order of their launches.
public struct StudyPlan: Sendable {
  /// The study.
  public let study: Study
  /// All cells, those of points first, in the order of the file.
  public let cells: [StudyCell]
  /// Recipes of its cells, by name.
  let recipes: [String: Recipe]

  private init(_ study: Study, _ cells: [StudyCell], _ recipes: [String: Recipe]) {
    self.study = study
    self.cells = cells
    self.recipes = recipes
  }

  /// The same with some of its cells.
  func keeping(_ isKept: (StudyCell) -> Bool) -> StudyPlan { StudyPlan(study, cells.filter(isKept), recipes) }

  /// Makes the cells and proves every one.
  /// - Throws: `Failure` 65 with the line of the point that cannot be, what is wrong with the cell by name, and what
  ///   would do.
  public init(_ file: SettingsFile<Study>, at place: StudyPlace) throws {
    study = file.group
    guard study.repeat.least <= study.repeat.most else {
      throw file.refusal("repeat.most", "is \(study.repeat.most), less than repeat.least (\(study.repeat.least))")
    }
    var cells: [StudyCell] = []
    var works = StudyWorks(file)
    guard !study.points.isEmpty else { throw file.refusal("points", "is empty", remedy: "name at least one point") }
    for (index, point) in study.points.enumerated() {
      let work = try works.work(of: point, "points[\(index)]")
      for cell in try StudyPlan.cells(of: point, work, "points[\(index)]", file, place) {
        guard !cells.contains(where: { $0.name == cell.name }) else {
          throw file.refusal("points[\(index)]", "repeats the cell \(cell.name)")
        }
        cells.append(cell)
      }
    }
    recipes = works.recipes
    self.cells = cells + StudyPlan.controls(of: cells, try works.work(of: StudyPoint(), "work"), study, place)
  }

  private static func cells(
    of point: StudyPoint, _ work: CellWork, _ key: String, _ file: SettingsFile<Study>, _ place: StudyPlace
  ) throws -> [StudyCell] {
    let factors = file.group.factors
    try checkBatch(of: point, key, file)
    var cells = point.ranks.flatMap { ranks in
      point.cropShards.map { shards in
        // A batch that the ranks cannot form is refused by `check`.
        StudyCell(
          point.kind == .weak ? .weak : .strong, ranks: ranks,
          globalBatch: point.globalBatch ?? point.samplesPerRank * max(1, ranks / shards), cropShards: shards, of: work)
      }
    }
    cells = cells.flatMap { cell in factors.threads.map { cell.with(threads: $0) } }
    cells = cells.flatMap { cell in
      factors.overlap.compactMap(OverlapSetting.init(rawValue:)).map { cell.with(overlap: $0) }
    }
    cells = cells.flatMap { cell in factors.shardMoments.map { cell.with(shardMoments: $0) } }
    cells = cells.flatMap { cell in
      factors.accumulate.map { cell.with(accumulate: $0, globalBatch: point.globalBatch ?? cell.globalBatch * $0) }
    }
    if !factors.batchRule.isEmpty {
      cells = cells.flatMap { cell in
        factors.batchRule.compactMap(Recipe.BatchRule.init(rawValue:)).map { cell.with(batchRule: $0) }
      }
    }
    let heldOut = file.group.heldOut
    for index in cells.indices {
      cells[index].isHeldOut =
        heldOut.ranksFrom.map { cells[index].ranks >= $0 } == true || heldOut.cases.contains(work.name)
      cells[index].nature = place.nature(
        ranks: cells[index].ranks, threads: cells[index].threads, perNode: file.group.launch.ranksPerNode)
      try check(cells[index], key, file, place)
    }
    return cells
  }

  /// A global batch is what strong scaling keeps, and what weak scaling lets grow.
  private static func checkBatch(of point: StudyPoint, _ key: String, _ file: SettingsFile<Study>) throws {
    guard point.kind == .weak || point.globalBatch != nil else {
      throw file.refusal("\(key).globalBatch", "is missing", remedy: "strong scaling is of one global batch")
    }
    guard point.kind == .strong || point.globalBatch == nil else {
      throw file.refusal(
        "\(key).globalBatch", "has no meaning for weak scaling", remedy: "use samplesPerRank, or kind: strong")
    }
  }

  /// Proves that a cell can be launched.
  private static func check(
    _ cell: StudyCell, _ key: String, _ file: SettingsFile<Study>, _ place: StudyPlace
  ) throws {
    if let room = place.room, cell.ranks > room {
      throw file.refusal(
        "\(key).ranks", "has the cell \(cell.name), but the hosts have room for \(room) ranks",
        remedy: "name more hosts, or fewer ranks")
    }
    guard cell.globalBatch.isMultiple(of: cell.accumulate) else {
      throw file.refusal(
        key, "has the impossible cell \(cell.name): \(cell.globalBatch) samples in \(cell.accumulate) micro-batches",
        remedy: "use a global batch that is a multiple of \(cell.accumulate)")
    }
    guard cell.steps > cell.leastWarmUp else {
      throw file.refusal(
        key, "has the cell \(cell.name), whose \(cell.steps) steps are all warm-up",
        remedy: "give it more than \(cell.leastWarmUp) steps")
    }
    do {
      _ = try ShardPlan(
        globalBatch: cell.globalBatch, microBatches: cell.accumulate, cropShards: cell.cropShards,
        worldSize: cell.ranks)
      _ = try cell.resolvedRecipe()
    } catch let failure as Failure {
      let what = [cell.recipe == nil ? nil : failure.place, failure.what].compactMap { $0 }.joined(separator: ": ")
      throw file.refusal(key, "has the impossible cell \(cell.name): \(what)", remedy: failure.remedy)
    }
  }

  /// The launches of a block: every cell once, in an order of its own, so that a machine that drifts meets all alike.
  /// - Parameter block: its number, from 0. The order is a function of it and of the study's seed.
  public func launches(ofBlock block: Int) -> [StudyLaunch] {
    let stream = RandomStream(
      seed: study.order.seed, step: block, sample: nil, purpose: Purpose("scaling", "order"))
    var cells = cells
    // Fisher and Yates; the library's own shuffle may be another one tomorrow.
    for last in stride(from: cells.count - 1, to: 0, by: -1) {
      cells.swapAt(last, Int((UInt64(stream.bits(at: UInt32(last))) * UInt64(last + 1)) >> 32))
    }
    return cells.enumerated().map { StudyLaunch(cell: $1, block: block, place: $0) }
  }

  /// A cell by its name.
  public func cell(named name: String) -> StudyCell? { cells.first { $0.name == name } }
}
