// How text that comes from outside is shown to people.

/// A text with the signs escaped that a terminal or a page would obey instead of showing: control characters as `\u{1b}`,
/// line breaks as `\n`, and the marks that turn the direction of writing.
///
/// File names, classes and recipes come from outside and may hold any of them.
/// - Parameters:
///   - text: any text.
///   - keepsLines: whether line breaks and tabs stay, for texts of several lines.
public func shown(_ text: String, keepsLines: Bool = false) -> String {
  guard text.unicodeScalars.contains(where: isObeyed) else { return text }
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\n" where keepsLines, "\t" where keepsLines: result.unicodeScalars.append(scalar)
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case _ where isObeyed(scalar): result += "\\u{\(String(scalar.value, radix: 16))}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}

/// Whether a sign does something instead of being seen.
private func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  // Controls of ASCII and of Latin-1; line and paragraph separators; embeddings, overrides and isolates of direction.
  case 0..<0x20, 0x7f..<0xa0, 0x2028...0x202e, 0x2066...0x2069: true
  default: false
  }
}
