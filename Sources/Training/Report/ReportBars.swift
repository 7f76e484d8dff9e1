// Stacked bars and heat maps as SVG.

import Foundation
import Support

/// Bars of parts that lie one behind the other, each bar in a row of its own.
package struct StackedBars: Drawing {
  /// A bar.
  package struct Bar {
    /// What stands at its left.
    package let name: String
    /// Values in the order of the parts.
    package let values: [Double]
    /// Whether it is no measurement: drawn pale.
    package let isPale: Bool

    /// A bar.
    package init(_ name: String, _ values: [Double], isPale: Bool = false) {
      self.name = name
      self.values = values
      self.isPale = isPale
    }
  }

  package let title: String
  private let parts: [String]
  private let bars: [Bar]
  private let unit: String
  private let axis: Axis
  private let left: Double

  /// Bars over an axis.
  /// - Parameters:
  ///   - parts: names of the parts, at most twelve.
  ///   - bars: from top to bottom; each has as many values as there are parts.
  ///   - unit: what the axis shows.
  package init(_ title: String, parts: [String], _ bars: [Bar], unit: String) {
    precondition(bars.allSatisfy { $0.values.count == parts.count }, "bars of other than \(parts.count) parts")
    self.title = title
    self.parts = parts
    self.bars = bars
    self.unit = unit
    axis = Axis(from: 0, to: bars.map { $0.values.reduce(0, +) }.max() ?? 1)
    left = 20 + 7.4 * Double(bars.map(\.name.count).max() ?? 0)
  }

  package var size: (width: Double, height: Double) { (960, 30 * Double(bars.count) + 52) }

  package var legend: [LegendEntry] {
    // Parts that no bar has would only take room.
    parts.indices.filter { part in bars.contains { $0.values[part] > 0 } }.map { part in
      LegendEntry(key: "<rect class=\"p\(part)\" x=\"5\" y=\"1\" width=\"16\" height=\"12\"/>", text: parts[part])
    }
  }

  package var content: String {
    guard !bars.isEmpty else { return "" }
    let bottom = 30 * Double(bars.count) + 8
    let ticks = axis.ticks.map { value in
      "<path class=\"grid\" d=\"M\(place(horizontal(value))) 4V\(place(bottom))\"/>"
        + "<text class=\"mid\" x=\"\(place(horizontal(value)))\" y=\"\(place(bottom + 18))\">\(number(value))</text>"
    }
    let name =
      "<text class=\"mid\" x=\"\(place((left + 940) / 2))\" y=\"\(place(bottom + 38))\">\(escaped(unit))</text>"
    return ticks.joined() + name + bars.enumerated().map(drawn).joined(separator: "\n")
  }

  private func drawn(_ row: Int, _ bar: Bar) -> String {
    let top = 30 * Double(row) + 8
    var from = 0.0
    let pieces = bar.values.enumerated().compactMap { part, value -> String? in
      defer { from += value }
      guard value > 0 else { return nil }
      let (start, end) = (horizontal(from), horizontal(from + value))
      return "<rect class=\"p\(part)\" x=\"\(place(start))\" y=\"\(place(top))\" width=\"\(place(end - start))\" "
        + "height=\"20\"><title>\(escaped(bar.name)), \(escaped(parts[part])): \(number(value))</title></rect>"
    }
    return "<text class=\"end\" x=\"\(place(left - 8))\" y=\"\(place(top + 14))\">\(escaped(bar.name))</text>"
      + "<g\(bar.isPale ? " class=\"pale\"" : "")>\(pieces.joined())</g>"
  }

  private func horizontal(_ value: Double) -> Double { left + (940 - left) * axis.share(value) }
}

/// Values of rows and columns as shades between the least and the greatest.
package struct HeatMap: Drawing {
  package let title: String
  private let rows: [String]
  private let rowName: String
  private let columnName: String
  private let values: [[Double]]
  private let range: ClosedRange<Double>
  private let unit: String

  /// A map.
  /// - Parameters:
  ///   - rows: names of the rows.
  ///   - values: of every row, from left to right; all of one length.
  ///   - unit: what values are.
  package init(
    _ title: String, rows: [String], rowName: String, columnName: String, _ values: [[Double]], unit: String
  ) {
    precondition(values.allSatisfy { $0.count == values[0].count } && rows.count == values.count, "a ragged map")
    self.title = title
    self.rows = rows
    self.rowName = rowName
    self.columnName = columnName
    self.values = values
    self.unit = unit
    let all = values.joined()
    range = (all.min() ?? 0)...max(all.max() ?? 1, all.min() ?? 0)
  }

  private var cell: (width: Double, height: Double) {
    (870 / Double(max(1, values.first?.count ?? 1)), min(28, max(3, 320 / Double(max(1, rows.count)))))
  }

  package var size: (width: Double, height: Double) { (960, cell.height * Double(rows.count) + 48) }

  package var legend: [LegendEntry] {
    [(0.0, range.lowerBound), (0.5, (range.lowerBound + range.upperBound) / 2), (1.0, range.upperBound)].map {
      LegendEntry(key: HeatMap.square(5, 1, 16, 12, $0.0, ""), text: "\(number($0.1)) \(unit)")
    }
  }

  package var content: String {
    guard let first = values.first, !first.isEmpty else { return "" }
    let bottom = cell.height * Double(rows.count) + 4
    // No more names than there is room for.
    let every = max(1, Int((16 / cell.height).rounded(.up)))
    let names = rows.enumerated().filter { $0.offset.isMultiple(of: every) }.map { row, name in
      let y = cell.height * (Double(row) + 0.5) + 9
      return "<text class=\"end\" x=\"72\" y=\"\(place(y))\">\(escaped(name))</text>"
    }
    let step = max(1, (first.count + 19) / 20)
    let numbers = stride(from: 0, to: first.count, by: step).map { column in
      let x = 80 + cell.width * (Double(column) + 0.5)
      return "<text class=\"mid\" x=\"\(place(x))\" y=\"\(place(bottom + 16))\">\(column)</text>"
    }
    let across = "<text class=\"mid\" x=\"515\" y=\"\(place(bottom + 36))\">\(escaped(columnName))</text>"
    return names.joined() + numbers.joined() + across + values.enumerated().map(drawn).joined(separator: "\n")
  }

  private func drawn(_ row: Int, _ values: [Double]) -> String {
    values.enumerated().map { column, value in
      let width = range.upperBound - range.lowerBound
      let shade = width > 0 ? (value - range.lowerBound) / width : 0
      return HeatMap.square(
        80 + cell.width * Double(column), 4 + cell.height * Double(row), cell.width - 1, cell.height - 1, shade,
        "\(rowName) \(rows[row]), \(columnName) \(column): \(number(value)) \(unit)")
    }.joined()
  }

  private static func square(
    _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ shade: Double, _ told: String
  ) -> String {
    let title = told.isEmpty ? "" : "<title>\(escaped(told))</title>"
    return "<rect class=\"heat\" x=\"\(place(x))\" y=\"\(place(y))\" width=\"\(place(width))\" "
      + "height=\"\(place(height))\" fill-opacity=\"\(String(format: "%.2f", 0.06 + 0.94 * shade))\">\(title)</rect>"
  }
}
