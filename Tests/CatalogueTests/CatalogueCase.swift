// Recipes of methods, made small by one rule, and how far they are tried.

import Foundation
import Networks
import Recipes
import Testing
import Training

/// How far the methods are tried: `APUS_CATALOGUE=full` is what `Launch/test --catalogue` asks for.
let triesAll = ProcessInfo.processInfo.environment["APUS_CATALOGUE"] == "full"

/// A recipe of a method that is run with a tiny network and procedural scenes.
///
/// The rule is the same for all: what decides the size of network, images, data and schedule is replaced, what the
/// method is made of stays. It is given as `--set`; steps of stages, which no `--set` reaches, are changed in a copy.
struct CatalogueCase: Sendable, CustomTestStringConvertible {
  /// The recipe.
  let path: String

  var testDescription: String { name }
  /// Name of the method.
  var name: String { URL(filePath: path).deletingPathExtension().lastPathComponent }

  /// The folder of recipes: the published ones, or `APUS_CATALOGUE_RECIPES`.
  static let folder =
    ProcessInfo.processInfo.environment["APUS_CATALOGUE_RECIPES"]
    ?? URL(fileURLWithPath: #filePath).appending(path: "../../../Launch/recipes/methods").standardizedFileURL.path

  /// Every recipe of the folder.
  static let all: [CatalogueCase] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".yaml") }.sorted().map { CatalogueCase(path: "\(folder)/\($0)") }
  }()

  /// Steps of a stage.
  static let steps = 4

  /// Labelled scenes.
  static let source = "data.source={\(scenes), domain: source, seed: 1}"
  private static let scenes = "kind: procedural, count: 12, size: 256x136"

  /// Whether the method starts from a trained network, having no source to train one on.
  var needsStart: Bool {
    get throws { try !first(.standard).method.host.hasSource }
  }

  /// The recipe, or that of its first stage.
  private func first(_ catalogue: RecipeCatalogue) throws -> Recipe {
    try RecipeChain.read(
      path, environment: [:], catalogue: catalogue, runDirectory: { "/\($0)" }, checkpoint: { "\($0)/\($1)" })?
      .stages[0].recipe ?? Recipe.read(path, environment: [:], catalogue: catalogue)
  }

  /// What replaces the recipe's own sizes.
  func overrides(_ catalogue: RecipeCatalogue = .standard) throws -> [String] {
    let recipe = try first(catalogue)
    var settings = [
      "encoder.name=\(CatalogueCase.tiny(recipe.encoder.name))", "encoder.weights=", "init=", "classes=cityscapes19",
      "batch={global: 4}", "crop.size=192x128", "network.detailCrop=88x64",
      "schedule.steps=\(CatalogueCase.steps)", "schedule.warmUpSteps=0",
      "rareClassSampling.minimumPixels=50", "rareClassSampling.minimumCropPixels=50",
      "featureDistance.minimumShare=0.2", "teacher.threshold=\(recipe.teacher.threshold > 0 ? 0.08 : 0)",
      "data.validation={kind: procedural, domain: target, count: 2, size: 256x136, seed: 3}",
      "evaluation={every: 0, crop: 192x128, stride: 96x64}", "checkpoint={every: 0, keep: 2}", "digest={every: 2}",
      "log={every: 1}",
    ]
    if recipe.data.source != nil { settings.append(CatalogueCase.source) }
    if recipe.data.target != nil { settings.append("data.target={\(CatalogueCase.scenes), domain: target, seed: 2}") }
    if HeadCatalogue.entry(recipe.head.name)?.hasWidth == true {
      settings += ["head.width=16", "attention.width=16"]
    }
    return settings
  }

  /// The recipe's text with few steps, stages included.
  var text: String {
    get throws {
      try String(contentsOfFile: path, encoding: .utf8)
        .replacing(/\bsteps: \d+/, with: "steps: \(CatalogueCase.steps)")
    }
  }

  /// The smallest encoder of the family.
  private static func tiny(_ encoder: String) -> String {
    let family = encoder.prefix { $0.isLetter }
    let names = EncoderCatalogue.names
    if names.contains("\(family)-tiny") { return "\(family)-tiny" }
    return ["b", "tiny"].contains(family) ? "tiny" : encoder
  }
}
