// The method that docs/adding-a-method.md builds is the one compiled here, and it trains as every method must.

import Adaptation
import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Testing
import Training

@Suite("Guide to methods", .serialized) struct GuideTests {
  private static let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
  private static let entry = MethodEntry(
    "view-consistency", .selfTraining, options: ViewConsistencyOptions(),
    paper: "Sajjadi, Javanmardi, Tasdizen: Regularization with stochastic transformations, NeurIPS 2016")

  /// The text of the page's blocks of a language, in their order.
  private func blocks(_ language: String) throws -> [String] {
    let page = try String(contentsOf: Self.root.appending(path: "docs/adding-a-method.md"), encoding: .utf8)
    return page.components(separatedBy: "```\(language)\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
  }

  private func source(_ file: String) throws -> String {
    try String(contentsOf: Self.root.appending(path: "Tests/CatalogueTests/\(file)"), encoding: .utf8)
  }

  @Test("the page shows the method that is tested") func thePageIsTrue() throws {
    let code = try blocks("swift")
    #expect(code.dropLast().joined(separator: "\n") == (try source("ViewConsistency.swift")))
    let line = try #require(code.last).split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let tests = try source("GuideTests.swift").split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    #expect(line.count > 1 && line.dropFirst().dropLast().allSatisfy { tests.contains($0) }, "\(line)")
    #expect(line.last == Self.lastLine)
  }

  /// The catalogue's line ends with a comma.
  private static let lastLine =
    "paper: \"\(entry.paper)\"),"

  /// Losses of the first step and digests after four, by rank.
  private func train(ranks: Int, _ overrides: [String] = []) throws -> [(losses: [String: Double], StateDigests)] {
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "view-consistency.yaml")
    try #require(try blocks("yaml").first).write(to: file, atomically: true, encoding: .utf8)
    var catalogue = RecipeCatalogue.standard
    catalogue.methods.append(Self.entry)
    let small = try CatalogueCase(path: file.path).overrides(catalogue)
    let recipe = try Recipe.read(file.path, overrides: small + overrides, environment: [:], catalogue: catalogue)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let records = try (0..<CatalogueCase.steps).map {
        try experiment.step.run(try experiment.loader.batches(step: $0), step: $0)
      }
      return (Dictionary(uniqueKeysWithValues: records[0].losses.map { ($0.name, $0.value) }), try experiment.digests)
    }
  }

  @Test("the method adds its loss and changes the host's training") func itTrains() throws {
    let one = try train(ranks: 1)[0]
    let value = try #require(one.losses["views.consistency"])
    #expect(value > 0 && value.isFinite)
    let doubled = try train(ranks: 1, ["methodOptions.weight=2"])[0]
    #expect(doubled.losses["views.consistency"] == 2 * value)
    let off = try train(ranks: 1, ["methodOptions.weight=0"])[0]
    #expect(off.losses["views.consistency"] == nil && off.1.student != one.1.student)
    #expect(off.1 == (try train(ranks: 1, ["method=hrda", "methodOptions=null"])[0].1), "what is left is the host")
  }

  @Test("ranks, teams and micro-batches give it the same bits") func itKeepsTheBits() throws {
    for accumulate in [1, 2] {
      let parts = ["batch.accumulate=\(accumulate)"]
      let one = try train(ranks: 1, parts)[0].1
      #expect(try train(ranks: 2, parts + ["optimizer.shardMoments=true"]).map(\.1) == [one, one])
      #expect(try train(ranks: 4, parts + ["batch.cropShards=2"]).map(\.1) == [one, one, one, one])
    }
  }
}
