// What a source file may hold: pointers on the floors that own them, 400 lines, nothing left open.

import Testing

@Suite("Sources") struct SourceTests {
  let sources = Checkout.sources(under: "Sources")

  @Test("pointers and vectors stay on their floors") func pointersStayOnTheirFloors() {
    let swift = sources.filter { $0.path.hasSuffix(".swift") }
    #expect(!swift.isEmpty)
    #expect(swift.flatMap(pointerFindings) == [])
  }

  @Test("no source file is longer than 400 lines") func filesAreShort() {
    #expect(!sources.isEmpty)
    #expect(sources.flatMap(lengthFindings) == [])
  }

  @Test("nothing is marked as left open") func nothingIsLeftOpen() {
    let all = sources + ["Tests", "Launch", "docs"].flatMap { Checkout.sources(under: $0) }
    #expect(all.flatMap(openMarkFindings) == [])
  }

  @Test("every entry of a catalogue's folder is listed and documented", arguments: Catalogue.all)
  func cataloguesAreComplete(_ catalogue: Catalogue) {
    let files = Checkout.files(under: catalogue.folder)
    let listed = Checkout.text(catalogue.file) ?? ""
    let table = Checkout.text(catalogue.page) ?? ""
    #expect(catalogueFindings(files, catalogue: listed, table: table) == [])
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

  @Test("a file of 401 lines is reported, one of 400 is not") func longFilesAreReported() {
    func file(_ lines: Int) -> SourceFile {
      SourceFile(path: "Sources/A/B.swift", text: String(repeating: "\n", count: lines))
    }
    #expect(lengthFindings(file(400)) == [])
    #expect(lengthFindings(file(401)) == ["Sources/A/B.swift has 401 lines, 400 are allowed"])
  }

  @Test("a mark of unfinished work is reported") func openMarksAreReported() {
    let mark = "TO" + "DO"
    let file = SourceFile(path: "Sources/A/B.swift", text: "a\n// \(mark): b\n")
    #expect(openMarkFindings(file) == ["Sources/A/B.swift:2 has \(mark)"])
  }

  @Test("an entry that the catalogue or its page leaves out is reported") func missingEntriesAreReported() {
    let files = [
      "Sources/A/Methods/First.swift", "Sources/A/Methods/Second.swift", "Sources/A/Methods/Second+Part.swift",
    ]
    let complete = catalogueFindings(
      files, catalogue: "[.entry(First.self), .entry(Second.self)]", table: "| `First` | x |\n| `Second` | y |")
    #expect(complete == [])
    let broken = catalogueFindings(
      Array(files.prefix(2)), catalogue: "[.entry(First.self)]", table: "| `Second` |\n`First`")
    #expect(
      broken == [
        "Sources/A/Methods/First.swift: First has no row in the documents",
        "Sources/A/Methods/Second.swift: Second is missing from the catalogue",
      ])
  }
}

/// A folder whose every file is an entry of a catalogue and a row of a page.
struct Catalogue: Sendable, CustomTestStringConvertible {
  let folder: String
  let file: String
  let page: String

  var testDescription: String { folder }

  static let all = [
    Catalogue(
      folder: "Sources/Adaptation/Methods", file: "Sources/Adaptation/MethodCatalogue.swift",
      page: "docs/adding-a-method.md"),
    Catalogue(
      folder: "Sources/Networks/Encoders", file: "Sources/Networks/EncoderCatalogue.swift",
      page: "docs/adding-a-method.md"),
  ]
}
