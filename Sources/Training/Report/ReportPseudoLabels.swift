// The part of report.html about pseudo-labels: how they agree with the source and with themselves, how sure the teacher is.

import Support

extension Report {
  /// Charts over the run, and the newest figures by class; nothing without figures.
  var pseudoLabels: String {
    let told = log.compactMap { entry in entry.pseudoLabels.map { (step: entry.step, figures: $0) } }
    guard let last = told.last else { return "" }
    let agreement = told.compactMap { one in one.figures.agreement.map { (Double(one.step), 100 * $0) } }
    let charts = [
      Chart(
        "Pseudo-labels that stay as they were when their image was last seen, in percent of pixels",
        [Curve("agreement", agreement)]),
      Chart(
        "Distance between the classes of pseudo-labels and of the source (0: equal shares)",
        [Curve("distance", told.compactMap { one in one.figures.distance.map { (Double(one.step), $0) } })]),
      Chart(
        "Pixels by confidence, in percent",
        [(9, "0.9 to 1"), (8, "0.8 to 0.9"), (7, "0.7 to 0.8")].map { bin, name in
          Curve(name, told.map { (Double($0.step), 100 * $0.figures.share(from: bin, to: bin + 1)) })
        } + [Curve("below 0.7", told.map { (Double($0.step), 100 * $0.figures.share(from: 0, to: 7)) })]),
    ]
    return charts.map(\.figure).joined(separator: "\n") + table(last.figures, step: last.step)
  }

  private func table(_ figures: PseudoLabelFigures, step: Int) -> String {
    let body = classes.map { entry in
      let values = [figures.coverage[entry.name] ?? 0, figures.source[entry.name] ?? 0].map { percent(100 * $0) }
      let confident = figures.confident[entry.name].map { percent(100 * $0) } ?? "–"
      return "<tr><th>\(swatch(entry))\(escaped(entry.name))</th>"
        + (values + [confident]).map { "<td>\($0)</td>" }.joined() + "</tr>"
    }
    return """
      <section><h2>Pseudo-labels by class at step \(step), in percent</h2><div class=scroll><table>
      <thead><tr><th>class</th><th>of target pixels</th><th>of source pixels</th><th>confident</th></tr></thead>
      <tbody>\(body.joined(separator: "\n"))</tbody></table></div></section>
      """
  }
}

extension PseudoLabelFigures {
  /// Share of pixels in a range of tenths of confidence; those that a foreign log lacks count as empty.
  fileprivate func share(from first: Int, to end: Int) -> Double {
    confidence.prefix(end).dropFirst(first).reduce(0, +)
  }
}
