// Study files and the cells they make: every key is read and written, impossible cells are refused by name and line.

import Collectives
import DataParallel
import Foundation
import Recipes
import Scaling
import Support
import Testing

@Suite struct StudyPlanTests {
  private func file(_ yaml: String) throws -> SettingsFile<Study> {
    try SettingsFile(yaml: yaml, path: "study.yaml", folder: "/", called: "study")
  }

  private func plan(_ yaml: String, cores: Int = 2, room: Int? = nil) throws -> StudyPlan {
    try StudyPlan(try file(yaml), at: StudyPlace(cores: cores, room: room))
  }

  /// The failure that reading or planning ends with.
  private func refusal(of yaml: String, room: Int? = nil) -> Failure? {
    do {
      _ = try plan(yaml, room: room)
      return nil
    } catch { return error as? Failure }
  }

  private let whole = """
    study: b0
    work: {case: b0-256, steps: 20}
    launch: {by: mpirun, ranksPerNode: 4, bind: core}
    points:
      - {kind: weak, ranks: [1, 2, 4], samplesPerRank: 1}
      - {kind: strong, ranks: [1, 2, 4], globalBatch: 2, cropShards: [1, 2]}
    factors: {threads: [1], overlap: [auto, off], shardMoments: [false, true], accumulate: [1]}
    controls: {copies: true}
    repeat: {least: 6, most: 30, halfWidth: 0.02, hours: 6}
    order: {seed: 1}
    drop: {steal: 0.5}
    reference: {ranks: 1}
    """

  @Test("a study is written as it was read") func roundTrip() throws {
    let study = try file(whole).group
    #expect(study.points.count == 2 && study.points[1].cropShards == [1, 2] && study.drop.steal == 0.5)
    #expect(try file(study.resolvedYAML).group == study)
  }

