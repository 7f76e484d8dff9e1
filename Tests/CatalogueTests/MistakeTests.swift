// What every method's recipe refuses, at the line of the mistake; and what the catalogue promises of recipes.

import Foundation
import Methods
import Recipes
import Support
import Testing
import Training

@Suite("Methods, mistakes", .serialized) struct MistakeTests {
  /// The resolved recipe of the first stage, as lines.
  private func lines(_ recipe: CatalogueCase) throws -> [String] {
    let start = try recipe.needsStart ? ["init=/start.h5"] : []
    let first = try recipe.stages(.standard, try recipe.overrides() + start)[0]
    return first.resolvedYAML.split(separator: "\n").map(String.init)
  }

  private func complaint(_ lines: [String]) -> Failure? {
    do {
      _ = try Recipe(
        yaml: lines.joined(separator: "\n") + "\n", file: "recipe.yaml", folder: "/", catalogue: .standard)
      return nil
    } catch { return error as? Failure }
  }

  /// Of the published recipes, whatever folder is tried.
  @Test("every method of the catalogue has a recipe of its own", arguments: MethodCatalogue.entries.map(\.name))
  func everyMethodHasARecipe(_ method: String) throws {
    let recipes = CatalogueCase.all(in: CatalogueCase.published)
    let path = try #require(MethodCatalogue.entries.first { $0.name == method }).recipe
    let own = recipes.first { path.hasSuffix("/\($0.name).yaml") }
    #expect(try own?.stages().contains { $0.method.name == method } == true, "\(path) does not train \(method)")
  }

  @Test("an option that the method does not have", arguments: CatalogueCase.all)
  func unknownOptions(_ recipe: CatalogueCase) throws {
    var lines = try lines(recipe)
    #expect(complaint(lines) == nil)
    let place = try #require(lines.firstIndex { $0.hasPrefix("methodOptions:") })
    lines[place] = "methodOptions:"
    lines.insert("  no-such-option: 1", at: place + 1)
    let found = try #require(complaint(lines))
    #expect(found.status == .badData && found.place == "recipe.yaml:\(place + 2)", "\(found)")
    #expect(found.what.contains("methodOptions.no-such-option"), "\(found)")
  }

  @Test("values that do not go together", arguments: CatalogueCase.all)
  func impossibleCombinations(_ recipe: CatalogueCase) throws {
    var lines = try lines(recipe)
    let place = try #require(lines.firstIndex { $0.hasPrefix("  accumulate:") })
    lines[place] = "  accumulate: 3"
    let found = try #require(complaint(lines))
    #expect(found.status == .badData && found.place == "recipe.yaml:\(place + 1)", "\(found)")
  }

  @Test("data that the method needs and is not given", arguments: CatalogueCase.all)
  func missingData(_ recipe: CatalogueCase) throws {
    let lines = try lines(recipe)
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
