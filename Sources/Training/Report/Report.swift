// report.html: one self-contained page about a run. Charts are in ReportChart.swift, the style in ReportStyle.swift.

import Foundation
import Recipes
import Support

/// A page about a run: figures, curves, per-class scores, times and pictures, without any external reference.
public struct Report: Sendable {
  /// A class: its name and its colour in pictures.
  public struct ClassEntry: Sendable {
    /// Name, as in the summary.
    public let name: String
    /// Red, green and blue.
    public let colour: SIMD3<UInt8>

    /// A class.
    public init(_ name: String, colour: SIMD3<UInt8>) {
      self.name = name
      self.colour = colour
    }
  }

  /// A picture with a caption such as "image", "label" or "HRDA".
  public struct Picture: Sendable {
    /// Text under the picture.
    public let caption: String
    /// A PNG file.
    public let png: [UInt8]

    /// A picture.
    public init(_ caption: String, png: [UInt8]) {
      self.caption = caption
      self.png = png
    }
  }

  /// Pictures of one validation image, side by side.
  public struct PictureRow: Sendable {
    /// Name of the image.
    public let name: String
    /// From left to right.
    public let pictures: [Picture]

    /// A row of pictures.
    public init(_ name: String, _ pictures: [Picture]) {
      self.name = name
      self.pictures = pictures
    }
  }

  private let recipe: Recipe
  private let summary: Summary
  let log: [LogEntry]
  let classes: [ClassEntry]
  private let rows: [PictureRow]

  /// A page about a run.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - summary: its figures.
  ///   - log: its lines, in order of steps.
  ///   - classes: the classes in order of train ids; the scores of the summary are looked up by their names.
  ///   - pictures: a row for each validation image to show.
  public init(recipe: Recipe, summary: Summary, log: [LogEntry], classes: [ClassEntry], pictures: [PictureRow] = []) {
    self.recipe = recipe
    self.summary = summary
    self.log = log
    self.classes = classes
    rows = pictures
  }

