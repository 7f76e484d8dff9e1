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

  @Test("a link to nowhere is reported") func deadLinksAreReported() {
    let file = SourceFile(path: "docs/a.md", text: "[b](b.md) [c](../c.md#part) [web](https://example.org/x)")
    #expect(linkFindings(file) { $0 == "docs/b.md" } == ["docs/a.md links to ../c.md, which is missing"])
    #expect(linkFindings(file) { _ in true } == [])
  }
}
