// Runs with depth: what they need, labels of first predictions, released defects, and equal bits on every rank.

import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct DepthGuidanceTests {
  private func read(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/methods/corda.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
  }

  private static let folder = "data.target={images: t, depth: d, depthCode: monocular, depthScale: 0.5}"

  @Test(arguments: [
    ("head.name=daformer", "head.name is daformer, which makes no map depth; method corda needs it"),
    (
      "network={resolution: hrda, detailCrop: 64x64}",
      "network.resolution is hrda, which method corda does not work with"
    ),
    ("data.target={images: t}", "data.target.depth is missing; method corda learns from it"),
    ("data.source={images: s, labels: l}", "data.source.depth is missing; method corda learns from it"),
    ("data.target={images: t, depth: d, depthScale: 0}", "data.target.depthScale is 0; expected"),
    ("head.width=30", "head.width is 30, but a daformer-depth-guided head needs a multiple of 4"),
    ("methodOptions.difficulty=all", "methodOptions.difficulty is all"),
  ])
  func whatDoesNotFitIsRefused(_ line: String, _ what: String) {
    let failure = #expect(throws: Failure.self) { _ = try read(["crop.size=128x128", line]) }
    #expect(failure?.status == .badData && failure?.what.hasPrefix(what) == true, "\(failure.map(\.description) ?? "")")
  }

  @Test func depthIsPartOfTheDataAndNotOfTheirPlace() throws {
    let recipe = try read([DepthGuidanceTests.folder])
    #expect(recipe.data.target?.depthScale == 0.5 && recipe.data.target?.depthCode == .monocular)
    let elsewhere = try read([DepthGuidanceTests.folder, "data.target.depth=e"])
    #expect(elsewhere.weightFingerprint == recipe.weightFingerprint)
    #expect(elsewhere.withoutPlaces == recipe.withoutPlaces)
    let other = try read([DepthGuidanceTests.folder, "data.target.depthScale=1"])
    #expect(other.weightFingerprint != recipe.weightFingerprint)
    let again = try Recipe(yaml: recipe.resolvedYAML, file: "r", folder: "/", catalogue: .standard)
    #expect(again == recipe)
  }

  private static let small = [
    "batch.global=4", "head.width=16", "teacher.threshold=0.08", "data.source.count=6", "data.target.count=6",
    "data.validation=",
  ]

  /// State digests after some steps, losses of the last, and its pseudo-labels, by rank.
  private func train(
    _ overrides: [String] = [], ranks: Int = 1
  ) throws -> [(digests: StateDigests, losses: [String], labels: [UInt8])] {
    let recipe = try read(DepthGuidanceTests.small + overrides)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      var (losses, labels): ([String], [UInt8]) = ([], [])
      for step in 0..<2 {
        let record = try experiment.step.run(try experiment.loader.batches(step: step), step: step)
        losses = record.losses.map { "\($0.name) \($0.value)" }
        labels = record.pseudoLabels.flatMap(\.labels.values)
      }
      return (try experiment.digests, losses, labels)
    }
  }

  @Test func ranksKeepTheBitsWhateverTheOptions() throws {
    let one = try train()[0]
    #expect(
      one.losses.compactMap { $0.split(separator: " ").first } == [
        "source.fused", "source.initial", "source.depth", "source.initial-depth", "mixed.fused", "mixed.initial",
        "mixed.depth", "mixed.initial-depth",
      ])
    #expect(try train(ranks: 2).allSatisfy { $0.digests == one.digests && $0.losses == one.losses })
    let released = ["methodOptions.difficulty=batch", "methodOptions.initialLabels=1"]
    let other = try train(released)[0]
    #expect(other.digests.student != one.digests.student)
    #expect(try train(released, ranks: 4).allSatisfy { $0.digests == other.digests })
  }

  @Test func labelsMayBeThoseOfTheFirstPredictions() throws {
    let (own, first) = (try train()[0], try train(["methodOptions.initialLabels=1"])[0])
    #expect(own.labels != first.labels)
    // With a share that ends before the first step, nothing changes.
    #expect(try train(["methodOptions.initialLabels=0.0001"])[0].labels == own.labels)
    let plain = try train(["methodOptions={difficulty: none, mixedDepth: 0, sourceDepth: 0}"])[0]
    #expect(plain.losses.contains("mixed.depth 0.0") && plain.digests.student != own.digests.student)
  }
}
