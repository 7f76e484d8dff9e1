// Launches of small networks on ranks that are threads of one process: what is recorded adds up, and layouts agree.

import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Scaling
import Support
import Testing

@Suite(.serialized) struct LaunchRunTests {
  private func launch(_ name: String, of yaml: String) throws -> (StudyLaunch, Study) {
    let file = try SettingsFile<Study>(yaml: yaml, path: "study.yaml", folder: "/", called: "study")
    let plan = try StudyPlan(file, at: .anywhere)
    return (StudyLaunch(cell: try #require(plan.cell(named: name)), block: 1, place: 2), plan.study)
  }

  private func record(_ name: String, of yaml: String) throws -> LaunchRecord {
    let (launch, study) = try launch(name, of: yaml)
    let records = try LoopbackCommunicator.run(ranks: launch.cell.ranks) { communicator in
      try LaunchRun(
        launch, of: study, program: "1 abc", libraries: ["MPI": "none"],
        countsOperations: communicator.worldSize == 1, on: communicator
      ).run(command: "Launch/mpirun")
    }
    // Rank 0 alone has it.
    #expect(records.dropFirst().allSatisfy { $0 == nil })
    return try #require(records[0])
  }

  @Test("layouts of one batch end with the same weights") func sameBits() throws {
    let yaml = """
      work: {case: tiny-64, steps: 4}
      points:
        - {kind: strong, ranks: [1, 2, 4], globalBatch: 4}
        - {kind: strong, ranks: [2, 8], globalBatch: 4, cropShards: [2]}
        - {kind: weak, ranks: [4]}
      factors: {overlap: [off], shardMoments: [false, true]}
      controls: {copies: false, links: false, storage: false}
      """
    let names = [
      "strong-r1-b4-t1", "strong-r2-b4-t1-moments", "strong-r4-b4-t1", "strong-r2-b4-t1-c2", "strong-r8-b4-t1-c2",
      "weak-r4-b4-t1",
    ]
    let digests = try names.map { try record("\($0)-overlap-off", of: yaml).identity.studentDigest }
    #expect(Set(digests).count == 1 && digests[0].count == 64, "\(digests)")
    let two = """
      work: {case: tiny-64, steps: 4}
      points: [{kind: strong, ranks: [1], globalBatch: 2}]
      """
    let other = try record("strong-r1-b2-t1", of: two)
    #expect(other.identity.studentDigest != digests[0])
  }

  @Test("micro-batches are cut alike on any number of ranks") func microBatches() throws {
    let yaml = """
      work: {case: tiny-64, steps: 4}
      points: [{kind: strong, ranks: [1, 2], globalBatch: 4}]
      factors: {overlap: [off], accumulate: [2]}
      """
    let digests = try [1, 2].map { try record("strong-r\($0)-b4-t1-a2-overlap-off", of: yaml).identity.studentDigest }
    #expect(Set(digests).count == 1)
  }

  @Test("what is recorded adds up to the step", arguments: [1, 2, 3]) func adding(ranks: Int) throws {
    let yaml = """
      work: {case: tiny-64, steps: 6}
      points: [{kind: weak, ranks: [\(ranks)]}]
      factors: {overlap: [off]}
      """
    let record = try record("weak-r\(ranks)-b\(ranks)-t1-overlap-off", of: yaml)
    #expect(record.name == "weak-r\(ranks)-b\(ranks)-t1-overlap-off-001" && record.identity.place == 2)
    #expect(record.seconds.steps == 6 && record.rankCount == ranks && record.kept == 3..<6)
    for step in 0..<6 {
      for rank in 0..<ranks {
        let phases = StudyPhase.allCases.reduce(0.0) { $0 + (record.phases[$1]?.values[step * ranks + rank] ?? 0) }
        let whole = record.seconds.values[step * ranks + rank]
        #expect(abs(phases / whole - 1) < 0.03)
        #expect(record.waiting.values[step * ranks + rank] + record.exposed.values[step * ranks + rank] <= whole)
      }
    }
    #expect(record.ranks.allSatisfy { (ranks > 1 || $0.gflop > 0) && $0.peakMemoryBytes > 0 && $0.cores > 0 })
    #expect(record.traces.map(\.step) == [3, 4, 5])
    let units = try #require(TracedUnits([record]))
    let names = ["teacher average", "teacher", "source", "mixed", "reduction", "optimizer", "pseudo-labels"]
    #expect(Set(names).isSubset(of: units.parts.map(\.name)) && abs(units.sumByStep - 1) < 0.03, "\(units)")
    // A busy machine may stop a rank between two clocks: of the traced steps, the median counts.
    var free: [Double] = []
    for trace in record.traces {
      free.append(try #require(FreeMessages.seconds(trace)) / record.slowest[trace.step])
    }
    #expect(median(free) > 0 && median(free) <= 1.03, "\(free)")
    #expect(ranks == 1 || record.messages.values.allSatisfy { $0 > 0 })
  }

  @Test("a recipe by its loader computes what any layout of it does; held samples are others' work") func recipe()
    throws
  {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL.path
    let yaml = """
      work: {recipe: \(root)/Launch/recipes/test-invariance.yaml, data: loader, steps: 4}
      points:
        - {kind: strong, ranks: [1, 2], globalBatch: 2, cropShards: [1]}
        - {kind: strong, ranks: [1], globalBatch: 2, data: synthetic, steps: 5}
      factors: {overlap: [off], shardMoments: [false, true]}
      """
    let one = try record("strong-r1-b2-t1-overlap-off-loader", of: yaml)
    let two = try record("strong-r2-b2-t1-moments-overlap-off-loader", of: yaml)
    #expect(one.identity.studentDigest == two.identity.studentDigest && one.identity.data == .loader)
    #expect(one.identity.benchmark == "test-invariance" && one.identity.recipe == two.identity.recipe)
    #expect(one.phases[.data]?.values.allSatisfy { $0 > 0 } == true)
    #expect(one.traces.flatMap { $0.events.joined() }.contains { $0.kind == .end(ofUnit: "data") })
    let held = try record("strong-r1-b2-t1-overlap-off-test-invariance-5", of: yaml)
    #expect(held.identity.studentDigest != one.identity.studentDigest && held.identity.data == .synthetic)
  }

  @Test("the control of links times every size on every rank") func links() throws {
    let yaml = "points: [{ranks: [1, 2, 4]}]\ncontrols: {storage: false}"
    let record = try record("links-r4", of: yaml)
    let links = try #require(record.links)
    #expect(links.bytes == LinkBenchmark.sizes && links.distances == [1, 2] && links.repeats == record.seconds.steps)
    #expect((links.exchange + links.sum + links.native).allSatisfy { $0 > 0 && $0 < 60 })
    #expect(record.seconds[1].first == links.sum[(links.bytes.count - 1) * links.repeats + 1])
  }

  @Test("copies do not speak to each other and compute what one rank does") func copies() throws {
    let yaml = """
      work: {case: tiny-64, steps: 4}
      points: [{kind: weak, ranks: [1, 2]}]
      factors: {overlap: [off]}
      """
    let one = try record("weak-r1-b1-t1-overlap-off", of: yaml)
    let copies = try record("copies-r2-b1-t1", of: yaml)
    #expect(copies.identity.studentDigest == one.identity.studentDigest && copies.rankCount == 2)
    #expect(copies.messages.values.allSatisfy { $0 == 0 })
  }
}
