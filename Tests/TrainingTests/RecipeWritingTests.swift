// A resolved recipe repeats the run, and two recipes tell their difference.

import Foundation
import Recipes
import Support
import Testing
import Training

@Suite struct RecipeWritingTests {
  /// A recipe with every optional part and with texts that YAML would take for something else.
  private func rich() throws -> Recipe {
    try recipe(
      minimal + """
        name: "yes"
        method: masked
        methodOptions: {ratio: 0.3}
        init: "a: b #c.h5"
        classes: {names: [road, "12", "null", "it's: \\"odd\\""], palette: [[0, 0, 0], [1, 2, 3], [4, 5, 6], [7, 8, 9]]}
        featureDistance: {classes: [1]}
        optimizer: {learningRate: 1.2345678901234567e-5}
        evaluation: {merges: {rider: person, "3": "no"}}
        """, "data.validation={images: v/images, labels: v/labels, map: {7: 0}, resize: 64x32}")
  }

  @Test func resolvedRecipeReadsBackEqual() throws {
    let recipe = try rich()
    let again = try Recipe(yaml: recipe.resolvedYAML, file: "recipe.yaml", folder: "/elsewhere", catalogue: catalogue)
    #expect(again == recipe)
    #expect(again.resolvedYAML == recipe.resolvedYAML)
    #expect(again.fingerprint == recipe.fingerprint)
  }

  @Test func resolvedRecipeNamesEveryKey() throws {
    var recipe = try rich()
    recipe.data.fewShot = Recipe.FewShot()
    let text = recipe.resolvedYAML
    for key in Recipe.allKeys {
      let leaf = key.split(separator: ".").last ?? ""
      #expect(text.contains("\(leaf):"), "\(key) is not written")
    }
  }

  @Test func differencesAreListed() throws {
    let old = try recipe(minimal)
    let new = try recipe(minimal, "threads=2", "optimizer.learningRate=1e-4", "data.validation.kind=procedural")
    #expect(Recipe.compare(old, old).isEmpty)
    let differences = Recipe.compare(old, new)
    let rate = try #require(differences.first { $0.key == "optimizer.learningRate" })
    #expect(rate.description == "optimizer.learningRate: 6.0e-05 -> 0.0001" && rate.affectsWeights)
    #expect(differences.first { $0.key == "threads" }?.affectsWeights == false)
    #expect(differences.contains { $0.key == "data.validation.kind" && $0.old == nil && !$0.affectsWeights })
    #expect(old.fingerprint != new.fingerprint)
  }

  @Test func placesOfDataDecideNoWeights() throws {
    func placed(_ change: String) throws -> Recipe {
      try recipe(
        minimal, "data.source.images=/a", "data.source.labels=/b", "data.target.images=/c", "data.target.labels=/d",
        change)
    }
    let old = try placed("threads=0")
    for key in ["data.source.images", "data.source.labels", "data.target.images", "data.target.labels"] {
      let new = try placed("\(key)=/there")
      let difference = try #require(Recipe.compare(old, new).first)
      #expect(difference.key == key && difference.isPlaceOfData && !difference.affectsWeights)
      #expect(old.weightFingerprint == new.weightFingerprint)
      #expect(old.formerWeightFingerprint != new.formerWeightFingerprint)
      #expect(old.withoutPlaces.fingerprint == new.withoutPlaces.fingerprint)
    }
    #expect(old.weightFingerprint != (try recipe(minimal, "data.source.imageSuffix=_left")).weightFingerprint)
  }

  @Test func whatLossesAreDividedByDecidesWeights() throws {
    let (old, new) = (try recipe(minimal), try recipe(minimal, "loss.normalisation=labelled"))
    #expect(old.loss.normalisation == .all && new.loss.normalisation == .labelled)
    #expect(old.weightFingerprint != new.weightFingerprint)
    #expect(Recipe.compare(old, new).map(\.description) == ["loss.normalisation: all -> labelled"])
  }

  @Test(arguments: [
    ("mix.classes", "batch", "image"), ("teacher.average", "early", "late"),
  ])
  func keysThatCameLaterCountWhereTheyAreNotTheDefault(key: String, before: String, after: String) throws {
    let plain = try recipe(minimal)
    #expect(try recipe(minimal, "\(key)=\(before)").weightFingerprint == plain.weightFingerprint)
    let changed = try recipe(minimal, "\(key)=\(after)")
    #expect(changed.weightFingerprint != plain.weightFingerprint)
    let name = try #require(key.split(separator: ".").last)
    #expect(plain.resolvedYAML.contains("  \(name): \(before)\n"))
    // A recipe that was stored before there was the key.
    let stored = plain.resolvedYAML.replacing("  \(name): \(before)\n", with: "")
    let read = try Recipe(yaml: stored, file: "recipe.yaml", folder: "/elsewhere", catalogue: catalogue)
    #expect(read == plain && read.weightFingerprint == plain.weightFingerprint)
    #expect(Recipe.compare(plain, changed).map(\.description) == ["\(key): \(before) -> \(after)"])
  }

  /// Where gradients are cut and who adds them decides nothing in reproducible sums only.
  @Test(arguments: [("reproducible", false), ("bf16", true), ("native", true)])
  func cutsOfGradientsMatterToOtherSums(reduction: String, matter: Bool) throws {
    for change in ["communication.bucketMB=2", "batch.cropShards=2"] {
      let new = try recipe(minimal, "reduction=\(reduction)", change)
      let difference = try #require(Recipe.compare(try recipe(minimal, "reduction=\(reduction)"), new).first)
      #expect(difference.affectsWeights == matter, "\(difference)")
    }
  }
}

@Suite struct RecipeReferenceTests {
  private static let page = URL(filePath: #filePath).appending(path: "../../../docs/recipes.md").standardizedFileURL

  /// Keys in the first column of the reference; `.name` goes on from the key before it.
  private func documented() throws -> [String] {
    let rows = try String(contentsOf: Self.page, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `") }
    return rows.flatMap { row in
      let words = row.split(separator: "|")[0].split(separator: "`").filter { $0.contains { $0.isLetter } }
      var keys: [String] = []
      for word in words {
        guard word.hasPrefix("."), let group = keys.last?.split(separator: ".").dropLast().joined(separator: ".") else {
          keys.append(String(word))
          continue
        }
        keys.append(group + word)
      }
      return keys
    }
  }

  @Test func everyKeyIsDocumentedAndNoOther() throws {
    let keys = Recipe.allKeys.map { key in
      let parts = key.split(separator: ".")
      return parts[0] == "data" && parts.count > 2 ? parts.dropFirst(2).joined(separator: ".") : key
    }
    #expect(try Set(documented()) == Set(keys))
  }
}
