// What charts, bars and heat maps have in common: a figure of a page, and a file that is complete by itself, for print.

import Foundation
import Support

/// What a mark of a legend looks like, and what it stands for.
package struct LegendEntry {
  /// A small drawing, 26 wide and 14 high.
  let key: String
  /// What it stands for.
  let text: String
}

/// A drawing that can stand in a page or in a file of its own.
package protocol Drawing {
  /// What it shows, in a few words.
  var title: String { get }
  /// Width and height of the drawing.
  var size: (width: Double, height: Double) { get }
  /// Marks and what they stand for.
  var legend: [LegendEntry] { get }
  /// SVG elements; empty where there is nothing to show.
  var content: String { get }
}

extension Drawing {
  /// Whether there is nothing to show.
  package var isEmpty: Bool { content.isEmpty }

  /// A section of a page with heading and legend; nothing if there is nothing to show.
  package var figure: String {
    isEmpty ? "" : "<section><h2>\(escaped(title))</h2>\(shownLegend)\n\(inline)</section>"
  }

  /// The legend, if it says anything, and the drawing.
  package var body: String { isEmpty ? "" : "\(shownLegend)\n\(inline)" }

  private var shownLegend: String {
    guard legend.count > 1 else { return "" }
    let entries = legend.map { entry in
      "<span><svg class=\"key\" viewBox=\"0 0 26 14\" aria-hidden=\"true\">\(entry.key)</svg>\(escaped(entry.text))</span>"
    }
    return "<p class=legend>\(entries.joined())</p>"
  }

  private var inline: String {
    """
    <div class=plot><svg viewBox="0 0 \(place(size.width)) \(place(size.height))" role="img" \
    aria-label="\(escaped(title))">
    \(content)</svg></div>
    """
  }

  /// A file with title and legend, black on white.
  package var file: String {
    let rows = legend.count > 1 ? legendRows : []
    let top = 34.0 + 22 * Double(rows.count)
    let entries = rows.enumerated().flatMap { index, row in
      row.map { x, entry in
        "<g transform=\"translate(\(place(x)) \(place(32 + 22 * Double(index))))\">\(entry.key)"
          + "<text x=\"32\" y=\"11\">\(escaped(entry.text))</text></g>"
      }
    }
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" width="\(place(size.width))" height="\(place(size.height + top))" \
      viewBox="0 0 \(place(size.width)) \(place(size.height + top))">
      <title>\(escaped(title))</title>
      <style>\(drawingFileStyle)</style>
      <rect class="page" width="\(place(size.width))" height="\(place(size.height + top))"/>
      <text class="title" x="12" y="22">\(escaped(title))</text>
      \(entries.joined(separator: "\n"))
      <g transform="translate(0 \(place(top)))">
      \(content)
      </g>
      </svg>

      """
  }

  /// Entries in rows no wider than the drawing, each with its place.
  private var legendRows: [[(Double, LegendEntry)]] {
    var rows: [[(Double, LegendEntry)]] = [[]]
    var x = 12.0
    for entry in legend {
      let width = 52 + 7.2 * Double(entry.text.count)
      if x + width > size.width, !rows[rows.count - 1].isEmpty {
        rows.append([])
        x = 12
      }
      rows[rows.count - 1].append((x, entry))
      x += width
    }
    return rows
  }
}

/// A length of a drawing.
func place(_ value: Double) -> String { String(format: "%.1f", value) }
