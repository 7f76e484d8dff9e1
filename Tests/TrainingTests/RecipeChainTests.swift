// Recipes with stages: what each stage has, what is handed over, and what is said about mistakes.

import Foundation
import Recipes
import Support
import TestSupport
import Testing
import Training

@Suite struct RecipeChainTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func chain(_ yaml: String, _ overrides: String...) throws -> RecipeChain? {
    try folder.write(Array(yaml.utf8), to: "chain.yaml")
    return try RecipeChain.read(
      folder.file("chain.yaml"), overrides: overrides, environment: [:], catalogue: .standard,
      runDirectory: { "/runs/\($0)" }, checkpoint: { "\($0)/last-\($1).h5" })
  }

  private static let common = """
    seed: 5
    schedule: {steps: 30}
    data:
      source: {kind: procedural}
      target: {kind: procedural, domain: target}

    """
  private static let stages =
    common + """
      stages:
        - {name: warm-up, set: {schedule.steps: 10, init: start.h5}}
        - {name: first, labels: {network: teacher}}
        - name: refine
          set: {method: target-only, labels.source: cache, labels.quantile: 0.5, data.source: null}
        - {name: second, labels: {flip: true, halfSize: true}, set: {evaluation.network: student}}
        - {name: last, set: {init: null, labels: {source: cache}}}
      """

  @Test func stagesHandOverCheckpointsAndLabels() throws {
    let chain = try #require(try chain(Self.stages))
    #expect(chain.name == "chain" && chain.folder == "/runs/chain")
    let root = "/runs/chain/stages"
    #expect(
      chain.stages.map(\.folder)
        == ["1-warm-up", "2-first", "3-refine", "4-second", "5-last"].map { "\(root)/\($0)" })
    let recipes = chain.stages.map(\.recipe)
    #expect(recipes.map(\.seed) == [1005, 2005, 3005, 4005, 5005])
    #expect(recipes.map(\.schedule.steps) == [10, 10, 30, 30, 30])
    #expect(recipes.map(\.method.name) == ["hrda", "hrda", "target-only", "target-only", "hrda"])
    #expect(recipes[0].initialCheckpoint == folder.file("start.h5"))
    #expect(recipes[2].initialCheckpoint == "\(root)/1-warm-up/last-10.h5")
    #expect(recipes[2].labels.cache == "\(root)/2-first" && recipes[2].labels.quantile == 0.5)
    #expect(recipes[4].initialCheckpoint == nil && recipes[4].labels.cache == "\(root)/4-second")
    #expect(recipes[0].labels.cache == nil && recipes[0].name == "chain-warm-up")
    var teacher = LabelsStage()
    teacher.network = .teacher
    #expect(chain.stages[1].work == .labels(teacher, checkpoint: "\(root)/1-warm-up/last-10.h5"))
    var flipped = LabelsStage()
    (flipped.flip, flipped.halfSize) = (true, true)
    #expect(chain.stages[3].work == .labels(flipped, checkpoint: "\(root)/3-refine/last-30.h5"))
    #expect(chain.stages[3].recipe.evaluation.network == .student && recipes[2].evaluation.network == .both)
  }

  @Test func overridesHoldForEveryStage() throws {
    let chain = try #require(try chain(Self.stages, "schedule.steps=4", "name=other", "seed=7"))
    #expect(chain.name == "other" && chain.folder == "/runs/other")
    #expect(chain.stages.map(\.recipe.schedule.steps) == [4, 4, 4, 4, 4])
    #expect(chain.stages.map(\.recipe.seed) == [1007, 2007, 3007, 4007, 5007])
    #expect(chain.stages[2].recipe.initialCheckpoint == "/runs/other/stages/1-warm-up/last-4.h5")
    let start = try #require(try self.chain(Self.stages, "init=/other.h5")).stages.map(\.recipe.initialCheckpoint)
    #expect(start[0] == "/other.h5" && start[2] == "/runs/chain/stages/1-warm-up/last-10.h5", "the first starts there")
    #expect(start[3] == start[2], "labels are made as the stage before was trained")
  }

  @Test func aRecipeWithoutStagesIsNoChain() throws {
    #expect(try chain(Self.common) == nil)
    let failure = #expect(throws: Failure.self) {
      try folder.write(Array(Self.stages.utf8), to: "stages.yaml")
      _ = try Recipe.read(folder.file("stages.yaml"), environment: [:], catalogue: .standard)
    }
    #expect(failure?.status == .badData)
    #expect(failure?.description.contains("stages.yaml:7: a recipe with stages") == true, "\(failure as Any)")
  }

  @Test(arguments: [
    ("stages: 3", ":6: stages is 3; expected a list of stages"),
    ("stages: []", ":6: stages is []; expected a list of stages"),
    ("stages:\n  - hrda", ":7: a stage is hrda; expected a mapping with the keys name, set, labels"),
    ("stages:\n  - {set: {seed: 1}}", ":7: the name of a stage is \"\", which"),
    ("stages:\n  - {name: a/b}", ":7: the name of a stage is \"a/b\", which"),
    ("stages:\n  - {name: a, sett: {}}", ":7: unknown key sett of a stage; did you mean set?"),
    ("stages:\n  - {name: a, set: 3}", ":7: set is 3; expected a mapping of dotted keys to values"),
    ("stages:\n  - {name: a}\n  - name: b\n    set: {shedule.steps: 4}", ":9: stage 2-b: unknown key shedule"),
    ("stages:\n  - {name: a}\n  - name: b\n    set:\n      batch.global: 0", ":10: stage 2-b: batch.global is 0"),
    ("stages:\n  - name: a\n    set: {method: target-only}", "stage 1-a: init is missing; method target-only"),
    ("stages:\n  - {name: a, labels: {network: student}}", ":7: stage 1-a: there is no network that could label"),
    (
      "stages:\n  - {name: a, labels: {netwrk: student}}", ":7: unknown key labels.netwrk; did you mean labels.network?"
    ),
    ("stages:\n  - {name: a, set: {labels.source: cache}}", ":7: stage 1-a: labels.cache is missing"),
    (
      "stages:\n  - {name: a, set: {method: source-only}}\n  - {name: b, labels: {network: teacher}}",
      ":8: stage 2-b: labels.network is teacher, but method source-only has none; use student"
    ),
  ])
  func mistakesInStagesAreFoundBeforeTheFirst(_ lines: String, _ said: String) throws {
    let failure = #expect(throws: Failure.self) { _ = try chain(Self.common + lines + "\n") }
    #expect(failure?.status == .badData)
    #expect(failure?.description.contains(said) == true, "\(failure as Any)")
  }
}
