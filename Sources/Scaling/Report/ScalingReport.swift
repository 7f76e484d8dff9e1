// The page of a study: verdict first, then what was fixed and varied, scaling, causes, cost, what was dropped, and the
// commands. One file without script or network; figures besides as files for print.

import Foundation
import Recipes
import Storage
import Support
import Training

/// Makes the page of a study from the files of its launches, and nothing else.
public struct ScalingReport {
  private let folder: StudyFolder
  private let plan: StudyPlan
  private let results: StudyResults
  private let figures: ScalingFigures
  private let tables: ScalingTables

  /// Reads a study.
  /// - Throws: `Failure` 66 if the folder holds no study or no launch, 65 by name for a file that is damaged or foreign,
  ///   1 where launches that must compute the same do not.
  public init(_ folder: StudyFolder, _ store: any TableStore) throws {
    guard let file = try folder.storedStudy() else {
      throw Failure(.missingInput, "the folder holds no study", at: folder.path, remedy: "apus scaling run makes it")
    }
    let records = try folder.records(of: file.group, store)
    guard !records.isEmpty else { throw Failure(.missingInput, "the study has no launch yet", at: folder.path) }
    // Where the launches really ran is in their files.
    let whole = try StudyPlan(file, at: .anywhere)
    plan = whole.keeping { cell in cell.kind != .copies || records.contains { $0.identity.cell == cell.name } }
    self.folder = folder
    results = try StudyResults(plan, records)
    figures = ScalingFigures(results)
    tables = ScalingTables(results: results)
  }