  @Test("cells are all combinations, and copies as many as ranks share a host") func cells() throws {
    // Four ranks in teams of one cannot cut a batch of two.
    let refused = try #require(refusal(of: whole))
    #expect(refused.status == .badData && refused.place == "study.yaml:6")
    #expect(refused.what.contains("points[1] has the impossible cell strong-r1-b2-t1-c2"))
    let yaml = whole.replacing(
      "ranks: [1, 2, 4], globalBatch: 2, cropShards: [1, 2]", with: "ranks: [1, 2], globalBatch: 2")
    let plan = try plan(yaml)
    let names = plan.cells.map(\.name)
    #expect(names.count == 3 * 4 + 2 * 4 + 3)
    #expect(names.contains("weak-r4-b4-t1-moments-overlap-off") && names.contains("copies-r2-b1-t1"))
    #expect(names.suffix(2) == ["links-r2", "storage-r1"])
    #expect(Set(names).count == names.count)
    #expect(plan.cell(named: "weak-r4-b4-t1")?.nature == .functional)
    #expect(plan.cell(named: "weak-r2-b2-t1")?.nature == .measured)
    #expect(
      try StudyPlan(try file(yaml), at: StudyPlace(cores: 8, isPlayed: true)).cells.allSatisfy {
        $0.nature == .functional
      })
  }

  @Test(
    "wrong files are refused with line, key and what would do",
    arguments: [
      ("points: [{kind: strong, ranks: [3], globalBatch: 4}]", "study.yaml:1", "strong-r3-b4-t1"),
      ("points:\n- {kind: weak, ranks: [3], cropShards: [2]}", "study.yaml:2", "weak-r3-b1-t1-c2"),
      ("points: [{kind: strong, ranks: [1]}]", "study.yaml:1", "globalBatch is missing"),
      ("points: [{kind: weak, globalBatch: 2}]", "study.yaml:1", "no meaning for weak scaling"),
      ("points: [{ranks: []}]", "study.yaml:1", "points[0].ranks is []"),
      ("points: 3", "study.yaml:1", "a list of mappings"),
      ("points: [{rank: [1]}]", "study.yaml:1", "unknown key points[0].rank"),
      ("work: {steps: 12}", "study.yaml", "all warm-up"),
      ("work: {case: c0}", "study.yaml:1", "work.case is c0"),
      ("points:\n- {data: loader}", "study.yaml:2", "a benchmark case has no data to load"),
      ("points:\n- {case: tiny-64, recipe: a.yaml}", "study.yaml:2", "names a case and a recipe"),
      ("factors: {batchRule: [cubic]}", "study.yaml:1", "factors.batchRule"),
      ("heldOut: {ranksFrom: 1}", "study.yaml:1", "heldOut.ranksFrom"),
      ("factors: {overlap: [sometimes]}", "study.yaml:1", "factors.overlap"),
      ("points: [{}, {}]", "study.yaml:1", "repeats the cell weak-r1-b1-t1"),
      ("repeat: {least: 9, most: 8}", "study.yaml:1", "less than repeat.least"),
      ("study: a/b", "study.yaml:1", "study is a/b"),
      (
        "factors: {accumulate: [2]}\npoints: [{kind: strong, ranks: [1], globalBatch: 3}]", "study.yaml:2",
        "3 samples in 2"
      ),
    ]) func refusals(yaml: String, place: String, what: String) throws
  {
    let failure = try #require(refusal(of: yaml))
    #expect(failure.status == .badData && failure.place == place)
    #expect(failure.what.contains(what), "\(failure)")
  }

  private static let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL.path

  @Test("cells of recipes are read with their layout, and what a recipe refuses is told at the point") func recipes()
    throws
  {
    let recipe = "\(Self.root)/Launch/recipes/test-invariance.yaml"
    let plan = try plan(
      """
      points:
        - {kind: strong, ranks: [1, 2], globalBatch: 4, recipe: \(recipe), data: loader}
        - {kind: strong, ranks: [1], globalBatch: 4, recipe: \(recipe)}
      factors: {overlap: [off], batchRule: [sqrt]}
      heldOut: {ranksFrom: 2}
      """)
    let cell = try #require(
      plan.cell(named: "strong-r2-b4-t1-overlap-off-rule-sqrt-loader-test-invariance-20"))
    let resolved = try #require(try cell.resolvedRecipe())
    #expect(
      resolved.batch.global == 4 && resolved.optimizer.batchRule == .sqrt && resolved.communication.overlap == .off)
    #expect(cell.isHeldOut && !plan.cells[0].isHeldOut && cell.recipeDigest.count > 10)
    #expect(plan.cells[0].sameBits == cell.sameBits && plan.cells[2].sameBits != cell.sameBits)
    let missing = try #require(refusal(of: "points: [{recipe: absent.yaml}]"))
    #expect(missing.status == .missingInput && missing.place == "/absent.yaml")
    let refused = try #require(
      refusal(of: "points: [{recipe: \(recipe), kind: strong, ranks: [1], globalBatch: 3}]\nfactors: {accumulate: [2]}")
    )
    #expect(refused.status == .badData && refused.what.contains("3 samples in 2"))
  }

  @Test("more ranks than the hosts hold are refused") func room() throws {
    let failure = try #require(refusal(of: "points: [{ranks: [2, 8]}]", room: 4))
    #expect(failure.what.contains("weak-r8-b8-t1") && failure.what.contains("room for 4 ranks"))
  }

  @Test("a block has every cell once, in an order that its number and the seed decide") func order() throws {
    let yaml =
      "points: [{ranks: [1, 2, 4, 8, 16, 32]}]\ncontrols: {copies: false, links: false, storage: false}\norder: {seed: 5}"
    let plan = try plan(yaml, cores: 64)
    let blocks = (0..<200).map { plan.launches(ofBlock: $0) }
    for (block, launches) in blocks.enumerated() {
      #expect(Set(launches.map(\.cell.name)) == Set(plan.cells.map(\.name)))
      #expect(launches.map(\.place) == Array(0..<6) && launches.allSatisfy { $0.block == block })
    }
    #expect(blocks[0] == plan.launches(ofBlock: 0))
    #expect(try self.plan(yaml.replacing("5", with: "6"), cores: 64).launches(ofBlock: 0) != blocks[0])
    // Every cell comes first about as often.
    let first = blocks.count { $0[0].cell.ranks == 8 }
    #expect((15...55).contains(first))
    #expect(blocks[0][0].name == "\(blocks[0][0].cell.name)-000")
  }

  @Test("what decides launches is told apart from what does not") func changes() throws {
    let study = try file(whole).group
    var other = study
    (other.repeat.most, other.drop.foreign, other.reference.ranks) = (50, 1, 2)
    #expect(study.firstChange(in: other) == nil && study.digest == other.digest)
    other.points[1].globalBatch = 4
    let change = try #require(study.firstChange(in: other))
    #expect(change == ("points[1].globalBatch", "2", "4") && study.digest != other.digest)
  }

  @Test("layouts of one batch must agree bit by bit; layouts of another tree need not") func comparable() throws {
    let plan = try plan(
      "points:\n- {kind: weak, ranks: [1, 2, 4]}\n- {kind: strong, ranks: [1, 2], globalBatch: 4}\n"
        + "- {kind: strong, ranks: [2], globalBatch: 6}", cores: 8)
    #expect(plan.cell(named: "weak-r4-b4-t1")?.sameBits == plan.cell(named: "strong-r1-b4-t1")?.sameBits)
    #expect(plan.cell(named: "copies-r2-b1-t1")?.sameBits == plan.cell(named: "weak-r1-b1-t1")?.sameBits)
    #expect(plan.cell(named: "strong-r2-b6-t1") != nil && plan.cell(named: "strong-r2-b6-t1")?.sameBits == nil)
  }

  @Test("the studies that are shipped are possible", arguments: ["here", "hosts", "cluster", "slurm"])
  func shipped(name: String) throws {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL.path
    let file = try SettingsFile<Study>("\(root)/Launch/studies/\(name).yaml", called: "study")
    let plan = try StudyPlan(file, at: .anywhere)
    #expect(
      file.group.name == name && plan.cells.contains { $0.kind == .weak } && plan.cells.contains { $0.kind == .strong })
  }
}
