// The head in recipes: published options by name, options a head does not have, sizes that fit its stride.

import Networks
import Recipes
import Support
import Testing
import Training

@Suite struct RecipeHeadTests {
  @Test func aNameBringsThePublishedOptions() throws {
    let published = try recipe(minimal).head
    #expect(published.name == "daformer" && published.fusion == .separableASPP)
    #expect(published.width == 256 && published.dilations == [1, 6, 12, 18] && published.dropout == 0.1)
    let perceptron = try recipe(minimal, "head.name=segformer").head
    #expect(perceptron.width == 768 && perceptron.dilations.isEmpty && perceptron.dropout == 0.1)
    let pyramid = try recipe(minimal, "head={name: upernet, width: 128}").head
    #expect(pyramid.width == 128 && pyramid.dilations.isEmpty)
    let deep = try recipe(minimal, "head={dilations: [6, 12], name: deeplabv2}").head
    #expect(deep.dilations == [6, 12] && deep.dropout == 0)
    #expect(try recipe(minimal, "head.name=deeplabv2").head.dilations == [6, 12, 18, 24])
    #expect(try recipe(minimal, "head.fusion=isa").head.fusion == .isa)
  }

  /// Recipes in checkpoints written before heads had names have no `head.name`.
  @Test func olderRecipesMeanTheDAFormerHead() throws {
    let older = try recipe(minimal + "head: {width: 32, dilations: [1, 6], dropout: 0.2}\n")
    let configuration = older.networkConfiguration(classCount: 4)
    #expect(configuration.head == "daformer" && configuration.fusion == .separableASPP)
    #expect(configuration.headWidth == 32 && configuration.dilations == [1, 6] && configuration.headDropout == 0.2)
  }

  @Test(arguments: ["segformer", "deeplabv2", "upernet"]) func resolvedRecipesReadBackEqual(name: String) throws {
    let first = try recipe(minimal, "head.name=\(name)")
    let again = try recipe(first.resolvedYAML)
    #expect(again == first && again.head == first.head)
    let configuration = first.networkConfiguration(classCount: 4)
    #expect(configuration.head == name && configuration.headWidth == first.head.width)
  }

  @Test(arguments: [
    ("head: {name: segfomer}", "head.name is segfomer; expected one of daformer, segformer, deeplabv2, upernet"),
    ("head: {fusion: asp}", "head.fusion is asp; expected one of separable-aspp, aspp, pointwise, isa, coarsest-aspp"),
    ("head: {name: segformer, fusion: isa}", "head.fusion is isa, but a segformer head has no such option"),
    ("head: {name: upernet, dilations: [6]}", "head.dilations is [6], but a upernet head has no such option"),
    ("head: {fusion: isa, dilations: [6]}", "head.dilations is [6], but a daformer head with isa fusion has no"),
    ("head: {dilations: []}", "head.dilations is empty"),
    ("head: {name: deeplabv2, dilations: []}", "head.dilations is empty"),
    ("head: {name: deeplabv2, width: 128}", "head.width is 128, but a deeplabv2 head has no such option"),
    ("head: {name: deeplabv2, dropout: 0.1}", "head.dropout is 0.1, but a deeplabv2 head has no such option"),
    ("head: {name: deeplabv2}\nattention: {width: 64}", "attention.width is 64, but a deeplabv2 head has no"),
  ])
  func optionsThatDoNotFitAreRefused(_ line: String, _ what: String) {
    let failure = complaint(minimal + line + "\n")
    #expect(failure?.status == .badData)
    #expect(failure?.what.hasPrefix(what) == true, "\(failure.map(\.description) ?? "no complaint")")
    #expect(failure?.place?.hasPrefix("r.yaml") == true)
  }

  /// DeepLabV2 on a Mix Transformer has logits at stride 32: context crops and half detail windows must keep to it.
  @Test(arguments: [
    (["crop.size=1024x992"], "crop.size 1024x992 times network.contextScale 0.5 is not a multiple of 32"),
    (["network.detailCrop=480x512", "network.contextScale=1"], "network.detailCrop 480x512 is not a multiple of 64"),
    (
      ["network.detailCrop=480x512", "network.contextScale=1", "network.detailOverlap=false", "crop.size=1000x1024"],
      "crop.size 1000x1024 times network.contextScale 1.0 is not a multiple of 32"
    ),
    (["network.resolution=detail-only", "evaluation.crop=1000x1024"], "evaluation.crop 1000x1024 is not a multiple"),
  ])
  func sizesKeepToTheStride(_ overrides: [String], _ what: String) throws {
    func read(_ name: String) -> Failure? {
      do {
        _ = try Recipe(
          yaml: minimal, file: "r.yaml", folder: "/data",
          overrides: overrides + ["head.name=\(name)", "featureDistance.weight=0"], catalogue: catalogue)
        return nil
      } catch {
        return error as? Failure
      }
    }
    #expect(read("daformer") == nil)
    let failure = read("deeplabv2")
    #expect(failure?.what.hasPrefix(what) == true, "\(failure.map(\.description) ?? "no complaint")")
  }
}
