// Line charts as inline SVG: axes with round numbers, a legend, colours that suit light and dark pages.

import Foundation
import Support

/// A named curve over steps.
struct Curve {
  let name: String
  let points: [(x: Double, y: Double)]

  /// A curve of its finite points; where there are too many to tell apart, neighbours are averaged. What is beyond every
  /// axis counts as infinite.
  init(_ name: String, _ points: [(Double, Double)]) {
    self.name = name
    let finite = points.filter { abs($0.1) < 1e100 }
    let group = (finite.count + 299) / 300
    guard group > 1 else {
      self.points = finite.map { (x: $0.0, y: $0.1) }
      return
    }
    self.points = stride(from: 0, to: finite.count, by: group).map { start in
      let part = finite[start..<min(start + group, finite.count)]
      let count = Double(part.count)
      return (x: part.reduce(0) { $0 + $1.0 } / count, y: part.reduce(0) { $0 + $1.1 } / count)
    }
  }
}

/// Curves in one frame, with an optional level to compare with.
struct Chart {
  private let title: String
  private let curves: [Curve]
  private let reference: Double?
  private let x: Axis
  private let y: Axis

  private let width = 960.0
  private let height = 300.0
  private let frame = (left: 56.0, right: 944.0, top: 12.0, bottom: 252.0)

  /// A chart of those curves that have points.
  /// - Parameter reference: a level drawn across, named "source-only".
  init(_ title: String, _ curves: [Curve], reference: Double? = nil) {
    self.title = title
    self.curves = curves.filter { !$0.points.isEmpty }
    self.reference = reference
    let points = self.curves.flatMap(\.points)
    x = Axis(from: 0, to: points.map(\.x).max() ?? 1)
    let values = points.map(\.y) + (reference.map { [$0] } ?? [])
    y = Axis(from: min(0, values.min() ?? 0), to: values.max() ?? 1)
  }

  /// The chart with heading and legend; nothing if there are no points.
  var figure: String {
    guard !curves.isEmpty else { return "" }
    var legend = curves.enumerated().map { "<span><i class=\"line s\($0 % 6)\"></i>\(escaped($1.name))</span>" }
    if reference != nil { legend.append("<span><i class=\"line level\"></i>source-only</span>") }
    let shown = legend.count > 1 ? "<p class=legend>\(legend.joined())</p>" : ""
    return """
      <section><h2>\(escaped(title))</h2>\(shown)
      <svg viewBox="0 0 \(text(width)) \(text(height))" role="img" aria-label="\(escaped(title))">
      \(grid)\(level)\(curves.enumerated().map(drawn).joined(separator: "\n"))</svg></section>
      """
  }

  private var grid: String {
    let rows = y.ticks.map { value in
      let at = text(vertical(value))
      return "<path class=grid d=\"M\(text(frame.left)) \(at)H\(text(frame.right))\"/>"
        + "<text class=end x=\"\(text(frame.left - 8))\" y=\"\(at)\" dy=\"4\">\(number(value))</text>"
    }
    let columns = x.ticks.map { value in
      "<text class=mid x=\"\(text(horizontal(value)))\" y=\"\(text(frame.bottom + 18))\">\(number(value))</text>"
    }
    let name = "<text class=mid x=\"\(text((frame.left + frame.right) / 2))\" y=\"\(text(height - 6))\">step</text>"
    let base = "<path class=axis d=\"M\(text(frame.left)) \(text(vertical(0)))H\(text(frame.right))\"/>"
    return rows.joined() + columns.joined() + base + name
  }

  private var level: String {
    guard let reference else { return "" }
    return "<path class=level d=\"M\(text(frame.left)) \(text(vertical(reference)))H\(text(frame.right))\"/>"
  }

  private func drawn(_ index: Int, _ curve: Curve) -> String {
    let places = curve.points.map { "\(text(horizontal($0.x))) \(text(vertical($0.y)))" }
    let line = "<path class=\"curve s\(index % 6)\" d=\"M\(places.joined(separator: "L"))\"/>"
    guard curve.points.count <= 40 else { return line }
    let dots = curve.points.map { point in
      "<circle class=s\(index % 6) cx=\"\(text(horizontal(point.x)))\" cy=\"\(text(vertical(point.y)))\" r=\"4\">"
        + "<title>\(escaped(curve.name)), step \(number(point.x)): \(number(point.y))</title></circle>"
    }
    return line + dots.joined()
  }

  private func horizontal(_ value: Double) -> Double {
    frame.left + (frame.right - frame.left) * x.share(value)
  }

  private func vertical(_ value: Double) -> Double {
    frame.bottom - (frame.bottom - frame.top) * y.share(value)
  }

  private func text(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// A range that ends at round numbers.
private struct Axis {
  let low: Double
  let high: Double
  let ticks: [Double]

  /// An axis over at least the range given, with four to eight ticks at multiples of 1, 2 or 5 times a power of ten.
  init(from least: Double, to greatest: Double) {
    let span = greatest > least ? max(greatest - least, 1e-100) : max(1, abs(least))
    let rough = span / 5
    let power = pow(10, log10(rough).rounded(.down))
    let step = ([1, 2, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10) * power
    low = (least / step + 1e-9).rounded(.down) * step
    let count = min(max(1, Int(clamping: ((least + span - low) / step - 1e-9).rounded(.up))), 10)
    let first = low
    ticks = (0...count).map { first + Double($0) * step }
    high = first + Double(count) * step
  }

  /// 0 at the low end, 1 at the high end.
  func share(_ value: Double) -> Double { (value - low) / (high - low) }
}
