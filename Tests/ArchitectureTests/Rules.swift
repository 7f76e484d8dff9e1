// The rules of docs/architecture.md as functions from texts to findings. A finding is one line: where and what.

/// The floor of each target, lowest first.
let floors: [String: Int] = [
  "CMPI": 0, "CHDF5": 0, "COpenBLAS": 0, "CDNNL": 0, "CPNG": 0, "CTurboJPEG": 0, "CCrypto": 0, "CKernels": 0,
  "CHeap": 0, "Support": 1, "Tensors": 2, "Collectives": 2, "Launching": 2, "Kernels": 3, "CollectivesMPI": 3,
  "CollectivesTesting": 3, "Imagery": 3,
  "Autograd": 4, "Storage": 4, "StorageHDF5": 4, "WeightFiles": 4, "Networks": 5, "Domains": 5,
  "Optimization": 6, "DataParallel": 6,
  "Adaptation": 7, "Recipes": 8, "Methods": 8, "Training": 9, "Verification": 9, "Benchmarks": 10, "Scaling": 11,
  "apus": 12,
]

/// An implementation may use the protocols it stands beside, and a check what it checks.
private let beside = ["StorageHDF5": "Storage", "Verification": "Training"]

/// Targets that only the composition root may import.
private let rootOnly = ["CollectivesMPI", "StorageHDF5"]

/// Targets for tests: no other target declares them.
private let testsOnly = ["CollectivesTesting"]

/// Targets whose work is pointers. No other target names them, or vector types of four elements and more.
private let pointerOwners: Set<String> = [
  "Tensors", "Kernels", "Collectives", "CollectivesMPI", "CollectivesTesting", "DataParallel", "Imagery", "StorageHDF5",
]

/// Dependencies that do not point down, and targets without a floor.
func floorFindings(_ manifest: PackageManifest) -> [String] {
  manifest.targets.filter { !$0.isTest }.flatMap { target -> [String] in
    guard let floor = floors[target.name] else { return ["\(target.name) has no floor"] }
    return target.dependencies.compactMap { dependency in
      guard let below = floors[dependency] else { return "\(target.name) uses \(dependency), which has no floor" }
      if testsOnly.contains(dependency) { return "\(target.name) uses \(dependency), which is for tests" }
      guard below >= floor, beside[target.name] != dependency else { return nil }
      return "\(target.name) (floor \(floor)) uses \(dependency) (floor \(below))"
    }
  }
}

/// Imports that are not declared, and imports only the composition root may have.
func importFindings(_ file: SourceFile, _ manifest: PackageManifest) -> [String] {
  let known = Set(manifest.targets.flatMap { [$0.name] + $0.products })
  let own = manifest.targets.first { $0.name == file.target }
  let declared = Set((own?.dependencies ?? []) + (own?.products ?? []))
  let statement =
    /^\s*(?:@\w+\s+|public\s+|internal\s+|package\s+|private\s+)*import\s+(?:(?:struct|class|enum|func|let|var|protocol|typealias)\s+)?(\w+)/
  return file.code.compactMap { line in
    guard let name = line.text.firstMatch(of: statement).map({ String($0.1) }), known.contains(name) else { return nil }
    if rootOnly.contains(name), file.target != "apus" {
      return "\(file.path):\(line.number) imports \(name), which only apus may"
    }
    return declared.contains(name) ? nil : "\(file.path):\(line.number) imports \(name) without declaring it"
  }
}

/// Unsafe pointers and wide vectors outside the targets that own them.
func pointerFindings(_ file: SourceFile) -> [String] {
  guard !pointerOwners.contains(file.target) else { return [] }
  let forbidden = /Unsafe(?:Mutable)?(?:Raw)?(?:Buffer)?Pointer|SIMD(?:4|8|16|32|64)</
  return file.code.compactMap { line in
    line.text.firstMatch(of: forbidden).map { "\(file.path):\(line.number) uses \($0.0)" }
  }
}

