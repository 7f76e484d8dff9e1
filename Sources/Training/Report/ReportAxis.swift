// Axes of charts: ranges that end at round numbers, by equal steps or by equal factors.

import Foundation
import Support

/// What an axis shows and how.
package struct AxisForm: Sendable {
  /// How values become lengths.
  package enum Scale: Sendable {
    /// Equal steps, from 0 or less.
    case linear
    /// Equal steps of 20 from 0.
    case percent
    /// Equal factors; ticks at powers of two.
    case doubling
    /// Equal factors; ticks at 1, 2 and 5 times powers of ten.
    case decades
  }

  /// What it says, such as "ranks"; may be empty.
  package var name: String
  /// How values become lengths.
  package var scale: Scale
  /// A value that the axis reaches in any case.
  package var reaches: Double?

  /// An axis.
  package init(_ name: String, _ scale: Scale = .linear, reaches: Double? = nil) {
    self.name = name
    self.scale = scale
    self.reaches = reaches
  }
}

/// A range with its ticks.
struct Axis {
  private let low: Double
  private let high: Double
  private let isLogarithmic: Bool
  let ticks: [Double]

  /// An axis over all values, in a form.
  init(_ form: AxisForm, over values: [Double]) {
    let values = values + (form.reaches.map { [$0] } ?? [])
    switch form.scale {
    case .linear: self.init(from: min(0, values.min() ?? 0), to: values.max() ?? 1)
    case .percent: self.init(percentUpTo: values.max() ?? 100)
    case .doubling: self.init(doublingOver: values.filter { $0 > 0 })
    case .decades: self.init(decadesOver: values.filter { $0 > 0 })
    }
  }

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
    isLogarithmic = false
  }

  private init(percentUpTo greatest: Double) {
    let count = max(1, Int(clamping: (greatest / 20 - 1e-9).rounded(.up)))
    // Thousands of percent need fewer ticks.
    let step = 20 * Double((count + 9) / 10)
    ticks = stride(from: 0, through: 20 * Double(count), by: step).map { $0 }
    (low, high) = (0, 20 * Double(count))
    isLogarithmic = false
  }

  private init(doublingOver values: [Double]) {
    let first = log2(values.min() ?? 1).rounded(.down)
    let last = max(first + 1, log2(values.max() ?? 2).rounded(.up))
    ticks = stride(from: first, through: last, by: max(1, ((last - first) / 12).rounded(.up))).map { exp2($0) }
    // Room beside the outermost points, whose error bars have caps.
    (low, high) = (exp2(first - 0.12), exp2(last + 0.12))
    isLogarithmic = true
  }

  private init(decadesOver values: [Double]) {
    let (least, greatest) = (values.min() ?? 1, values.max() ?? 10)
    let power = pow(10, log10(least).rounded(.down))
    let all = (0..<40).flatMap { decade in [1, 2, 5].map { $0 * power * pow(10, Double(decade)) } }
    let first = all.last { $0 <= least * 1.0001 } ?? power
    let last = all.first { $0 >= greatest * 0.9999 && $0 > first } ?? greatest
    let inside = all.filter { $0 >= first * 0.9999 && $0 <= last * 1.0001 }
    // Over many decades, their beginnings are enough.
    ticks = inside.count > 10 ? inside.filter { abs(log10($0) - log10($0).rounded()) < 1e-6 } : inside
    (low, high) = (first, last)
    isLogarithmic = true
  }

  /// 0 at the low end, 1 at the high end.
  func share(_ value: Double) -> Double {
    guard isLogarithmic else { return (value - low) / (high - low) }
    return value > 0 ? log(value / low) / log(high / low) : 0
  }

  /// Where curves that stand for nothing would lie; nil on an axis of factors, which has no such place.
  var zero: Double? { isLogarithmic ? nil : 0 }
}