  /// The page as HTML.
  public func render() -> String {
    let title = escaped(recipe.name.isEmpty ? "run" : recipe.name)
    let sections = [tiles, scores, pictures, curves, pseudoLabels, phases, settings, footer]
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(title) – Apus</title><style>\(reportStyle)</style></head>
      <body><main><header><h1>\(title)</h1><p>\(subtitle)</p></header>
      \(sections.joined(separator: "\n"))
      </main></body></html>

      """
  }

  private var subtitle: String {
    let resolution = recipe.network.resolution
    let encoder = "encoder \(escaped(recipe.encoder.name))" + (resolution == .hrda ? "" : ", \(resolution.rawValue)")
    let share = summary.step < recipe.schedule.steps ? " of \(recipe.schedule.steps)" : ""
    let parts = recipe.batch.accumulate > 1 ? " in \(recipe.batch.accumulate) micro-batches" : ""
    return "method \(escaped(recipe.method.name)), \(encoder), \(summary.step)\(share) steps of "
      + "\(summary.globalBatch) source images\(parts), seed \(recipe.seed)"
  }
}

// MARK: - Figures and scores

extension Report {
  private var tiles: String {
    let gain = difference(summary.student.mIoU, summary.sourceOnly?.mIoU).map { "\($0) against source-only" }
    let layout = "\(summary.worldSize) × \(summary.threads)"
    let tiles = [
      ("student mIoU", summary.student.mIoU.map { percent($0) + " %" } ?? "–", small(summary.student, gain)),
      ("teacher mIoU", summary.teacher.mIoU.map { percent($0) + " %" } ?? "–", small(summary.teacher, nil)),
      ("images per second", number(summary.imagesPerSecond), "\(duration(summary.seconds)) of training"),
      (
        "ranks × threads", layout,
        summary.reproducibleAcrossRanks ? "reproducible over rank counts" : "not reproducible"
      ),
      ("peak memory of a rank", number(Double(summary.peakMemoryBytes) / Double(1 << 30)) + " GiB", ""),
    ]
    let cells = tiles.map { "<div class=tile><span>\($0)</span><b>\($1)</b><small>\($2)</small></div>" }
    return "<section class=tiles>\(cells.joined())</section>"
  }

  private func small(_ scores: Scores, _ gain: String?) -> String {
    [scores.coverage.map { "over \($0)" }, gain].compactMap { $0 }.joined(separator: ", ")
  }

  private var scores: String {
    var columns: [(name: String, scores: Scores)] = [("student", summary.student), ("teacher", summary.teacher)]
    if let sourceOnly = summary.sourceOnly { columns.insert(("source-only", sourceOnly), at: 0) }
    columns.removeAll { $0.scores.mIoU == nil }
    guard !columns.isEmpty else { return "" }
    let reference = summary.sourceOnly
    let head =
      columns.map { "<th>\($0.name)</th>" }.joined() + (reference == nil ? "" : "<th>student − source-only</th>")
    let body = classes.map { entry in
      let values = columns.map { $0.scores.iou(of: entry.name) }
      let gain = reference.map { difference(summary.student.iou(of: entry.name), $0.iou(of: entry.name)) ?? "–" }
      return row(swatch(entry) + escaped(entry.name), values, gain)
    }
    let mean = row(
      "mean", columns.map(\.scores.mIoU), reference.map { difference(summary.student.mIoU, $0.mIoU) ?? "–" })
    return """
      <section><h2>IoU by class, in percent</h2><div class=scroll><table><thead><tr><th>class</th>\(head)</tr></thead>
      <tbody>\(body.joined(separator: "\n"))</tbody><tfoot>\(mean)</tfoot></table></div></section>
      """
  }

  private func row(_ name: String, _ values: [Double?], _ gain: String?) -> String {
    let texts = values.map { $0.map(percent) ?? "–" }
    let best = values.compactMap { $0 }.max().map(percent)
    // Equal figures have no best one.
    let isOutstanding = texts.count { $0 == best } == 1 && values.compactMap { $0 }.count > 1
    let cells = texts.map { isOutstanding && $0 == best ? "<td><b>\($0)</b></td>" : "<td>\($0)</td>" }
    return "<tr><th>\(name)</th>\(cells.joined())\(gain.map { "<td>\($0)</td>" } ?? "")</tr>"
  }

  func swatch(_ entry: ClassEntry) -> String {
    "<i style=\"background:rgb(\(entry.colour.x) \(entry.colour.y) \(entry.colour.z))\"></i>"
  }

  private func difference(_ value: Double?, _ reference: Double?) -> String? {
    guard let value, let reference else { return nil }
    return (value < reference ? "−" : "+") + percent(abs(value - reference))
  }

  private var pictures: String {
    guard !rows.isEmpty else { return "" }
    let figures = rows.map { row in
      let cells = row.pictures.map { picture in
        let data = Foundation.Data(picture.png).base64EncodedString()
        return """
          <figure><img alt="\(escaped(picture.caption)) of \(escaped(row.name))" src="data:image/png;base64,\(data)">\
          <figcaption>\(escaped(picture.caption))</figcaption></figure>
          """
      }
      return "<h3>\(escaped(row.name))</h3><div class=row>\(cells.joined())</div>"
    }
    let legend = classes.map { "<span>\(swatch($0))\(escaped($0.name))</span>" }.joined()
    return "<section><h2>Validation images</h2>\(figures.joined())<p class=legend>\(legend)</p></section>"
  }
}

// MARK: - Curves, times and settings

extension Report {
  private var curves: String {
    let names = log.reduce(into: [String]()) { names, entry in
      for name in entry.losses.keys.sorted() where !names.contains(name) { names.append(name) }
    }
    let (terms, shares) = (names.filter { $0 != confidentShare }, names.filter { $0 == confidentShare })
    let rate = Curve("learning rate", log.map { (Double($0.step), $0.learningRate) })
    let scored = networkCurves()
    return [
      Chart("mIoU on the validation set, in percent", scored, reference: summary.sourceOnly?.mIoU).figure,
      Chart("Losses as they enter the sum", terms.map(curve)).figure,
      Chart("Share of confident pseudo-labels", shares.map(curve)).figure,
      Chart(
        "Norm of the gradient",
        [
          Curve(
            "norm",
            log.compactMap { entry in
              entry.gradientNorm.map { (Double(entry.step), $0) }
            })
        ]
      ).figure,
      Chart(
        "Longest time of computing over the mean of all ranks",
        [
          Curve(
            "ratio",
            log.compactMap { entry in
              entry.straggler.map { (Double(entry.step), $0.ratio) }
            })
        ]
      ).figure,
      Chart("Learning rate of the encoder", [rate]).figure,
    ].joined(separator: "\n")
  }

  private func curve(_ name: String) -> Curve {
    Curve(name, log.compactMap { entry in entry.losses[name].map { (Double(entry.step), $0) } })
  }

  private func networkCurves() -> [Curve] {
    [("student", summary.student), ("teacher", summary.teacher)].map { name, final in
      var points = log.compactMap { entry in entry.mIoU?[name].map { (Double(entry.step), $0) } }
      if let mIoU = final.mIoU, points.last?.0 != Double(summary.step) { points.append((Double(summary.step), mIoU)) }
      return Curve(name, points)
    }
  }

  private var phases: String {
    guard !log.isEmpty else { return "" }
    let names = Set(log.flatMap(\.seconds.keys))
    let means = names.map { name in (name, log.reduce(0) { $0 + ($1.seconds[name] ?? 0) } / Double(log.count)) }
      .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
    let total = means.reduce(0) { $0 + $1.1 }
    guard total > 0, let longest = means.first?.1 else { return "" }
    let bars = means.map { name, seconds in
      let share = 100 * seconds / total
      return """
        <div class=bar><span>\(escaped(name))</span><div><i style="width:\(percent(100 * seconds / longest))%"></i></div>\
        <span>\(number(seconds)) s, \(percent(share)) %</span></div>
        """
    }
    return "<section><h2>Time of a step by phase, \(number(total)) s</h2>\(bars.joined())</section>"
  }

  private var settings: String {
    let sets = [
      ("source", recipe.data.source), ("target", recipe.data.target), ("validation", recipe.data.validation),
      ("few-shot", recipe.data.fewShot?.set),
    ]
    var facts = sets.compactMap { name, set in set.map { ("\(name) data", words($0)) } }
    facts += [
      ("training crop", "\(recipe.crop.size), detail crop \(recipe.network.detailCrop)"),
      ("learning rate", "\(number(recipe.scaledLearningRate)), heads × \(number(recipe.optimizer.headFactor))"),
      ("schedule", "\(recipe.schedule.steps) steps, \(recipe.schedule.warmUpSteps) of warm-up"),
      ("teacher", "momentum \(recipe.scaledMomentum), threshold \(recipe.teacher.threshold)"),
      ("feature distance", recipe.featureDistance.weight == 0 ? "off" : "weight \(recipe.featureDistance.weight)"),
    ]
    let rows = facts.map { "<tr><th>\($0)</th><td>\(escaped($1))</td></tr>" }.joined()
    return """
      <section><h2>Recipe</h2><div class=scroll><table class=facts>\(rows)</table></div>
      <details><summary>all settings</summary><pre>\(escaped(recipe.resolvedYAML))</pre></details></section>
      """
  }

  private func words(_ set: Recipe.DataSet) -> String {
    guard set.kind == "procedural" else {
      return set.images ?? [set.kind, set.split, set.condition, set.root].compactMap { $0 }.joined(separator: " ")
    }
    return "\(set.count) procedural scenes of the \(set.domain.rawValue) domain, \(set.size), seed \(set.seed)"
  }

  private var footer: String {
    """
    <footer>Apus \(escaped(programVersion)) · recipe <code>\(recipe.fingerprint)</code><br>
    student <code>\(escaped(summary.studentDigest))</code><br>teacher <code>\(escaped(summary.teacherDigest))</code><br>
    optimizer <code>\(escaped(summary.optimizerDigest))</code></footer>
    """
  }
}

/// Name under which the log keeps the share of confident pseudo-labels, which is no loss.
private let confidentShare = "confident-share"

/// Text that HTML takes as it is, with control characters shown and not obeyed.
package func escaped(_ text: String) -> String {
  shown(text, keepsLines: true).replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
    .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
}
