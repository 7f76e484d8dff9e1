// What every method's recipe refuses, at the line of the mistake; and what the catalogue promises of recipes.

import Foundation
import Methods
import Recipes
import Support
import Testing
import Training

@Suite("Methods, mistakes", .serialized) struct MistakeTests {
  /// The resolved recipe of the first stage, as lines.
  private func lines(_ recipe: CatalogueCase) async throws -> [String] {
    let stage = try #require(try await WholeRuns.shared.run(recipe).stages.first)
    return try String(contentsOfFile: stage.recipe, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private func complaint(_ lines: [String]) -> Failure? {
    do {
      _ = try Recipe(
        yaml: lines.joined(separator: "\n") + "\n", file: "recipe.yaml", folder: "/", catalogue: .standard)
      return nil
    } catch { return error as? Failure }
  }

  @Test("an option that the method does not have", arguments: CatalogueCase.all)
  func unknownOptions(_ recipe: CatalogueCase) async throws {
    var lines = try await lines(recipe)
    #expect(complaint(lines) == nil)
    let place = try #require(lines.firstIndex { $0.hasPrefix("methodOptions:") })
    lines[place] = "methodOptions:"
    lines.insert("  no-such-option: 1", at: place + 1)
    let found = try #require(complaint(lines))
    #expect(found.status == .badData && found.place == "recipe.yaml:\(place + 2)", "\(found)")
    #expect(found.what.contains("methodOptions.no-such-option"), "\(found)")
  }

  @Test("values that do not go together", arguments: CatalogueCase.all)
  func impossibleCombinations(_ recipe: CatalogueCase) async throws {
    var lines = try await lines(recipe)
    let place = try #require(lines.firstIndex { $0.hasPrefix("  accumulate:") })
    lines[place] = "  accumulate: 3"
    let found = try #require(complaint(lines))
    #expect(found.status == .badData && found.place == "recipe.yaml:\(place + 1)", "\(found)")
  }

  @Test("data that the method needs and is not given", arguments: CatalogueCase.all)
  func missingData(_ recipe: CatalogueCase) async throws {
    let lines = try await lines(recipe)
    let host = try #require(MethodCatalogue.entries.first { lines.contains("method: \($0.name)") }).host
    for (domain, isNeeded) in [("source", host.hasSource), ("target", host.hasTarget)] where isNeeded {
      let data = try #require(lines.firstIndex(of: "data:"))
      let start = try #require(lines[data...].firstIndex(of: "  \(domain):"))
      let rest = lines[(start + 1)...].drop { $0.hasPrefix("    ") }
      let found = try #require(complaint(lines[..<start] + ["  \(domain): null"] + rest))
      #expect(found.status == .badData && found.what.hasPrefix("data.\(domain) is missing"), "\(found)")
      #expect(found.place == "recipe.yaml:\(data + 1)", "\(found)")
    }
  }
}
