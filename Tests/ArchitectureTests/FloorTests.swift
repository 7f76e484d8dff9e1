// The direction of dependencies: what Package.swift declares and what the sources import.

import Testing

@Suite("Floors") struct FloorTests {
  let manifest = PackageManifest(Checkout.text("Package.swift") ?? "")

  @Test("the manifest reader finds every target folder")
  func everyTargetIsRead() {
    let folders = Set(Checkout.files(under: "Sources").map { SourceFile(path: $0, text: "").target })
    let names = Set(manifest.targets.filter { !$0.isTest }.map(\.name))
    #expect(folders == names)
    #expect(names == Set(floors.keys))
    let recipes = manifest.targets.first { $0.name == "Recipes" }
    #expect(recipes?.products == ["Yams"])
    #expect(recipes?.dependencies.contains("Adaptation") == true)
  }

  @Test("dependencies point down") func dependenciesPointDown() {
    #expect(floorFindings(manifest) == [])
  }

  @Test("imports are declared, and only apus imports MPI and HDF5") func importsAreDeclared() {
    let sources = Checkout.sources(under: "Sources").filter { $0.path.hasSuffix(".swift") }
    #expect(sources.count > floors.count / 2)
    #expect(sources.flatMap { importFindings($0, manifest) } == [])
  }

  @Test("docs/architecture.md has a row for every target") func everyTargetIsDescribed() {
    let page = Checkout.text("docs/architecture.md") ?? ""
    #expect(floors.keys.filter { !page.contains("`\($0)`") }.sorted() == [])
  }

  @Test("a dependency upwards, sideways or without a floor is reported")
  func wrongDependenciesAreReported() {
    let text = """
      let package = Package(name: "x", targets: [
        floor("Tensors", ["Support", "Kernels"]),
        // floor("Support", ["apus"]),
        floor("Support"),
        .target(name: "Storage", dependencies: ["StorageHDF5"]),
        floor("StorageHDF5", ["Storage"]),
        floor("Cellar", []),
        floor("Domains", ["CollectivesTesting"]),
      ])
      """
    #expect(
      floorFindings(PackageManifest(text)) == [
        "Tensors (floor 2) uses Kernels (floor 3)", "Storage (floor 4) uses StorageHDF5 (floor 4)",
        "Cellar has no floor", "Domains uses CollectivesTesting, which is for tests",
      ])
  }

  @Test("an undeclared import, and MPI or HDF5 outside apus, are reported")
  func wrongImportsAreReported() {
    let text =
      "import Foundation\nimport Kernels\n// import Networks\n@preconcurrency import struct Networks.Layer\n"
      + "import CollectivesMPI\nimport Yams\nimport Tensors\n"
    let file = SourceFile(path: "Sources/Autograd/Tape.swift", text: text)
    #expect(
      importFindings(file, manifest) == [
        "Sources/Autograd/Tape.swift:4 imports Networks without declaring it",
        "Sources/Autograd/Tape.swift:5 imports CollectivesMPI, which only apus may",
        "Sources/Autograd/Tape.swift:6 imports Yams without declaring it",
      ])
  }
}