/// Commands whose body is not run by what turns a failure into one line and an exit status.
func commandFindings(_ file: SourceFile) -> [String] {
  let start = "func run() throws {"
  return file.code.indices.compactMap { index in
    guard file.code[index].text.contains(start) else { return nil }
    let body = file.code[index...].prefix { !$0.text.hasPrefix("  }") }.map(\.text).joined(separator: "\n")
    let runners = ["runAlone", "runHere", "runOnRanks", "withWorldCommunicator"]
    guard !runners.contains(where: { body.contains($0) }) else { return nil }
    return "\(file.path):\(file.code[index].number) runs outside \(runners.joined(separator: ", "))"
  }
}

/// Files of more than 300 lines.
func lengthFindings(_ file: SourceFile) -> [String] {
  let lines =
    file.text.split(separator: "\n", omittingEmptySubsequences: false).count - (file.text.last == "\n" ? 1 : 0)
  return lines > 300 ? ["\(file.path) has \(lines) lines, 300 are allowed"] : []
}

/// Folders of more than 15 Swift files, those in folders below not counted.
func crowdFindings(_ files: [SourceFile]) -> [String] {
  let folders = Dictionary(grouping: files.filter { $0.path.hasSuffix(".swift") }) { file in
    file.path.split(separator: "/").dropLast().joined(separator: "/")
  }
  return folders.filter { $0.value.count > 15 }.map { folder, files in
    "\(folder) has \(files.count) Swift files, 15 are allowed: make folders in it"
  }.sorted()
}

// The words are put together here, so that this file does not find itself.
private let openMarks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
private let machineFolders = ["work", "home", "root", "Users"].map { "/\($0)" + "/" }
private let registryHosts = ["pypi", "files", "deb", "registry", "index", "proxy"].map { "://\($0)" + "." }

/// Marks of unfinished work.
func openMarkFindings(_ file: SourceFile) -> [String] { findings(of: openMarks, in: file) }

/// Paths of one machine, and hosts of package registries.
func machineFindings(_ file: SourceFile) -> [String] { findings(of: machineFolders + registryHosts, in: file) }

private func findings(of words: [String], in file: SourceFile) -> [String] {
  file.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().flatMap { index, line in
    words.filter { line.contains($0) }.map { "\(file.path):\(index + 1) has \($0)" }
  }
}

/// Tracked paths that a build makes.
func buildProductFindings(_ paths: [String]) -> [String] {
  paths.filter { path in
    let parts = path.split(separator: "/")
    return parts.contains { $0.hasPrefix(".build") || $0 == "Package.resolved" || $0.hasSuffix(".o") }
  }.map { "\($0) is a build product" }
}

/// Decision records: `0001-short-title.md` and so on without gaps, each starting with `# 0001 Title`.
func decisionFindings(_ records: [SourceFile]) -> [String] {
  records.sorted { $0.path < $1.path }.enumerated().flatMap { index, record -> [String] in
    let name = record.path.split(separator: "/").last ?? ""
    let digits = String(index + 1)
    let number = String(repeating: "0", count: 4 - digits.count) + digits
    guard name.wholeMatch(of: /\d{4}-[a-z0-9-]+\.md/) != nil, name.hasPrefix(number) else {
      return ["\(record.path) should be named \(number)-….md"]
    }
    return record.text.hasPrefix("# \(number) ") ? [] : ["\(record.path) should start with # \(number)"]
  }
}

/// Names that a catalogue offers to recipes and that have no row in a page's tables; a catalogue without any name.
func catalogueFindings(_ sources: [SourceFile], names: Regex<(Substring, Substring)>, page: String) -> [String] {
  let found = sources.flatMap { file in
    file.code.flatMap { line in line.text.matches(of: names).map { (place: "\(file.path):\(line.number)", name: $0.1) }
    }
  }
  let rows = page.split(separator: "\n").filter { $0.hasPrefix("|") }
  let missing = found.filter { entry in !rows.contains { $0.contains("`\(entry.name)`") } }
  return found.isEmpty ? ["no entry found"] : missing.map { "\($0.place): \($0.name) has no row in the documents" }
}

