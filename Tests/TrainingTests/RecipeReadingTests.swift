// Reading recipes: defaults, overrides, and what is said about mistakes.

import Adaptation
import Foundation
import Recipes
import Support
import TestSupport
import Testing
import Training

/// Options of a made-up method, to see that methods bring their own.
struct BlockOptions: MethodOptions {
  var blocks = 64
  var ratio = 0.7
  mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("blocks", &blocks, .atLeast(1))
    try settings.value("ratio", &ratio, .from(0, to: 1))
  }
  func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { nil }
}

let catalogue = RecipeCatalogue(
  methods: [
    .init("source-only", .sourceOnly, paper: "none"), .init("hrda", .selfTraining, paper: "none"),
    .init("masked", .selfTraining, options: BlockOptions(), paper: "none"),
  ],
  encoders: ["tiny", "b0", "b5"], dataSets: ["folder", "procedural"], classSets: ["cityscapes19": 19, "small": 4],
  labelMaps: ["gta"])

let minimal = """
  seed: 7
  data:
    source: {kind: procedural}
    target: {kind: procedural, domain: target}

  """

func recipe(_ yaml: String, _ overrides: String..., environment: [String: String] = [:]) throws -> Recipe {
  try Recipe(
    yaml: yaml, file: "r.yaml", folder: "/data", overrides: overrides, environment: environment, catalogue: catalogue)
}

func complaint(_ yaml: String, _ overrides: String...) -> Failure? {
  do {
    _ = try Recipe(yaml: yaml, file: "r.yaml", folder: "/data", overrides: overrides, catalogue: catalogue)
    return nil
  } catch {
    return error as? Failure
  }
}

@Suite struct RecipeReadingTests {
  @Test func defaultsAreThePublishedOnes() throws {
    let recipe = try recipe(minimal)
    #expect(recipe.seed == 7)
    #expect(recipe.method.name == "hrda")
    #expect(recipe.encoder.name == "b5")
    #expect(recipe.optimizer.learningRate == 6e-5 && recipe.optimizer.headFactor == 10)
    #expect(recipe.schedule.steps == 40_000 && recipe.schedule.warmUpSteps == 1500)
    #expect(recipe.teacher.threshold == 0.968 && recipe.teacher.momentum == 0.999)
    #expect(recipe.network.detailWeight == 0.1 && recipe.network.contextScale == 0.5)
    #expect(recipe.crop.size == PixelSize(height: 1024, width: 1024))
    #expect(recipe.featureDistance.classes == [6, 7, 11, 12, 13, 14, 15, 16, 17, 18])
    #expect(recipe.data.target?.domain == .target && recipe.data.validation == nil)
  }

  @Test func everyKindOfValueIsRead() throws {
    let recipe = try recipe(
      """
      name: "2024"
      method: masked
      methodOptions: {blocks: 32}
      reduction: native
      init: weights/start.h5
      batch: {global: 8}
      classes: {names: [road, sky], palette: [[128, 64, 128], [70, 130, 180]]}
      encoder: {name: b0, weights: /abs/b0.pth}
      network: {resolution: context-only, detailCrop: [64, 128]}
      crop: {size: 256x128}
      featureDistance: {weight: 0}
      evaluation: {merges: {rider: person}, crop: 256x128, stride: 256x128}
      data:
        source: {images: a/images, labels: a/labels, map: gta, resize: 1280x720}
        target: {images: ../b, map: {7: 0, 8: 1}, margins: {top: 30}}
      """)
    #expect(recipe.name == "2024")
    #expect(recipe.method.options as? BlockOptions == BlockOptions(blocks: 32))
    #expect(recipe.initialCheckpoint == "/data/weights/start.h5" && recipe.encoder.weights == "/abs/b0.pth")
    #expect(recipe.classes == .listed(names: ["road", "sky"], palette: [[128, 64, 128], [70, 130, 180]]))
    #expect(recipe.network.detailCrop == PixelSize(height: 64, width: 128))
    #expect(recipe.crop.size == PixelSize(height: 128, width: 256))
    #expect(recipe.evaluation.merges == ["rider": "person"])
    #expect(recipe.data.source?.images == "/data/a/images" && recipe.data.source?.map == .named("gta"))
    #expect(recipe.data.target?.images == "/b" && recipe.data.target?.map == .table([7: 0, 8: 1]))
    #expect(recipe.data.target?.margins.top == 30)
  }

  @Test func overridesReplaceTheFileAndTheEnvironment() throws {
    let folder = FileManager.default.currentDirectoryPath
    #expect(try recipe("threads: 1\n" + minimal, environment: ["APUS_THREADS": "2"]).threads == 2)
    #expect(try recipe(minimal, "threads=3", environment: ["APUS_THREADS": "2"]).threads == 3)
    #expect(try recipe(minimal, "seed=1", "seed=2").seed == 2)
    #expect(try recipe(minimal, "optimizer.betas=[0.8, 0.9]").optimizer.betas == [0.8, 0.9])
    #expect(try recipe(minimal, "encoder.weights=w.pth").encoder.weights == folder + "/w.pth")
    #expect(try recipe(minimal, "data.validation.kind=procedural").data.validation?.kind == "procedural")
    #expect(try recipe(minimal, "method=source-only", "data.target=").data.target == nil)
    #expect(try recipe(minimal, "teacher.confidence=image").teacher.confidence == .image)
  }

