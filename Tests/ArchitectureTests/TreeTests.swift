// What may be committed: no machine paths, no build products, numbered decisions, documents whose links hold.

import Testing

@Suite("Committed files") struct TreeTests {
  @Test(
    "no machine paths, registry hosts or build products", .enabled(if: Checkout.tracked != nil, "needs a git checkout"))
  func nothingOfOneMachine() throws {
    let tracked = try #require(Checkout.tracked)
    #expect(tracked.contains("Package.swift"))
    #expect(buildProductFindings(tracked) == [])
    let texts = tracked.compactMap { path in Checkout.text(path).map { SourceFile(path: path, text: $0) } }
    #expect(texts.flatMap(machineFindings) == [])
  }

  @Test("decision records are numbered without gaps") func decisionsAreNumbered() {
    let records = Checkout.sources(under: "docs/decisions")
    #expect(!records.isEmpty)
    #expect(decisionFindings(records) == [])
  }

  @Test("links between documents lead somewhere") func linksHold() {
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Checkpoints/README.md"].compactMap { path in
      Checkout.text(path).map { SourceFile(path: path, text: $0) }
    }
    #expect(pages.count == 4)
    let all = pages + Checkout.sources(under: "docs").filter { $0.path.hasSuffix(".md") }
    #expect(all.flatMap { linkFindings($0, exists: Checkout.exists) } == [])
    #expect(all.flatMap { anchorFindings($0, text: Checkout.text) } == [])
    // What changed may be about a path that has gone since.
    let current = all.filter { $0.path != "CHANGELOG.md" }
    #expect(current.flatMap { pathFindings($0, exists: Checkout.exists) } == [])
    #expect(current.flatMap(longLineFindings) == [])
  }

  @Test("no mark of a merge is left", .enabled(if: Checkout.tracked != nil, "needs a git checkout"))
  func mergesAreFinished() throws {
    let tracked = try #require(Checkout.tracked)
    let texts = tracked.compactMap { path in Checkout.text(path).map { SourceFile(path: path, text: $0) } }
    #expect(texts.flatMap(mergeMarkFindings) == [])
  }

  @Test("a machine path, a registry host and a build product are reported") func foreignThingsAreReported() {
    let path = "/wo" + "rk/data"
    let host = "https:/" + "/pypi.org"
    let file = SourceFile(path: "docs/a.md", text: "\(path)\nfine: /usr/bin/env\n\(host)\n")
    #expect(machineFindings(file).map { $0.prefix(11) } == ["docs/a.md:1", "docs/a.md:3"])
    let paths = ["Sources/a.swift", ".build/debug/a", "Package.resolved", ".build-other/x", "Sources/C/a.o"]
    #expect(buildProductFindings(paths).count == 4)
  }

  @Test("a gap in the numbers and a wrong heading are reported") func wrongRecordsAreReported() {
    let records = [
      SourceFile(path: "docs/decisions/0001-first.md", text: "# 0001 First\n"),
      SourceFile(path: "docs/decisions/0002-second.md", text: "# Second\n"),
      SourceFile(path: "docs/decisions/0004-fourth.md", text: "# 0004 Fourth\n"),
    ]
    #expect(
      decisionFindings(records) == [
        "docs/decisions/0002-second.md should start with # 0002",
        "docs/decisions/0004-fourth.md should be named 0003-….md",
      ])
  }

  @Test("marks of a merge are reported, an underlined heading is not") func mergeMarksAreReported() {
    let text = "a\n\(mark("<")) HEAD\nb\n\(mark("|")) 1234\n\(mark("="))\nc\n\(mark(">")) x\nTitle\n\(mark("="))\n"
    let file = SourceFile(path: "docs/a.md", text: text)
    #expect(
      mergeMarkFindings(file).map { $0.prefix(11) } == ["docs/a.md:2", "docs/a.md:4", "docs/a.md:5", "docs/a.md:7"])
  }

  /// Seven of a sign; not written out, so that this file does not find itself.
  private func mark(_ sign: String) -> String { String(repeating: sign, count: 7) }

  @Test("a long line is reported, but not in a table, a link or code") func longLinesAreReported() {
    let long = String(repeating: "word ", count: 24) + "x"
    let text =
      "\(long)\n\(long.dropFirst())\n| \(long) |\n- [\(long)](a.md)\n    \(long)\n```\n\(long)\n```\n- \(long)\n"
    let found = longLineFindings(SourceFile(path: "docs/a.md", text: text))
    #expect(found.map { $0.prefix(11) } == ["docs/a.md:1", "docs/a.md:9"])
  }

  @Test("a path and a heading that are not there are reported") func missingPathsAreReported() {
    let text = "# A page: here\n`Sources/A/B.swift` `Tests/x` `Sources/A/MyB.swift` `other/x`"
    #expect(
      pathFindings(SourceFile(path: "docs/a.md", text: text)) { $0 == "Tests/x" } == [
        "docs/a.md names Sources/A/B.swift, which is missing"
      ])
    let links = SourceFile(path: "docs/b.md", text: "[x](a.md#a-page-here) [y](../docs/a.md#other) [z](#own)\n## Own\n")
    #expect(
      anchorFindings(links) { $0 == "docs/a.md" ? text : nil } == [
        "docs/b.md links to docs/a.md#other, which is missing"
      ])
  }

  @Test("a link to nowhere is reported") func deadLinksAreReported() {
    let file = SourceFile(path: "docs/a.md", text: "[b](b.md) [c](../c.md#part) [web](https://example.org/x)")
    #expect(linkFindings(file) { $0 == "docs/b.md" } == ["docs/a.md links to ../c.md, which is missing"])
    #expect(linkFindings(file) { _ in true } == [])
  }
}
