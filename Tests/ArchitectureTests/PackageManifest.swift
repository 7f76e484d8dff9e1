// Targets and their dependencies, read from the text of Package.swift: asking SwiftPM would wait for the lock that the
// running `swift test` holds.

/// The targets of Package.swift.
struct PackageManifest {
  /// A target and what it declares.
  struct Target: Equatable {
    let name: String
    /// Targets of this package.
    let dependencies: [String]
    /// Products of other packages.
    let products: [String]
    let isTest: Bool
  }

  let targets: [Target]

  /// Reads the calls that declare targets: SwiftPM's own and the manifest's `floor` and `tests`.
  init(_ text: String) {
    let package = text.firstRange(of: "let package").map { text[$0.lowerBound...] } ?? text[...]
    var rest = package.split(separator: "\n").filter { !$0.drop { $0 == " " }.starts(with: "//") }
      .joined(separator: "\n")[...]
    let head = /(\.systemLibrary|\.target|\.executableTarget|\.testTarget|\bfloor|\btests)\(/
    var found: [Target] = []
    while let match = rest.firstMatch(of: head) {
      let body = balanced(rest[match.range.upperBound...], open: "(", close: ")")
      found.append(PackageManifest.target(String(match.1), body))
      rest = rest[body.endIndex...]
    }
    targets = found
  }

  private static func target(_ kind: String, _ body: Substring) -> Target {
    let given = literals(body).first ?? ""
    let isShort = kind == "floor" || kind == "tests"
    let marker = body.firstRange(of: isShort ? "," : "dependencies:")
    let afterMarker = marker.map { body[$0.upperBound...] } ?? ""
    let list = afterMarker.firstIndex(of: "[").map { afterMarker[afterMarker.index(after: $0)...] } ?? ""
    var items = balanced(list, open: "[", close: "]")
    var products: [String] = []
    while let product = items.firstRange(of: ".product(") {
      let arguments = balanced(items[product.upperBound...], open: "(", close: ")")
      products.append(literals(arguments).first ?? "")
      items = items[..<product.lowerBound] + items[arguments.endIndex...]
    }
    return Target(
      name: kind == "tests" ? given + "Tests" : given, dependencies: literals(items), products: products,
      isTest: kind == "tests" || kind == ".testTarget" || body.contains("path: \"Tests"))
  }
}

/// The text up to the bracket that closes the one just before it.
private func balanced(_ text: Substring, open: Character, close: Character) -> Substring {
  var depth = 1
  for index in text.indices {
    if text[index] == open { depth += 1 }
    if text[index] == close { depth -= 1 }
    if depth == 0 { return text[..<index] }
  }
  return text
}

/// The string literals of a text without escapes.
private func literals(_ text: Substring) -> [String] {
  text.split(separator: "\"", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
    .map { String($0.element) }
}

private func + (first: Substring, second: Substring) -> Substring { Substring(String(first) + String(second)) }