  /// Writes report.html, figures and tables into the folder of the study.
  /// - Throws: `Failure` 73 or 74 if a file cannot be written.
  public func write() throws {
    try makeFolder("\(folder.path)/figures")
    var files = [
      "report.html": page, "cells.csv": StudyTable.cells(results), "study.csv": StudyTable.steps(results),
      "dropped.csv": StudyTable.dropped(results), "efficiencies.csv": ScalingNumbers.efficiencies(results),
      "points.csv": ScalingNumbers.points(figures.weak + figures.strong),
    ]
    for figure in figures.all { files["figures/\(figure.name).svg"] = figure.drawing.file }
    for (name, text) in files {
      do {
        try text.write(toFile: "\(folder.path)/\(name)", atomically: true, encoding: .utf8)
      } catch {
        throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: "\(folder.path)/\(name)")
      }
    }
  }

  private var launches: [LaunchRecord] { results.cells.flatMap { $0.launches + $0.dropped.map(\.launch) } }

  // MARK: - Verdict

  /// What the study has found, a sentence each.
  public var verdict: [String] {
    [bits] + [figures.weak, figures.strong].flatMap { $0.compactMap(ScalingReport.farthest) }
      + [loss, droppedCount]
      .compactMap { $0 }
  }

  private var bits: String {
    let groups = StudyResults.comparable(plan, launches).values.filter { $0.count > 1 }
    let layouts = groups.map { Set($0.map(\.identity.cell)).count }.reduce(0, +)
    guard !groups.isEmpty else { return "No two launches can be compared bit by bit." }
    return "All \(groups.map(\.count).reduce(0, +)) launches of \(layouts) cells that must compute the same ended with "
      + "equal weights, bit by bit."
  }

  /// The efficiency at the most ranks that were measured.
  private static func farthest(_ line: ScalingLine) -> String? {
    let name = line.kind == .strong ? "Strong" : "Weak"
    guard let base = line.base, let time = base.interval?.median else {
      return line.functional.isEmpty
        ? nil : "\(name) scaling (\(line.name)) was run as a functional test only: nothing follows about time."
    }
    guard let point = line.measured.last, point.result.cell.name != base.cell.name, let efficiency = point.efficiency
    else { return nil }
    let percents = ScalingTables.interval(efficiency) { percent(100 * $0) + " %" }
    let speedUp = point.speedUp.map { ", speed-up \(ScalingTables.interval($0) { number($0) })" } ?? ""
    return
      "\(name) scaling (\(line.name)): efficiency \(percents)\(speedUp) at \(point.result.cell.ranks) ranks, against "
      + "\(base.cell.ranks) rank\(base.cell.ranks == 1 ? "" : "s") with \(number(time)) s a step."
  }

  /// The factor that costs most at the most ranks.
  private var loss: String? {
    let candidates = results.cells.filter {
      $0.nature == .measured && $0.cell.ranks > 1 && $0.cell.kind != .copies && !$0.launches.isEmpty
    }
    guard let result = candidates.max(by: { $0.cell.ranks < $1.cell.ranks }), let own = Efficiencies(result.launches)
    else { return nil }
    let factors = [
      ("unequal work of the ranks (load balance)", own.loadBalance),
      ("waiting for each other in turn (serialisation)", own.serialisation),
      ("the cost of messages (transfer)", own.transfer),
    ]
    guard let least = factors.min(by: { $0.1 < $1.1 }) else { return nil }
    return "The largest loss between ranks in \(result.cell.name) is \(least.0): \(percent(100 * (1 - least.1))) %."
  }

  private var droppedCount: String? {
    let count = results.dropped.count
    guard count > 0 else { return "No launch was dropped." }
    return
      "\(count) of \(launches.count) launches \(count == 1 ? "was" : "were") dropped, each for a cause; none for its "
      + "value."
  }

  // MARK: - Page

  private var page: String {
    let title = escaped(plan.study.name)
    let sections = [
      verdictSection, setting, strongSection, weakSection, phasesSection, popSection, sumsSection, memorySection,
      stragglersSection, costSection, launchesSection, droppedSection, rules, commands,
    ]
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(title): scaling study – Apus</title><style>\(reportStyle)\(ScalingReport.style)</style></head>
      <body><main><header><h1>\(title)</h1><p>scaling study of \(escaped(plan.study.work.benchmark)), \
      \(plan.study.work.steps) steps a launch, \(launches.count) launches, apus \(escaped(launches[0].identity.program))</p>
      </header>
      \(sections.joined(separator: "\n"))
      <footer>Made from the files in runs/ by apus scaling report; docs/scaling.md says what each figure means and what must
      not be concluded.</footer>
      </main></body></html>

      """
  }

  private static let style = """
    .verdict li{margin:4px 0}.verdict ul{margin:0;padding-left:20px}section>p{margin:10px 0;max-width:76ch}
    .facts td{overflow-wrap:anywhere}section .scroll{margin-top:12px}section>svg{margin-top:6px}
    @media print{:root{--page:#fff;--card:#fff;--ink:#1a1a19;--muted:#44433f;--line:#d5d4cf;--axis:#8a8982}
    section{border:0;padding:8px 0}.scroll{overflow:visible}th,td{white-space:normal;padding:3px 8px}
    details>*{display:block}pre{white-space:pre-wrap}}
    """

  private func section(_ heading: String, _ parts: String...) -> String {
    let shown = parts.filter { !$0.isEmpty }
    return shown.isEmpty ? "" : "<section><h2>\(escaped(heading))</h2>\(shown.joined(separator: "\n"))</section>"
  }

  private func paragraph(_ text: String) -> String { "<p>\(escaped(text))</p>" }

  private func table(_ table: PageTable) -> String { table.rows.isEmpty ? "" : table.html }

  private var verdictSection: String {
    let items = verdict.map { "<li>\(escaped($0))</li>" }.joined()
    return "<section class=verdict><h2>Verdict</h2><ul>\(items)</ul></section>"
  }

  private var setting: String {
    let facts = machine + varied
    let rows = facts.filter { !$0.1.isEmpty }.map { "<tr><th>\(escaped($0.0))</th><td>\(escaped($0.1))</td></tr>" }
    return section("Fixed and varied", "<div class=scroll><table class=facts>\(rows.joined())</table></div>")
  }

  /// What launches ran on.
  private var machine: [(String, String)] {
    let texts = launches[0].environment.texts
    let ranks = launches.flatMap(\.ranks)
    let starts = launches.map(\.identity.start).sorted()
    return [
      ("hosts", Set(ranks.map(\.host)).sorted().joined(separator: ", ")), ("processor", texts["cpu"] ?? ""),
      ("vector loops", texts["level"] ?? ""),
      ("cores a rank may use", Set(ranks.map(\.cores)).sorted().map(String.init).joined(separator: ", ")),
      ("kernel", texts["kernel"] ?? ""), ("governor", texts["governor"] ?? ""),
      ("libraries", texts["libraries"] ?? ""), ("Open MPI settings", texts["openmpi"] ?? ""),
      ("data", "random images in memory: the loader is not part of it"),
      ("first and last launch", "\(starts.first ?? "") to \(starts.last ?? "")"),
    ]
  }

  /// Settings of cells, and whether they vary.
  private var varied: [(String, String)] {
    func values(_ name: String, _ text: (StudyCell) -> String) -> (String, String) {
      let all = Set(plan.cells.map(text)).sorted { ($0.count, $0) < ($1.count, $1) }
      return (name, all.joined(separator: ", ") + (all.count > 1 ? "" : " (fixed)"))
    }
    return [
      values("ranks") { "\($0.ranks)" }, values("threads") { "\($0.threads)" },
      values("crop shards") { "\($0.cropShards)" }, values("overlap") { $0.overlap.rawValue },
      values("moments dealt out") { $0.shardMoments ? "yes" : "no" }, values("micro-batches") { "\($0.accumulate)" },
    ]
  }

  private func drawing(_ named: NamedDrawing?) -> String {
    guard let named, !named.drawing.isEmpty else { return "" }
    return "<h3>\(escaped(named.drawing.title))</h3>\(named.drawing.body)"
  }

  private var strongSection: String {
    guard !figures.strong.isEmpty else { return "" }
    return section(
      "Strong scaling",
      paragraph(
        "The batch stays. The bound is what the busiest rank computes, by counted operations: no network makes more of it. "
          + "Serial share after Karp and Flatt."),
      drawing(figures.strongTime), drawing(figures.strongSpeedUp),
      figures.strong.map { "<h3>\(escaped($0.name))</h3>" + table(tables.points($0)) }.joined())
  }

  private var weakSection: String {
    guard !figures.weak.isEmpty else { return "" }
    return section(
      "Weak scaling",
      paragraph(
        "The batch grows with the ranks; data are synthetic. Copies are as many processes that do not speak to each other: "
          + "what they lose, a full host takes by itself, not the messages."),
      drawing(figures.weakEfficiency),
      figures.weak.map { "<h3>\(escaped($0.name))</h3>" + table(tables.points($0)) }.joined())
  }

  private var phasesSection: String {
    guard let phases = figures.phases else { return "" }
    return section("Phases", drawing(phases), figures.factors.map { drawing($0) } ?? "")
  }

  private var popSection: String {
    guard !tables.efficiencies.rows.isEmpty else { return "" }
    return section(
      "Where efficiency goes",
      paragraph(
        "Parallel efficiency is load balance times serialisation times transfer, after the POP Centre of Excellence. "
          + "Transfer compares the step with one whose messages cost nothing, replayed from the messages of the last three "
          + "steps of every launch. Computation scaling compares with the cell of "
          + "\(plan.study.reference.ranks) rank\(plan.study.reference.ranks == 1 ? "" : "s"): operations a sample, and operations a second."
      ),
      table(tables.efficiencies))
  }

  private var sumsSection: String {
    guard !tables.sums.rows.isEmpty else { return "" }
    return section(
      "Sums of gradients and small messages",
      paragraph(
        "Means over ranks, medians over steps and launches. Hidden: the share of the time under way that cost nothing."),
      table(tables.sums))
  }

  private var memorySection: String { section("Memory", table(tables.memory)) }

  private var stragglersSection: String {
    guard let map = figures.stragglers else { return "" }
    return section("Stragglers", drawing(map))
  }

  private var costSection: String {
    guard !tables.cost.rows.isEmpty else { return "" }
    return section(
      "Cost", paragraph("Means over all steps that count, since what is paid is their sum."), table(tables.cost))
  }

  private var launchesSection: String {
    section(
      "Launches",
      paragraph(
        "A launch is the unit: the median of its steps, each that of the slowest rank. Intervals of medians are between "
          + "order statistics, those of ratios from 10,000 hierarchical bootstrap draws (BCa)."),
      figures.launches.map { drawing($0) } ?? "", table(tables.cells))
  }

  private var droppedSection: String {
    guard !results.dropped.isEmpty else { return section("Dropped", paragraph("Nothing.")) }
    return section("Dropped", paragraph("By cause only. Crosses in the figure of all launches."), table(tables.dropped))
  }

  private var rules: String {
    let items = ScalingRules.kept(results).map { "<tr><th>\(escaped($0.rule))</th><td>\(escaped($0.how))</td></tr>" }
    return section(
      "Twelve rules", paragraph("Hoefler and Belli, Scientific benchmarking of parallel computing systems, SC 2015."),
      "<div class=scroll><table class=facts>\(items.joined())</table></div>")
  }

  private var commands: String {
    let all = launches.sorted { ($0.identity.block, $0.identity.place) < ($1.identity.block, $1.identity.place) }
    let lines = all.map { escaped($0.identity.command) }.joined(separator: "\n")
    return section(
      "Commands",
      "<pre>apus scaling run study.yaml\napus scaling report \(escaped(folder.path))</pre>",
      "<details><summary>every launch, in order</summary><pre>\(lines)</pre></details>",
      "<details><summary>the study</summary><pre>\(escaped(plan.study.resolvedYAML))</pre></details>")
  }
}
