// The key `objectives` of a recipe: what may be added to a method, and what is said where it does not fit.

import Adaptation
import Collectives
import Foundation
import Networks
import Recipes
import Support
import Testing
import Training

/// Options of a made-up objective that hangs on a pass which an option names.
private struct PassOptions: MethodOptions {
  var target = "target"
  mutating func visit(_ settings: inout some SettingVisitor) throws { try settings.value("target", &target) }
  func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    (requirements.passes, requirements.passOptions) = ([target], [target: "target"])
    return requirements
  }
  func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { nil }
}

/// Options of made-up objectives with one requirement each.
private struct NeedOptions: MethodOptions {
  var need = "nothing"
  mutating func visit(_ settings: inout some SettingVisitor) throws { try settings.value("need", &need) }
  func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.needsSource = need == "source"
    requirements.mixes = need == "mixing"
    requirements.needsLabels = need == "labels"
    if need == "maps" { requirements.sites[Requirements.labellingPass] = [.coarsest] }
    if need == "fused" { requirements.sites["mixed"] = [.fused] }
    if need == "head" {
      requirements.heads = [
        AttachedHead(owner: "camix", name: "one", input: Site(.fused, .detail)) { _, _, _ in { map, _ in map } }
      ]
    }
    return requirements
  }
  func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { nil }
  func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    need == "crop" ? OptionMisfit(key: "need", what: "is too much", remedy: "ask for less") : nil
  }
  init() {}
  init(_ need: String) { self.need = need }
}

@Suite struct RecipeObjectivesTests {
  private let catalogue = RecipeCatalogue(
    methods: [
      .init("source-only", .sourceOnly, paper: "none"), .init("adversarial", .adversarial, paper: "none"),
      .init("hrda", .selfTraining, paper: "none"),
      .init("spcl", .adversarial, options: PassOptions(), paper: "none"),
      .init("camix", .selfTraining, options: NeedOptions("mixing"), paper: "none"),
      .init("stvm", .sourceFree, options: NeedOptions("maps"), paper: "none"),
      .init("pne", .sourceOnly, options: NeedOptions("source"), paper: "none"),
      .init("other", .selfTraining, options: NeedOptions("mixing"), paper: "none"),
    ],
    encoders: ["b5"], dataSets: ["procedural"], classSets: ["cityscapes19": 19], labelMaps: [])

  private func recipe(_ lines: String, _ overrides: String...) throws -> Recipe {
    try Recipe(
      yaml: minimal + lines + "\n", file: "r.yaml", folder: "/data", overrides: overrides, catalogue: catalogue)
  }

  @Test func objectivesStandInTheOrderOfTheCatalogue() throws {
    let one = try recipe("method: camix\nobjectives: {pne: {need: nothing}, spcl: {target: mixed}}")
    #expect(one.methodObjectives.map(\.key) == ["objectives.spcl", "methodOptions", "objectives.pne"])
    let other = try recipe("method: camix\nobjectives: {spcl: {target: mixed}, pne: {need: nothing}}")
    #expect(other == one && other.fingerprint == one.fingerprint)
    #expect(one.resolvedYAML.contains("objectives:\n  spcl:\n    target: mixed\n  pne:\n    need: nothing\n"))
    let again = try Recipe(yaml: one.resolvedYAML, file: "r", folder: "/", catalogue: catalogue)
    #expect(again == one && again.resolvedYAML == one.resolvedYAML)
  }

  @Test func aLineOfTheCatalogueBringsItsDefaults() throws {
    let options = try recipe("method: hrda\nobjectives: {camix: {}}").objectives.all.map(\.options)
    #expect(options.first as? NeedOptions == NeedOptions("mixing") && options.count == 1)
    #expect(try recipe("objectives: {camix: {}}", "objectives.camix=").objectives.all.isEmpty)
    #expect(try recipe("", "objectives.spcl.target=mixed").objectives.all.map(\.name) == ["spcl"])
  }

  @Test func recipesWithoutThemKeepTheirFingerprint() throws {
    let none = try testRecipe([])
    #expect(none.weightFingerprint == (try testRecipe(["objectives={}"])).weightFingerprint)
    #expect(none.weightFingerprint != (try testRecipe(["objectives.mic.block=32"])).weightFingerprint)
    // Of the version before there was the key, as its pseudo-label caches have it.
    #expect(none.weightFingerprint == "ca0079c7e9ad0c314afbbc56275f5c3933a50b73843bf352b2e617bee13b2a0f")
  }

