// The table of a comparison is made of what the runs' summaries say, and of nothing else.

import Foundation
import Support
import TestSupport
import Testing
import Training

@Suite struct MethodComparisonTests {
  private func summary(_ mean: Double?, seconds: Double) -> Summary {
    Summary(
      step: 400, worldSize: 2, threads: 1, globalBatch: 4, seconds: seconds, imagesPerSecond: 1,
      peakMemoryBytes: 3 << 20, student: Scores(mIoU: mean, iou: [:]),
      teacher: Scores(mIoU: mean.map { $0 + 1 }, iou: [:]), studentDigest: "5d", teacherDigest: "7e",
      optimizerDigest: "0f", reproducibleAcrossRanks: true)
  }

  @Test func mediansAndRangesOverSeeds() throws {
    let runs = [(3, 32.0, 41.0), (1, 30.0, 40.0), (2, 34.5, 44.0)].map { seed, mean, seconds in
      ComparedRun(method: "hrda", seed: seed, summary: summary(mean, seconds: seconds))
    }
    let comparison = MethodComparison(
      runs + [ComparedRun(method: "advent", seed: 1, summary: summary(nil, seconds: 20))])
    #expect(comparison.runs.map(\.seed) == [1, 1, 2, 3])
    #expect(
      comparison.markdown.split(separator: "\n").dropFirst(2) == [
        "| advent | – | – | 0.0500 | 3 | 1 |",
        "| hrda | 32.0 (30.0 – 34.5) | 33.0 (31.0 – 35.5) | 0.1025 | 3 | 3 |",
      ])
    let lines = comparison.csv.split(separator: "\n")
    #expect(lines.count == 5)
    #expect(lines[1] == "advent,1,400,,,0.05,3145728,2,1,5d")
    #expect(lines[2] == "hrda,1,400,30.0,31.0,0.1,3145728,2,1,5d")
  }

  @Test func aChainCountsTheStepsOfAllItsStages() throws {
    var chain = summary(50, seconds: 30)
    let stage = try JSONDecoder().decode(
      StageSummary.self, from: Data(#"{"stage": "2-labels", "images": 4}"#.utf8))
    var first = stage, last = stage
    first.summary = summary(10, seconds: 10)
    last.summary = summary(50, seconds: 30)
    chain.stages = [first, stage, last]
    let line = MethodComparison([ComparedRun(method: "spcl", seed: 1, summary: chain)]).csv.split(separator: "\n")[1]
    #expect(line == "spcl,1,800,50.0,51.0,0.05,3145728,2,1,5d")
  }

  @Test func finishedRunsAreRead() throws {
    let folder = try TemporaryFolder()
    for (place, text) in [("mic/seed-2", "x"), ("mic/seed-1", nil), ("mic/other", nil), ("hrda/seed-7", nil)] {
      try FileManager.default.createDirectory(atPath: folder.file(place), withIntermediateDirectories: true)
      guard place != "hrda/seed-7" else { continue }
      let bytes = try text.map { Data($0.utf8) } ?? JSONEncoder().encode(summary(20, seconds: 1))
      try folder.write([UInt8](bytes), to: "\(place)/summary.json")
    }
    #expect(throws: Failure.self) { try MethodComparison(of: folder.path) }
    try FileManager.default.removeItem(atPath: folder.file("mic/seed-2"))
    #expect(try MethodComparison(of: folder.path).runs.map { "\($0.method) \($0.seed)" } == ["mic 1"])
    #expect(throws: Failure.self) { try MethodComparison(of: folder.file("hrda")) }
  }
}
