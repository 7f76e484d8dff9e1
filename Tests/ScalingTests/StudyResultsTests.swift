// Which launches count, whether they agree, what lines make of them, and the page.

import Collectives
import Foundation
import Recipes
import Scaling
import StorageHDF5
import Support
import TestSupport
import Testing

@Suite struct StudyResultsTests {
  private let yaml = """
    study: example
    work: {case: b0-256, steps: 6}
    points:
      - {kind: weak, ranks: [1, 2]}
      - {kind: strong, ranks: [1, 2, 4], globalBatch: 4}
    factors: {overlap: [off]}
    controls: {copies: false, links: false, storage: false}
    repeat: {least: 6, most: 8, halfWidth: 0.05}
    """

  private func plan() throws -> StudyPlan {
    try StudyPlan(
      try SettingsFile(yaml: yaml, path: "study.yaml", folder: "/", called: "study"), at: StudyPlace(cores: 2))
  }

  /// Launches of all cells: weak ones take 1 and 1.1 s, strong ones 4, 2.2 and, functional, 9 s.
  private func launches(_ plan: StudyPlan) -> [LaunchRecord] {
    let seconds = [
      "weak-r1-b1-t1-overlap-off": 1.0, "weak-r2-b2-t1-overlap-off": 1.1, "strong-r1-b4-t1-overlap-off": 4,
      "strong-r2-b4-t1-overlap-off": 2.2, "strong-r4-b4-t1-overlap-off": 9,
    ]
    return plan.cells.flatMap { cell in
      (0..<(cell.nature == .functional ? 2 : 6)).map { block in
        var launch = ExampleLaunch()
        (launch.cell, launch.kind, launch.block, launch.ranks) = (cell.name, cell.kind, block, cell.ranks)
        (launch.globalBatch, launch.nature, launch.study) = (cell.globalBatch, cell.nature, plan.study.digest)
        launch.digest = "batch \(cell.globalBatch)"
        let step = (seconds[cell.name] ?? 0) * (1 + 0.002 * Double(block))
        launch.seconds = [9, 9, 9, step, step * 1.001, step * 0.999]
        return launch.record
      }
    }
  }

