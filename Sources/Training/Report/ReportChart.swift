// Charts of curves and points as SVG: axes with round numbers, error bars, a legend, colours that suit light and dark
// pages.

import Foundation
import Support

/// A named curve, or points, of one look.
package struct Curve {
  /// A point with the ends of its interval, if it has one.
  package struct Point {
    package let x: Double
    package let y: Double
    package let low: Double?
    package let high: Double?

    /// A point.
    package init(_ x: Double, _ y: Double, low: Double? = nil, high: Double? = nil) {
      self.x = x
      self.y = y
      self.low = low
      self.high = high
    }
  }

  /// What stands at a point.
  package enum Mark: Sendable {
    /// A disc where there are few points, else nothing.
    case automatic
    /// A disc: measured.
    case disc
    /// An open circle: computed.
    case hollow
    /// A grey cross: something else than a measurement.
    case cross
    case none
  }

  /// What joins the points.
  package enum Line: Sendable {
    case solid, dashed, none
  }

  package let name: String
  package let points: [Point]
  package var mark = Mark.automatic
  package var line = Line.solid
  /// Whether it is drawn in grey: a level or an ideal to compare with.
  package var isLevel = false

  /// A curve of its finite points; where there are too many to tell apart, neighbours are averaged. What is beyond every
  /// axis counts as infinite.
  package init(_ name: String, _ points: [(Double, Double)]) {
    self.name = name
    let finite = points.filter { abs($0.1) < 1e100 }
    let group = (finite.count + 299) / 300
    guard group > 1 else {
      self.points = finite.map { Point($0.0, $0.1) }
      return
    }
    self.points = stride(from: 0, to: finite.count, by: group).map { start in
      let part = finite[start..<min(start + group, finite.count)]
      let count = Double(part.count)
      return Point(part.reduce(0) { $0 + $1.0 } / count, part.reduce(0) { $0 + $1.1 } / count)
    }
  }

  /// Points of one look.
  package init(_ name: String, _ points: [Point], _ mark: Mark, _ line: Line, isLevel: Bool = false) {
    self.name = name
    self.points = points
    self.mark = mark
    self.line = line
    self.isLevel = isLevel
  }
}

