// Runs of TADA: what they need, what each option changes, and equal bits however the batch is cut.

import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Support
import Testing
import Training

@Suite(.serialized) struct TaxonomyAdaptationTests {
  private static let fewShot =
    "data.fewShot={kind: procedural, domain: target, count: 12, size: 256x136, seed: 4, classes: [8, 9, 11], "
    + "perClass: 4}"
  private static let context = [
    "network.resolution=context-only", "network.contextScale=1", "crop.size=128x96", "featureDistance.weight=0",
  ]

  private func read(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: [
        "method=tada", "methodOptions={least: 20, cells: 1024, cellsPerPair: 20, width: 16}", "teacher.average=late",
        "data.source.map=train-ids-coarse", Self.fewShot,
      ] + overrides, environment: [:], catalogue: .standard)
  }

  /// Digests after three steps by rank, and the losses of the last.
  private func train(
    _ overrides: [String], ranks: Int = 1
  ) throws -> (digests: [StateDigests], losses: [String: Double]) {
    let recipe = try read(overrides)
    let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let records = try (0..<3).map {
        try experiment.step.run(try experiment.loader.batches(step: $0), step: $0)
      }
      return (
        try experiment.digests,
        Dictionary(uniqueKeysWithValues: records[2].losses.map { ($0.name, $0.value) })
      )
    }
    return (found.map(\.0), found[0].1)
  }

  private static let open = [
    "data.source.map=train-ids-open", "methodOptions.taxonomy=open", "data.fewShot.classes=[3, 5, 9]",
  ]
  private static let overlapping = [
    "data.source.map=train-ids-vehicle", "data.target.map=train-ids-16", "data.fewShot.map=train-ids-16",
    "data.fewShot.classes=[13, 14, 15]", "methodOptions.taxonomy=overlapping", "methodOptions.groups=[[13, 14, 15]]",
  ]

  @Test(arguments: [
    [], ["methodOptions.relabel=true"], open + ["methodOptions.relabel=true"], overlapping,
    ["methodOptions.frozenProjection=true", "methodOptions.shuffledCertainties=true"],
  ])
  func ranksAndMicroBatchesGiveTheSameBits(_ options: [String]) throws {
    for accumulate in [1, 2] {
      let parts = options + ["batch.accumulate=\(accumulate)"]
      let one = try train(parts)
      #expect(try #require(one.losses["mixed.tada"]) > 0)
      #expect(try train(parts, ranks: 2).digests == [one.digests[0], one.digests[0]])
      #expect(
        try train(parts + ["batch.cropShards=2"], ranks: 4).digests == Array(repeating: one.digests[0], count: 4))
    }
    let single = options + Self.context
    let one = try train(single).digests[0]
    #expect(try train(single, ranks: 4).digests == [one, one, one, one])
  }

  @Test func everyOptionChangesSomething() throws {
    let plain = try train(Self.context)
    #expect(Set(plain.losses.keys) == ["source.fused", "mixed.fused", "mixed.tada"])
    let options = [
      "relabel=true", "groups=[[8, 9]]", "weight=0.02", "temperature=0.1", "width=8", "cells=64", "cellsPerPair=10",
      "least=40", "uncertainty=false", "excludedClasses=[0]", "frozenProjection=true", "shuffledCertainties=true",
    ]
    let students = try options.map { try train(Self.context + ["methodOptions.\($0)"]).digests[0].student }
    #expect(Set(students + [plain.digests[0].student]).count == options.count + 1)
    let without = try train(Self.context + ["methodOptions.weight=0"]).losses
    #expect(Set(without.keys) == ["source.fused", "mixed.fused"])
  }

  @Test func fewShotImagesMatterAndAreThoseOfTheirSeed() throws {
    let plain = try train(Self.context).digests[0].student
    for change in ["seed=5", "choiceSeed=1", "perClass=1", "classes=[8, 9]"] {
      #expect(try train(Self.context + ["data.fewShot.\(change)"]).digests[0].student != plain, "\(change)")
    }
  }

  @Test func noClassWithEnoughCellsGivesNothing() throws {
    #expect(try train(Self.context + ["methodOptions.least=100000"]).losses["mixed.tada"] == 0)
  }

  @Test(arguments: [
    ("data.fewShot=", "data.fewShot is missing; method tada learns from it"),
    ("method=dacs", "data.fewShot is given, but method dacs does not learn from it"),
    ("data.fewShot.classes=[]", "data.fewShot.classes is missing"),
    ("data.fewShot.classes=[8, 9, 8]", "data.fewShot.classes names class 8 twice"),
    ("data.fewShot.classes=[19]", "data.fewShot.classes names class 19, but train ids are 0 to 18"),
    ("data.fewShot.seed=3", "data.fewShot.seed is that of data.validation, whose labels are for scores alone"),
    ("data.fewShot={images: few, classes: [8]}", "data.fewShot.labels is missing"),
    ("data.fewShot.perClass=0", "data.fewShot.perClass is 0; expected"),
    ("methodOptions.groups=[[8, 9], [9, 11]]", "methodOptions.groups names a class twice"),
    ("methodOptions.groups=[[8]]", "methodOptions.groups needs groups of two classes or more"),
    ("methodOptions={taxonomy: open, newClasses: []}", "methodOptions.newClasses is empty"),
    (
      "methodOptions={shuffledCertainties: true, cellsPerPair: 200}",
      "methodOptions.shuffledCertainties needs as many cells of each class"
    ),
    ("objectives={camix: {}}", "objectives.camix and method tada both make the mixed image"),
  ])
  func whatDoesNotFitIsRefused(_ line: String, _ what: String) {
    let failure = #expect(throws: Failure.self) {
      _ = try read(line == "method=dacs" ? [line, "methodOptions="] : [line])
    }
    #expect(failure?.status == .badData && failure?.what.hasPrefix(what) == true, "\(failure.map(\.description) ?? "")")
  }

  @Test func classesThatTheNetworkLacksAreRefused() throws {
    let failure = #expect(throws: Failure.self) { _ = try train(["methodOptions.groups=[[8, 19]]"]) }
    #expect(failure?.status == .badData && failure?.place == "methodOptions.groups")
  }

  @Test func theMethodGoesWithAnotherOne() throws {
    let added = ["method=hrda", "methodOptions=", "objectives={tada: {least: 20, cells: 128, cellsPerPair: 20}}"]
    let losses = try train(added).losses
    #expect(Set(losses.keys).isSuperset(of: ["source.feature-distance", "mixed.tada"]))
    let failure = #expect(throws: Failure.self) { _ = try read(added + ["data.fewShot="]) }
    #expect(failure?.what == "data.fewShot is missing; objectives.tada learns from it")
  }

  @Test func placesOfFewShotImagesDecideNoWeights() throws {
    func placed(_ folder: String, _ more: String...) throws -> Recipe {
      try read(["data.fewShot={images: /\(folder)/i, labels: /\(folder)/l, classes: [8]}"] + more)
    }
    let (old, moved) = (try placed("a"), try placed("b"))
    #expect(old.weightFingerprint == moved.weightFingerprint && old.withoutPlaces == moved.withoutPlaces)
    #expect(try placed("a", "data.fewShot.choiceSeed=1").weightFingerprint != old.weightFingerprint)
    let again = try Recipe(yaml: old.resolvedYAML, file: "r", folder: "/", catalogue: .standard)
    #expect(again == old)
  }
}
