// What a source file may hold: pointers on the floors that own them, 300 lines, nothing left open.

import Testing

@Suite("Sources") struct SourceTests {
  let sources = Checkout.sources(under: "Sources")

  @Test("pointers and vectors stay on their floors") func pointersStayOnTheirFloors() {
    let swift = sources.filter { $0.path.hasSuffix(".swift") }
    #expect(!swift.isEmpty)
    #expect(swift.flatMap(pointerFindings) == [])
  }

  @Test("no source file is longer than 300 lines") func filesAreShort() {
    #expect(!sources.isEmpty)
    #expect(sources.flatMap(lengthFindings) == [])
  }

  @Test("no folder of sources holds more than 15 Swift files") func foldersAreSmall() {
    #expect(crowdFindings(sources) == [])
  }

  @Test("nothing is marked as left open") func nothingIsLeftOpen() {
    let all = sources + ["Tests", "Launch", "docs"].flatMap { Checkout.sources(under: $0) }
    #expect(all.flatMap(openMarkFindings) == [])
  }

  @Test("every name a catalogue offers has a row in the documents", arguments: Catalogue.allCases)
  func cataloguesAreDocumented(_ catalogue: Catalogue) {
    let page = Checkout.text("docs/\(catalogue.page).md") ?? ""
    #expect(catalogueFindings(sources, names: catalogue.names, page: page) == [])
  }

  @Test("every command ends with an exit status of its own") func commandsAreRun() {
    let commands = sources.filter { $0.path.hasPrefix("Sources/apus/") && $0.text.contains("func run() throws") }
    #expect(commands.count > 5)
    #expect(commands.flatMap(commandFindings) == [])
  }

  @Test("a command that lets failures out is reported") func bareCommandsAreReported() {
    let text = "  func run() throws {\n    try work()\n  }\n  func run() throws { try runAlone { try work() } }\n"
    let file = SourceFile(path: "Sources/apus/A.swift", text: text)
    #expect(
      commandFindings(file) == [
        "Sources/apus/A.swift:1 runs outside runAlone, runHere, runOnRanks, withWorldCommunicator"
      ])
  }

  @Test("pointers and vectors above their floors are reported") func pointersAreReported() {
    let text = "/// An UnsafePointer in a comment.\nlet a: UnsafeMutableRawBufferPointer\nlet b = SIMD8<Float>()\n"
    let above = SourceFile(path: "Sources/Networks/Layer.swift", text: text)
    #expect(
      pointerFindings(above) == [
        "Sources/Networks/Layer.swift:2 uses UnsafeMutableRawBufferPointer",
        "Sources/Networks/Layer.swift:3 uses SIMD8<",
      ])
    #expect(pointerFindings(SourceFile(path: "Sources/Kernels/Layer.swift", text: text)) == [])
  }

  @Test("a file of 301 lines is reported, one of 300 is not") func longFilesAreReported() {
    func file(_ lines: Int) -> SourceFile {
      SourceFile(path: "Sources/A/B.swift", text: String(repeating: "\n", count: lines))
    }
    #expect(lengthFindings(file(300)) == [])
    #expect(lengthFindings(file(301)) == ["Sources/A/B.swift has 301 lines, 300 are allowed"])
  }

  @Test("a folder of 16 Swift files is reported, one of 15 and a folder below are not") func crowdsAreReported() {
    func files(_ count: Int) -> [SourceFile] {
      (0..<count).map { SourceFile(path: "Sources/A/\($0).swift", text: "") }
        + [SourceFile(path: "Sources/A/B/C.swift", text: ""), SourceFile(path: "Sources/A/d.h", text: "")]
    }
    #expect(crowdFindings(files(15)) == [])
    #expect(crowdFindings(files(16)) == ["Sources/A has 16 Swift files, 15 are allowed: make folders in it"])
  }

  @Test("a mark of unfinished work is reported") func openMarksAreReported() {
    let mark = "TO" + "DO"
    let file = SourceFile(path: "Sources/A/B.swift", text: "a\n// \(mark): b\n")
    #expect(openMarkFindings(file) == ["Sources/A/B.swift:2 has \(mark)"])
  }

  @Test("a name without a row and a catalogue without names are reported") func missingRowsAreReported() {
    let file = SourceFile(
      path: "Sources/A/B.swift",
      text: "[\n  MethodEntry(\"first\", .sourceFree, paper: \"\"),\n  \"second\", .sourceFree, paper: \"\"),\n]\n")
    let names = Catalogue.methods.names
    #expect(catalogueFindings([file], names: names, page: "| `first` | x |\n| a | `second` |") == [])
    #expect(
      catalogueFindings([file], names: names, page: "| `first` |\n`second`\n") == [
        "Sources/A/B.swift:3: second has no row in the documents"
      ])
    #expect(catalogueFindings([], names: names, page: "") == ["no entry found"])
  }
}

/// What recipes choose by name, and how the sources write such a name.
enum Catalogue: CaseIterable {
  case methods
  case encoders
  case dataSets

  /// The document whose table has a row for each.
  var page: String { self == .methods ? "methods" : "adding-a-method" }

  var names: Regex<(Substring, Substring)> {
    switch self {
    case .methods: /^\s*(?:MethodEntry\()?"([a-z0-9-]+)", \.(?:sourceOnly|adversarial|selfTraining|sourceFree),/
    case .encoders: /(?:\b(?:MixTransformerVariant|ResNetVariant|wide)|^\s*)\("([a-z0-9-]+)", (?:\{|\[|widths|depths)/
    case .dataSets: /^\s*\("([a-z]+)", [a-z]\w*\),?$/
    }
  }
}