  @Test func unknownKeysNameFileLineAndNearestKey() {
    let typo = complaint(minimal + "encoder:\n  nmae: b0\n")
    #expect(typo?.status == .badData)
    #expect(typo?.description == "r.yaml:6: unknown key encoder.nmae; did you mean encoder.name?")
    #expect(complaint(minimal + "learningRate: 1\n")?.remedy == "did you mean optimizer.learningRate?")
    #expect(
      complaint(minimal, "shedule.steps=4")?.description
        == "--set shedule.steps: unknown key shedule; did you mean schedule?")
    #expect(complaint(minimal + "methodOptions: {blocks: 3}\n")?.what == "unknown key methodOptions.blocks")
    #expect(complaint(minimal, "seed=-1")?.what.hasPrefix("seed is -1; expected a whole number from 0 to") == true)
    #expect(complaint(minimal, "encoder.name.b=1")?.what.hasPrefix("encoder.name is {b: 1}; expected a text") == true)
  }

  @Test(arguments: [
    ("threads: two", "threads is two; expected a whole number of at least 0"),
    ("trace: 1", "trace is 1; expected true or false"),
    ("teacher: {momentum: 1.5}", "teacher.momentum is 1.5; expected a number from 0.0 to 1.0"),
    ("optimizer: {betas: [0.9]}", "optimizer.betas is [0.9]; expected a list"),
    ("optimizer: {epsilon: nan}", "optimizer.epsilon is nan; expected a number above 0"),
    ("optimizer: 3", "optimizer is 3; expected a mapping with keys such as name"),
    ("network: {resolution: hdra}", "network.resolution is hdra; expected one of hrda, context-only, detail-only"),
    ("network: {detailCrop: 100x64}", "network.detailCrop is 100x64; expected a size"),
    ("crop: {size: 64}", "crop.size is 64; expected a size"),
    ("method: hrdo", "method is hrdo; expected a text: one of source-only, hrda, masked"),
    ("encoder: {name: b9}", "encoder.name is b9; expected one of tiny, b0, b5"),
    (
      "classes: {names: [a, b], palette: [[0, 0, 0]]}",
      "classes is {names: [a, b], palette: [[0, 0, 0]]}; expected the name"
    ),
    ("classes: small", "featureDistance.classes names class 6, but train ids are 0 to 3"),
    ("network: {detailCrop: 2048x512}", "network.detailCrop 2048x512 is larger than crop.size 1024x1024"),
    ("crop: {size: 1032x1024}", "crop.size 1032x1024 is not a multiple of 64"),
    ("evaluation: {stride: 2048x512}", "evaluation.stride 2048x512 is larger than evaluation.crop 1024x1024"),
    ("batch: {global: 8, accumulate: 3}", "batch.accumulate is 3, which does not divide batch.global 8"),
    ("batch: {accumulate: 4}", "batch.accumulate is 4, which does not divide batch.global 2"),
    ("batch: {accumulate: 0}", "batch.accumulate is 0; expected a whole number of at least 1"),
    ("batch: {cropShards: 2}\nnetwork: {resolution: context-only}", "batch.cropShards is 2, but"),
    ("batch: {global: 9223372036854775807}", "batch.global is 9223372036854775807; expected a whole number"),
    ("schedule: {steps: 2147483648}", "schedule.steps is 2147483648; expected a whole number of at least 1"),
    ("crop: {size: 65600x64}", "crop.size is 65600x64; expected a size"),
    ("crop: {size: [8, 9223372036854775800]}", "crop.size is [8, 9223372036854775800]; expected a size"),
    ("head: {width: 100000}", "head.width is 100000; expected a whole number from 1 to 65536"),
    ("head: {dilations: [1, 100000]}", "head.dilations is [1, 100000]; expected a list"),
  ])
  func wrongValuesAreRefused(_ line: String, _ what: String) {
    let failure = complaint(minimal + line + "\n")
    #expect(failure?.status == .badData)
    #expect(failure?.what.hasPrefix(what) == true, "\(failure.map(\.description) ?? "no complaint")")
    #expect(failure?.place?.hasPrefix("r.yaml") == true)
  }

  @Test func aNumberThatIsTooLargeNamesTheLargest() {
    let remedy = "whole numbers go up to 2147483647"
    #expect(complaint(minimal, "schedule.steps=99999999999")?.remedy == remedy)
    #expect(complaint(minimal, "schedule.steps=99999999999999999999999")?.remedy == remedy)
    #expect(complaint(minimal, "schedule.steps=0")?.remedy == nil)
  }

  @Test(arguments: [
    ("ratio=1.5", "ratio is 1.5; expected a number from 0.0 to 1.0"),
    ("ratio=-0.1", "ratio is -0.1; expected a number from 0.0 to 1.0"),
    ("ratio=nan", "ratio is nan; expected a number from 0.0 to 1.0"),
    ("block=0", "block is 0; expected a whole number of at least 1"),
    ("block=1025", "block 1025 is larger than a side of crop.size 1024x1024"),
    ("weight=-1", "weight is -1; expected a number of at least 0.0"),
    ("weight=inf", "weight is inf; expected a number"),
  ])
  func nonsenseForMaskingIsRefused(_ option: String, _ what: String) {
    func failure(_ overrides: [String]) -> Failure? {
      do {
        _ = try Recipe(
          yaml: minimal, file: "r.yaml", folder: "/data", overrides: overrides, catalogue: RecipeCatalogue.standard)
        return nil
      } catch { return error as? Failure }
    }
    let found = failure(["method=mic", "methodOptions.\(option)"])
    #expect(found?.status == .badData && found?.place?.hasPrefix("--set methodOptions") == true)
    #expect(found?.what.hasPrefix("methodOptions.\(what)") == true, "\(found.map(\.description) ?? "no complaint")")
    let fitting = failure(["method=mic", "methodOptions.block=1024", "methodOptions.ratio=1", "methodOptions.weight=0"])
    #expect(fitting == nil)
  }

  @Test func mistakesInDataSetsAreFound() {
    let target = "target: {kind: procedural}"
    #expect(complaint("seed: 1\n")?.what == "data.source is missing")
    #expect(
      complaint("data:\n  source: {kind: procedural}\n")?.description.hasPrefix("r.yaml:1: data.target is missing")
        == true)
    #expect(
      complaint("data:\n  source: {images: a}\n  \(target)\n")?.description.hasPrefix("r.yaml:2: data.source.labels")
        == true)
    let margins = complaint("data:\n  source: {kind: procedural, margins: {top: 300}}\n  \(target)\n")
    #expect(margins?.what == "data.source.margins leave nothing of an image of 512x256")
    let map = complaint("data:\n  source: {kind: procedural, map: gat}\n  \(target)\n")
    let kind = complaint("data:\n  source: {kind: proceduarl}\n  \(target)\n")
    #expect(kind?.what == "data.source.kind is proceduarl; expected one of folder, procedural")
    #expect(kind?.remedy == "did you mean procedural?")
    #expect(map?.what == "data.source.map is gat; expected one of identity, gta" && map?.remedy == "did you mean gta?")
  }

  @Test func brokenFilesNameTheLine() throws {
    #expect(complaint("")?.description.hasPrefix("r.yaml: it is empty") == true)
    #expect(complaint("# nothing\n")?.status == .badData)
    #expect(complaint("- a\n")?.what == "a recipe is a mapping of keys to values")
    #expect(complaint("seed: 1\nname: [a\n")?.place?.hasPrefix("r.yaml:") == true)
    #expect(complaint("seed: 1\n\tname: a\n")?.place == "r.yaml:2")
    #expect(complaint("seed: 1\nname: a\nseed: 2\n")?.what == "key seed is given twice")
    #expect(complaint("seed: 1\n---\nseed: 2\n")?.what == "it holds 2 YAML documents; expected one")
    #expect(complaint(minimal, "seed")?.status == .usage)
    #expect(complaint(minimal, "seed=[")?.place == "--set seed")
  }

  @Test(arguments: ["../../x", "..", "a/b", "\"a\\nb\"", "\" a\""]) func aNameIsOfOneFolder(name: String) throws {
    let folder = try TemporaryFolder()
    try "\(minimal)name: \(name)\n".write(toFile: folder.file("r.yaml"), atomically: true, encoding: .utf8)
    let lines = minimal.split(separator: "\n", omittingEmptySubsequences: false).count
    let failure = #expect(throws: Failure.self) { try Recipe.read(folder.file("r.yaml"), catalogue: catalogue) }
    #expect(failure?.status == .badData && failure?.place == folder.file("r.yaml") + ":\(lines)")
    #expect(failure?.what.hasPrefix("name is \"") == true && failure?.description.contains("\n") == false)
    // A checkpoint of a former version may have any name.
    #expect(throws: Never.self) { try recipe("\(minimal)name: \(name)\n") }
    let overridden = #expect(throws: Failure.self) {
      try Recipe.read(folder.file("r.yaml"), overrides: ["name=\(name)"], catalogue: catalogue)
    }
    #expect(overridden?.place == "--set name")
  }

  @Test func filesAreFoundOrNot() throws {
    let folder = try #require(try? TemporaryFolder())
    #expect(throws: Failure.self) { try Recipe.read(folder.path + "/none.yaml", catalogue: catalogue) }
    try minimal.write(toFile: folder.path + "/my-run.yaml", atomically: true, encoding: .utf8)
    let read = try Recipe.read(
      folder.path + "/my-run.yaml", overrides: ["init=x.h5"], environment: [:], catalogue: catalogue)
    #expect(read.name == "my-run")
    do {
      _ = try Recipe.read(folder.path + "/none.yaml", catalogue: catalogue)
    } catch let failure as Failure {
      #expect(failure.status == .missingInput)
    }
  }
}
