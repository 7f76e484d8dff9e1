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
  let plan: StudyPlan
  let results: StudyResults
  let figures: ScalingFigures
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
    plan = whole.keeping { cell in cell.kind.scales || records.contains { $0.identity.cell == cell.name } }
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
      "points.csv": ScalingNumbers.points(figures.weak + figures.strong), "units.csv": ScalingNumbers.units(results),
      "links.csv": ScalingNumbers.links(results), "storage.csv": ScalingNumbers.storage(results),
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

  var launches: [LaunchRecord] { results.cells.flatMap { $0.launches + $0.dropped.map(\.launch) } }

  // MARK: - Page

  private var page: String {
    let title = escaped(plan.study.name)
    let sections = [
      verdictSection, setting, strongSection, weakSection, phasesSection, popSection, unitsSection, sumsSection,
      linksSection,
      memorySection,
      stragglersSection, costSection, launchesSection, droppedSection, rules, commands,
    ]
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(title): scaling study – Apus</title><style>\(reportStyle)\(ScalingReport.style)</style></head>
      <body><main><header><h1>\(title)</h1><p>scaling study of \(escaped(works)), \
      \(launches.count) launches, apus \(escaped(launches[0].identity.program))</p>
      </header>
      \(sections.joined(separator: "\n"))
      <footer>Made from the files in runs/ by apus scaling report; docs/scaling.md says what each figure means and what must
      not be concluded.</footer>
      </main></body></html>

      """
  }

  /// What cells run, and for how many steps a launch.
  private var works: String {
    plan.cells.filter(\.kind.scales).map { "\($0.benchmark) (\($0.steps) steps)" }
      .reduce(into: [String]()) { works, work in if !works.contains(work) { works.append(work) } }
      .joined(separator: ", ")
  }

  private static let style = """
    .verdict li{margin:4px 0}.verdict ul{margin:0;padding-left:20px}section>p{margin:10px 0;max-width:76ch}
    .facts td{overflow-wrap:anywhere}section .scroll{margin-top:12px}section>svg{margin-top:6px}
    main{max-width:1200px}thead th{vertical-align:bottom}th,td{padding:4px 9px}td:last-child{padding-right:0}
    @media(min-width:700px){thead th{white-space:normal}}
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
      ("data", Set(plan.cells.filter(\.kind.scales).map(\.dataWords)).sorted().joined(separator: "; ")),
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
        "The batch grows with the ranks. Copies are as many processes that do not speak to each other: "
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

  private var unitsSection: String {
    guard !tables.units.rows.isEmpty else { return "" }
    return section(
      "Traced parts of a step",
      paragraph(
        "Seconds of the last three steps of every launch by part, computing and messages apart: means over ranks, medians "
          + "over steps and launches. Sum by step: all parts together by the step that a clock of its own timed, and the one "
          + "farthest from 100 %."),
      table(tables.units.turned))
  }

  private var linksSection: String {
    guard !tables.links.rows.isEmpty else { return "" }
    return section(
      "Sums against size",
      paragraph(
        "Apart from training: our sum, which has equal bits on any number of ranks, the library's MPI_Allreduce, and an "
          + "exchange with the next rank. From the last rank's begin to the last rank's end on one clock; the first "
          + "repetition is left out. Medians over repetitions, then launches."),
      figures.links.map { drawing($0) } ?? "", table(tables.links))
  }

  private var memorySection: String { section("Memory", table(tables.memory)) }

  private var stragglersSection: String {
    guard let map = figures.stragglers else { return "" }
    return section("Stragglers", drawing(map))
  }

  private var costSection: String {
    guard !tables.cost.rows.isEmpty else { return "" }
    return section(
      "Cost", paragraph("Means over all steps that count, since what is paid is their sum."), table(tables.cost),
      tables.storage.rows.isEmpty ? "" : "<h3>Saving and loading</h3>" + table(tables.storage))
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