/// Curves in one frame, with an optional level to compare with.
package struct Chart: Drawing {
  package let title: String
  private let curves: [Curve]
  private let reference: Double?
  private let xForm: AxisForm
  private let yForm: AxisForm
  private let x: Axis
  private let y: Axis

  package let size = (width: 960.0, height: 300.0)
  private let frame = (left: 56.0, right: 944.0, top: 12.0, bottom: 252.0)

  /// A chart of those curves that have points.
  /// - Parameters:
  ///   - x: the axis across.
  ///   - y: the axis upwards.
  ///   - reference: a level drawn across, named "source-only".
  package init(
    _ title: String, _ curves: [Curve], x xForm: AxisForm = AxisForm("step"), y yForm: AxisForm = AxisForm(""),
    reference: Double? = nil
  ) {
    self.title = title
    self.curves = curves.filter { !$0.points.isEmpty }
    self.reference = reference
    self.xForm = xForm
    self.yForm = yForm
    let points = self.curves.flatMap(\.points)
    x = Axis(xForm, over: points.map(\.x))
    let ends = points.flatMap { [$0.low, $0.high].compactMap { $0 } }
    y = Axis(yForm, over: points.map(\.y) + ends + (reference.map { [$0] } ?? []))
  }

  package var content: String {
    curves.isEmpty ? "" : grid + level + curves.enumerated().map(drawn).joined(separator: "\n")
  }

  package var legend: [LegendEntry] {
    let entries = curves.enumerated().map { index, curve in LegendEntry(key: key(index, curve), text: curve.name) }
    guard reference != nil else { return entries }
    return entries + [LegendEntry(key: "<path class=\"level\" d=\"M0 7H26\"/>", text: "source-only")]
  }

  private var grid: String {
    let rows = y.ticks.map { value in
      let at = place(vertical(value))
      return "<path class=\"grid\" d=\"M\(place(frame.left)) \(at)H\(place(frame.right))\"/>"
        + "<text class=\"end\" x=\"\(place(frame.left - 8))\" y=\"\(at)\" dy=\"4\">\(number(value))</text>"
    }
    let columns = x.ticks.map { value in
      "<text class=\"mid\" x=\"\(place(horizontal(value)))\" y=\"\(place(frame.bottom + 18))\">\(number(value))</text>"
    }
    let middle = place((frame.left + frame.right) / 2)
    let name = "<text class=\"mid\" x=\"\(middle)\" y=\"\(place(size.height - 6))\">\(escaped(xForm.name))</text>"
    let base = "<path class=\"axis\" d=\"M\(place(frame.left)) \(place(baseline))H\(place(frame.right))\"/>"
    guard !yForm.name.isEmpty else { return rows.joined() + columns.joined() + base + name }
    let side =
      "<text class=\"mid\" transform=\"translate(12 \(place((frame.top + frame.bottom) / 2))) rotate(-90)\">"
      + "\(escaped(yForm.name))</text>"
    return rows.joined() + columns.joined() + base + name + side
  }

  private var baseline: Double { y.zero.map(vertical) ?? frame.bottom }

  private var level: String {
    guard let reference else { return "" }
    return "<path class=\"level\" d=\"M\(place(frame.left)) \(place(vertical(reference)))H\(place(frame.right))\"/>"
  }

  private func drawn(_ index: Int, _ curve: Curve) -> String {
    let places = curve.points.map { "\(place(horizontal($0.x))) \(place(vertical($0.y)))" }
    let path = "d=\"M\(places.joined(separator: "L"))\"/>"
    let line =
      switch curve.line {
      case .none: ""
      case _ where curve.isLevel: "<path class=\"level\" \(path)"
      case .solid: "<path class=\"curve s\(index % 6)\" \(path)"
      case .dashed: "<path class=\"curve dashed s\(index % 6)\" \(path)"
      }
    let marks = curve.points.map { point in
      interval(of: point, index)
        + mark(of: curve, index, x: horizontal(point.x), y: vertical(point.y), told: told(curve, point))
    }
    return line + marks.joined()
  }

  private func told(_ curve: Curve, _ point: Curve.Point) -> String {
    let interval = point.low.flatMap { low in point.high.map { ", \(number(low)) to \(number($0))" } } ?? ""
    return "\(curve.name), \(xForm.name) \(number(point.x)): \(number(point.y))\(interval)"
  }

  private func interval(of point: Curve.Point, _ index: Int) -> String {
    guard let low = point.low, let high = point.high, high > low else { return "" }
    let (x, top, bottom) = (horizontal(point.x), vertical(high), vertical(low))
    return "<path class=\"error s\(index % 6)\" d=\"M\(place(x - 5)) \(place(top))H\(place(x + 5))"
      + "M\(place(x)) \(place(top))V\(place(bottom))M\(place(x - 5)) \(place(bottom))H\(place(x + 5))\"/>"
  }

  private func mark(of curve: Curve, _ index: Int, x: Double, y: Double, told: String) -> String {
    let title = told.isEmpty ? "" : "<title>\(escaped(told))</title>"
    let circle = "cx=\"\(place(x))\" cy=\"\(place(y))\" r=\"4\">\(title)</circle>"
    switch curve.mark {
    case .automatic where curve.points.count > 40, .none: return ""
    case .automatic, .disc: return "<circle class=\"s\(index % 6)\" \(circle)"
    case .hollow: return "<circle class=\"hollow s\(index % 6)\" \(circle)"
    case .cross:
      let corner = "\(place(x - 4.5)) \(place(y - 4.5))"
      return "<path class=\"cross\" d=\"M\(corner)l9 9m0 -9l-9 9\">\(title)</path>"
    }
  }

  /// The curve's look beside its name.
  private func key(_ index: Int, _ curve: Curve) -> String {
    let line =
      switch curve.line {
      case .none: ""
      case _ where curve.isLevel: "<path class=\"level\" d=\"M0 7H26\"/>"
      case .solid: "<path class=\"line s\(index % 6)\" d=\"M0 7H26\"/>"
      case .dashed: "<path class=\"line dashed s\(index % 6)\" d=\"M0 7H26\"/>"
      }
    // Curves of a run's page are told by their colour alone.
    return line + (curve.mark == .automatic ? "" : mark(of: curve, index, x: 13, y: 7, told: ""))
  }

  private func horizontal(_ value: Double) -> Double {
    frame.left + (frame.right - frame.left) * x.share(value)
  }

  private func vertical(_ value: Double) -> Double {
    frame.bottom - (frame.bottom - frame.top) * y.share(value)
  }
}