  private func testRecipe(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
  }

  @Test(arguments: [
    ("hrda", "spcl: {}", "objectives.spcl.target is target, but host self-training has no such pass; use mixed"),
    ("adversarial", "spcl: {target: mixed}", "objectives.spcl.target is mixed, but host adversarial has no such pass"),
    ("stvm", "pne: {}", "objectives.pne learns from source images, but method stvm has none"),
    ("camix", "other: {}", "objectives.other and method camix both make the mixed image; leave one of them out"),
    ("other", "camix: {}", "objectives.camix and method other both make the mixed image"),
    ("hrda", "{camix: {}, other: {}}", "objectives.camix and objectives.other both make the mixed image"),
    ("camix", "camix: {}", "objectives.camix is given, but method camix has it; its options are methodOptions"),
    ("hrda", "camix: {need: crop}", "objectives.camix.need is too much; ask for less"),
    ("hrda", "camx: {}", "unknown key objectives.camx; did you mean objectives.camix?"),
    ("hrda", "adversarial: {}", "unknown key objectives.adversarial"),
    ("hrda", "spcl: {tau: 1}", "unknown key objectives.spcl.tau"),
    ("hrda", "spcl: 3", "objectives.spcl is 3; expected a mapping with keys such as target"),
  ])
  func whatDoesNotFitIsRefusedAtItsKey(_ method: String, _ added: String, _ said: String) throws {
    let lines = added.hasPrefix("{") ? "objectives: \(added)" : "objectives:\n  \(added)"
    let failure = #expect(throws: Failure.self) { try recipe("method: \(method)\n\(lines)") }
    let line = added.hasPrefix("{") ? 6 : 7
    #expect(failure?.status == .badData)
    #expect(failure?.description.hasPrefix("r.yaml:\(line): \(said)") == true, "\(failure as Any)")
  }

  @Test func keptLabelsCannotServeWhoReadsTheTeachersMaps() throws {
    let failure = #expect(throws: Failure.self) {
      try recipe("method: hrda\nteacher: {refresh: 4}\nobjectives: {stvm: {}}")
    }
    #expect(
      failure?.description
        == "r.yaml:6: teacher.refresh is 4, but objectives.stvm needs the teacher's maps at every visit; set it to 0")
  }

  @Test(arguments: [
    (
      "fused", "head: {name: deeplabv2}",
      "head.name is deeplabv2, which has no map before its classifiers, but objectives.camix reads it"
    ),
    ("head", "head: {name: deeplabv2}", "head.name is deeplabv2, which has no map before its classifiers"),
    (
      "head", "network: {resolution: context-only}",
      "network.resolution is context-only, but objectives.camix reads maps of the detail crop; use hrda"
    ),
  ])
  func mapsThatTheNetworkLacksAreRefused(_ need: String, _ setting: String, _ said: String) throws {
    let failure = #expect(throws: Failure.self) {
      try recipe("method: hrda\n\(setting)\nobjectives: {camix: {need: \(need)}}")
    }
    #expect(failure?.description.hasPrefix("r.yaml:6: \(said)") == true, "\(failure as Any)")
    #expect(throws: Never.self) { try recipe("method: hrda\nobjectives: {camix: {need: \(need)}}") }
  }

  @Test func labelsNeedATarget() throws {
    let failure = #expect(throws: Failure.self) {
      try recipe("method: source-only\nobjectives: {camix: {need: labels}}", "data.target=")
    }
    #expect(failure?.what == "data.target is missing; objectives.camix learns from it", "\(failure as Any)")
  }

  @Test func anAddedObjectiveTrainsAsTheMethodThatHasIt() throws {
    func digests(_ overrides: [String]) throws -> StateDigests {
      let experiment = try Experiment(try testRecipe(overrides), on: SoloCommunicator())
      for step in 0..<2 { _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step) }
      return try experiment.digests
    }
    let own = try digests(["method=mic", "methodOptions.block=32"])
    #expect(try digests(["objectives.mic.block=32"]) == own)
    #expect(try digests([]) != own)
  }
}
