// Numbers as text, the same on every machine.

import Foundation

/// A number with a fixed count of decimals; one that is too large for them in its shortest form, such as `1e+18`.
package func rounded(_ value: Double, _ decimals: Int) -> String {
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  guard let whole = Int(exactly: (abs(value) * scale).rounded()) else { return "\(value)" }
  let digits = String(whole)
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  let sign = value < 0 && padded.contains(where: { $0 != "0" }) ? "-" : ""
  return decimals == 0 ? sign + padded : "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
}

/// Three significant digits, such as 0.0123, 6e-5 or 1e+18, and whole numbers such as 1,230 below a billion.
package func number(_ value: Double) -> String {
  if (1000..<1e9).contains(abs(value)) {
    return Int(value.rounded()).formatted(.number.locale(Locale(identifier: "en_US")))
  }
  return String(format: "%.3g", value).replacingOccurrences(of: "e-0", with: "e-")
}

/// One decimal.
package func percent(_ value: Double) -> String { String(format: "%.1f", value) }

/// A duration in the unit that suits it.
package func duration(_ seconds: Double) -> String {
  if seconds < 120 { return "\(number(seconds)) s" }
  let minutes = Int(clamping: (seconds / 60).rounded())
  return minutes < 120 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
}
