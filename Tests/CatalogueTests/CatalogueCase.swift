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

  /// The folder of published recipes.
  static let published =
    URL(fileURLWithPath: #filePath).appending(path: "../../../Launch/recipes/methods").standardizedFileURL.path

  /// Every recipe that is tried: the published ones, or those of `APUS_CATALOGUE_RECIPES`.
  static let all = all(in: ProcessInfo.processInfo.environment["APUS_CATALOGUE_RECIPES"] ?? published)

  /// Every recipe of a folder.
  static func all(in folder: String) -> [CatalogueCase] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".yaml") }.sorted().map { CatalogueCase(path: "\(folder)/\($0)") }
  }

  /// Steps of a stage.
  static let steps = 4

  /// Labelled scenes.
  static let source = "data.source={\(scenes), domain: source, seed: 1}"
  private static let scenes = "kind: procedural, count: 12, size: 160x88"

  /// Whether the method starts from a trained network, having no source to train one on.
  var needsStart: Bool {
    get throws { try !first(.standard).method.host.hasSource }
  }

  /// Its stages, or the only recipe.
  func stages(_ catalogue: RecipeCatalogue = .standard, _ overrides: [String] = []) throws -> [Recipe] {
    let chain = try RecipeChain.read(
      path, overrides: overrides, environment: [:], catalogue: catalogue, runDirectory: { "/\($0)" },
      checkpoint: { "\($0)/\($1)" })
    return try chain?.stages.map(\.recipe)
      ?? [Recipe.read(path, overrides: overrides, environment: [:], catalogue: catalogue)]
  }

  /// The recipe, or that of its first stage.
  private func first(_ catalogue: RecipeCatalogue) throws -> Recipe { try stages(catalogue)[0] }

  /// What replaces the recipe's own sizes.
  func overrides(_ catalogue: RecipeCatalogue = .standard) throws -> [String] {
    let recipe = try first(catalogue)
    var settings = [
      "encoder.name=\(CatalogueCase.tiny(recipe.encoder.name))", "encoder.weights=", "init=", "classes=cityscapes19",
      "batch={global: 4}", "crop.size=128x64", "network.detailCrop=72x40",
      "schedule.steps=\(CatalogueCase.steps)", "schedule.warmUpSteps=0",
      "rareClassSampling.minimumPixels=50", "rareClassSampling.minimumCropPixels=50",
      "featureDistance.minimumShare=0.05", "teacher.threshold=\(recipe.teacher.threshold > 0 ? 0.08 : 0)",
      "data.validation={kind: procedural, domain: target, count: 2, size: 160x88, seed: 3}",
      "evaluation={every: 0, crop: 128x64, stride: 64x32}", "checkpoint={every: 0, keep: 2}", "digest={every: 2}",
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