/// Marks that git leaves where a merge met a conflict. A line of equal signs counts between two others only, since it
/// also underlines headings.
func mergeMarkFindings(_ file: SourceFile) -> [String] {
  var isOpen = false
  return file.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
    let mark = line.prefix { $0 == line.first }
    let isMark = mark.count == 7 && (line.count == 7 || line.dropFirst(7).first == " ")
    guard isMark, let kind = mark.first, "<>|".contains(kind) || (kind == "=" && isOpen) else { return nil }
    isOpen = kind != ">"
    return "\(file.path):\(index + 1) is a mark of a merge"
  }
}

/// Lines of a Markdown file over 120 columns. Tables, links alone in a line and code blocks cannot be wrapped.
func longLineFindings(_ file: SourceFile) -> [String] {
  var isFenced = false
  return file.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
    let text = line.drop { $0 == " " }
    if text.hasPrefix("```") { isFenced.toggle() }
    let isCode = isFenced || line.hasPrefix("    ")
    let isLink = text.wholeMatch(of: /(?:[-*] )?\[[^\]]*\]\([^)]*\)[.,;:]?/) != nil
    guard line.count > 120, !isCode, !text.hasPrefix("|"), !isLink else { return nil }
    return "\(file.path):\(index + 1) has \(line.count) columns, 120 are allowed"
  }
}

/// Paths of this repository that a Markdown file names and that are not there. Names that begin with `My` are examples.
func pathFindings(_ file: SourceFile, exists: (String) -> Bool) -> [String] {
  file.text.matches(of: /`((?:Sources|Tests|Launch|docs)\/[A-Za-z0-9_.+\/-]+)`/).compactMap { match in
    let path = String(match.1)
    guard path.firstMatch(of: /\/My[A-Z]/) == nil, !exists(path) else { return nil }
    return "\(file.path) names \(path), which is missing"
  }
}

/// Relative links of a Markdown file that lead nowhere: to no file, or to no heading of one.
/// - Parameter text: the text of a file, nil without one.
func anchorFindings(_ file: SourceFile, text: (String) -> String?) -> [String] {
  let folder = file.path.split(separator: "/").dropLast().map(String.init)
  return file.text.matches(of: /\]\(([^)#\s:]*)#([^)\s]+)\)/).compactMap { match in
    let path = match.1.isEmpty ? file.path : resolved(folder, String(match.1))
    guard let page = match.1.isEmpty ? file.text : text(path) else { return nil }
    return anchors(page).contains(String(match.2)) ? nil : "\(file.path) links to \(path)#\(match.2), which is missing"
  }
}

/// A relative path from a folder, without steps upwards.
private func resolved(_ folder: [String], _ link: String) -> String {
  link.split(separator: "/").reduce(into: folder) { parts, part in
    if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
  }.joined(separator: "/")
}

/// The names that headings have in links.
private func anchors(_ page: String) -> Set<String> {
  Set(
    page.split(separator: "\n").filter { $0.hasPrefix("#") }.map { line in
      let words = line.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
      return String(words.filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) }).replacing(" ", with: "-")
    })
}

/// Relative links of a Markdown file that lead nowhere.
func linkFindings(_ file: SourceFile, exists: (String) -> Bool) -> [String] {
  let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
  return file.text.matches(of: /\]\(([^)#\s]+)[^)]*\)/).compactMap { match in
    let link = String(match.1)
    guard !link.contains("://") else { return nil }
    return exists(folder.isEmpty ? link : "\(folder)/\(link)") ? nil : "\(file.path) links to \(link), which is missing"
  }
}