  @Test("steal and foreign load drop a launch, its value never") func dropping() throws {
    let plan = try plan()
    var records = launches(plan)
    records[0].environment.steal = 0.02
    records[1].environment.foreign = 0.5
    records[2].environment.texts["governor"] = "powersave"
    records[3].seconds = StepTable(ranks: 1, [9, 9, 9, 1000, 1000, 1000])
    let results = try StudyResults(plan, records)
    #expect(
      results.dropped.map(\.cause) == ["steal 2.0 % > 1.0 %", "foreign load 50.0 % > 5.0 %"]
        || results.dropped.count == 3)
    #expect(results.dropped.count == 3 && results.cells[0].launches.count == 3)
    // Nothing spoils what is no measurement.
    let index = try #require(records.firstIndex { $0.identity.nature == .functional })
    records[index].environment.foreign = 1
    #expect(try StudyResults(plan, records).dropped.count == 3)
  }

  @Test("launches that must agree and do not are refused with both names") func bits() throws {
    let plan = try plan()
    var records = launches(plan)
    let index = try #require(records.firstIndex { $0.identity.cell == "strong-r4-b4-t1-overlap-off" })
    records[index].identity.studentDigest = "other"
    let failure = #expect(throws: Failure.self) { try StudyResults(plan, records) }
    #expect(failure?.status == .checkFailed)
    #expect(failure?.what.contains("strong-r4-b4-t1-overlap-off-000 must end with the same weights") == true)
    records[index].identity.studentDigest = "batch 4"
    records[index].identity.program = "1 def"
    #expect(throws: Failure.self) { try StudyResults(plan, records) }
  }

  @Test("a cell is settled when its interval is narrow enough") func settled() throws {
    let results = try StudyResults(try plan(), launches(try plan()))
    var limits = results.study.repeat
    #expect(results.cells[0].isSettled(limits))
    limits.halfWidth = 0.001
    #expect(!results.cells[0].isSettled(limits))
    (limits.halfWidth, limits.least) = (1, 7)
    #expect(!results.cells[0].isSettled(limits))
  }

  @Test("lines compare with their base and never divide functional points") func lines() throws {
    let results = try StudyResults(try plan(), launches(try plan()))
    let weak = try #require(ScalingLine.lines(.weak, of: results).first)
    let efficiency = try #require(weak.points[1].efficiency)
    #expect(abs(efficiency.value - 1 / 1.1) < 1e-3)
    #expect(efficiency.low <= efficiency.value && efficiency.value <= efficiency.high)
    let strong = try #require(ScalingLine.lines(.strong, of: results).first)
    #expect(strong.measured.map(\.result.cell.ranks) == [1, 2] && strong.functional.map(\.result.cell.ranks) == [4])
    #expect(abs(try #require(strong.points[1].speedUp).value - 4 / 2.2) < 1e-2)
    // Karp and Flatt for S = 4 / 2.2 at two ranks: (2.2 / 4 - 1 / 2) / (1 - 1 / 2).
    #expect(abs(try #require(strong.points[1].serialShare(baseRanks: 1)) - 0.1) < 1e-2)
    #expect(strong.points[2].speedUp == nil && strong.points[2].efficiency == nil)
  }

  @Test("the page is complete, well formed and by itself") func page() throws {
    let folder = try TemporaryFolder()
    let plan = try plan()
    let study = StudyFolder(folder.path)
    let store = HDF5TableStore()
    try plan.study.resolvedYAML.write(toFile: study.study, atomically: true, encoding: .utf8)
    for record in launches(plan) { try store.write(record.tables, to: study.run(record.name)) }
    let report = try ScalingReport(study, store)
    try report.write()
    let page = String(decoding: try folder.bytes("report.html"), as: UTF8.self)
    #expect(!page.contains("<script") && !page.contains("http://") && !page.contains("src="))
    for heading in ["Verdict", "Strong scaling", "Weak scaling", "Phases", "Memory", "Cost", "Dropped", "Commands"] {
      #expect(page.contains("<h2>\(heading)</h2>"), "\(heading)")
    }
    for tag in ["section", "table", "div", "svg", "tr", "td", "th", "g", "text", "circle", "details", "pre"] {
      let opened = page.components(separatedBy: "<\(tag)").dropFirst().filter { [" ", ">"].contains($0.first) }.count
      #expect(opened == page.components(separatedBy: "</\(tag)>").count - 1, "\(tag)")
    }
    #expect(!page.contains("NaN") && !page.contains("inf "))
    #expect(report.verdict.contains { $0.hasPrefix("Weak scaling") && $0.contains("90.9 %") })
    let figures = try FileManager.default.contentsOfDirectory(atPath: folder.file("figures"))
    #expect(figures.contains("strong-time.svg") && figures.count >= 5)
    for name in figures {
      let parser = XMLCheck(try folder.bytes("figures/\(name)"))
      #expect(parser.isWellFormed && !parser.text.contains("var("), "\(name)")
    }
    let table = String(decoding: try folder.bytes("study.csv"), as: UTF8.self).split(separator: "\n")
    #expect(table.count == 1 + (4 * 6 + 2) * 6)
    // The functional point is a cross in the figure of times, and in no other.
    let time = String(decoding: try folder.bytes("figures/strong-time.svg"), as: UTF8.self)
    #expect(time.components(separatedBy: "class=\"cross\"").count - 1 == 2)
    let speedUp = String(decoding: try folder.bytes("figures/strong-speed-up.svg"), as: UTF8.self)
    #expect(!speedUp.contains("class=\"cross\"") && !speedUp.contains("ranks 4: 9"))
  }

  @Test("a folder without a study or launch, and a damaged launch, are told") func badFolders() throws {
    let folder = try TemporaryFolder()
    let (study, store) = (StudyFolder(folder.path), HDF5TableStore())
    #expect(#expect(throws: Failure.self) { try ScalingReport(study, store) }?.status == .missingInput)
    let plan = try plan()
    try plan.study.resolvedYAML.write(toFile: study.study, atomically: true, encoding: .utf8)
    #expect(#expect(throws: Failure.self) { try ScalingReport(study, store) }?.status == .missingInput)
    let record = launches(plan)[0]
    try store.write(record.tables, to: study.run(record.name))
    _ = try ScalingReport(study, store)
    try store.write(record.tables, to: study.run("weak-r2-b2-t1-overlap-off-000"))
    #expect(
      #expect(throws: Failure.self) { try ScalingReport(study, store) }?.what.contains("under another name") == true)
    var bytes = try folder.bytes("runs/\(record.name).h5")
    bytes[1000] ^= 4
    try folder.write(bytes, to: "runs/\(record.name).h5")
    let failure = #expect(throws: Failure.self) { try ScalingReport(study, store) }
    #expect(failure?.place == study.run(record.name) && failure?.status == .badData)
  }
}

/// Whether a text is well-formed enough for viewers: elements nest, attributes are quoted.
struct XMLCheck {
  let text: String
  private(set) var isWellFormed = true

  init(_ bytes: [UInt8]) {
    text = String(decoding: bytes, as: UTF8.self)
    var open: [String] = []
    for match in text.matches(of: /<(\/?)([A-Za-z]+)((?:\s+[A-Za-z:_-]+="[^"<]*")*)\s*(\/?)>/) {
      let name = String(match.2)
      if match.1 == "/" {
        if open.popLast() != name { isWellFormed = false }
      } else if match.4 != "/" {
        open.append(name)
      }
    }
    let tags = text.matches(of: /<[A-Za-z\/]/).count
    let read = text.matches(of: /<(\/?)([A-Za-z]+)((?:\s+[A-Za-z:_-]+="[^"<]*")*)\s*(\/?)>/).count
    if !open.isEmpty || tags != read { isWellFormed = false }
  }
}
