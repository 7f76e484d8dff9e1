// Numbers as text, the same on every machine.

import Foundation

/// A number with a fixed count of decimals.
package func rounded(_ value: Double, _ decimals: Int) -> String {
  guard value.isFinite else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let digits = String(Int((abs(value) * scale).rounded()))
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  let sign = value < 0 && padded.contains(where: { $0 != "0" }) ? "-" : ""
  return decimals == 0 ? sign + padded : "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
}

/// Three significant digits, such as 0.0123, 6e-5 or 1,230.
package func number(_ value: Double) -> String {
  if abs(value) >= 1000 { return Int(value.rounded()).formatted(.number.locale(Locale(identifier: "en_US"))) }
  return String(format: "%.3g", value).replacingOccurrences(of: "e-0", with: "e-")
}

/// One decimal.
package func percent(_ value: Double) -> String { String(format: "%.1f", value) }

/// A duration in the unit that suits it.
package func duration(_ seconds: Double) -> String {
  if seconds < 120 { return "\(number(seconds)) s" }
  let minutes = Int((seconds / 60).rounded())
  return minutes < 120 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
}
