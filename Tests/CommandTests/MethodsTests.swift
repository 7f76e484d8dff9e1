// `apus methods`: the table, an explanation, and what a wrong name is told.

import Foundation
import Methods
import Recipes
import Testing
import Training

@Suite struct MethodsTests {
  @Test func everyMethodOfTheCatalogueIsListed() throws {
    let outcome = try apus("methods", "--json")
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    let methods = try #require(try outcome.object()["methods"] as? [[String: Any]])
    #expect(methods.map { $0["name"] as? String } == MethodCatalogue.entries.map(\.name))
    #expect(methods.map { $0["paper"] as? String } == MethodCatalogue.entries.map(\.paper))
    let supervised = try #require(methods.first { $0["name"] as? String == "source-only" })
    #expect(supervised["host"] as? String == "source-only")
    #expect(supervised["needs"] as? [String] == ["source labels"])
    #expect(supervised["recipe"] as? String == "Launch/recipes/methods/source-only.yaml")
    let table = try apus("methods").output.split(separator: "\n")
    #expect(table[0].hasPrefix("name") && table[0].hasSuffix("paper"))
    #expect(
      MethodCatalogue.entries.allSatisfy { entry in
        table.contains { $0.hasPrefix(entry.name + " ") && $0.hasSuffix(entry.paper) }
      })
  }

  @Test func anExplanationIsDrawnFromOptionsAndAStep() throws {
    let outcome = try apus("methods", "explain", "mic", "--json")
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    let mic = try JSONDecoder().decode(MethodExplanation.self, from: Data(outcome.output.utf8))
    let ratio = try #require(mic.options.first { $0.key == "ratio" })
    #expect(ratio.value == "0.7" && ratio.expected == "a number from 0.0 to 1.0")
    #expect(mic.passes.map(\.name) == ["source", "mixed", "masked"])
    #expect(mic.passes.map(\.by) == ["host", "host", "mic"])
    #expect(mic.passes[0].losses == ["source.fused", "source.detail", "source.feature-distance"])
    #expect(mic.passes[0].maps == ["coarsest encoder map"])
    #expect(mic.passes[1].messages == ["the classes of the source labels"])
    #expect(mic.passes[2].losses == ["masked.fused", "masked.detail"])
    #expect(mic.labelsTarget && mic.refuses.isEmpty)
    #expect(mic.example.contains("methodOptions: {") && mic.example.contains("ratio: 0.7, block: 64"))
    let text = try apus("methods", "explain", "mic").output
    #expect(text.contains("  pass masked (mic): masked.fused, masked.detail\n"), "\(text)")
    #expect(text.contains("  block: 64   a whole number of at least 1\n"), "\(text)")
  }

  @Test(arguments: MethodCatalogue.entries.map(\.name)) func everyMethodCanBeExplained(_ name: String) throws {
    let explanation = try MethodExplanation(name)
    #expect(explanation.method.name == name)
    #expect(!explanation.passes.isEmpty && explanation.passes.contains { !$0.losses.isEmpty })
    let hasTeacher = explanation.method.needs.contains("teacher")
    #expect(explanation.labelsTarget ? hasTeacher : !hasTeacher || name == "diga-dg")
    let example = try Recipe(yaml: explanation.example, file: "example", folder: "/", catalogue: .standard)
    #expect(example.method.name == name)
    #expect(explanation.messages.count { $0.hasPrefix("gradients of ") } == explanation.companions.count)
  }

  @Test func aWrongNameIsToldTheNearest() throws {
    let outcome = try apus("methods", "explain", "hdra")
    #expect(outcome.status == 64 && outcome.output.isEmpty)
    #expect(
      outcome.errors == "apus: NAME: no method \"hdra\", did you mean hrda?; apus methods lists all of them\n",
      "\(outcome.errors)")
  }
}
