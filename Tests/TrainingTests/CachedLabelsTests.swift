// Labels of an earlier stage: which of them count, whose images they are, and runs that learn from them.

import Adaptation
import Collectives
import CollectivesTesting
import Foundation
import Recipes
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite(.serialized) struct CachedLabelsTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private static let testRecipe = URL(fileURLWithPath: #filePath)
    .appending(path: "../../../Launch/recipes/test-invariance.yaml").standardizedFileURL.path

  private func recipe(_ overrides: [String]) throws -> Recipe {
    try Recipe.read(Self.testRecipe, overrides: overrides, environment: [:], catalogue: .standard)
  }

  private func cached(_ name: String, _ more: [String] = []) throws -> Recipe {
    try recipe(["labels.source=cache", "labels.cache=\(folder.file(name))"] + more)
  }

  private func data(_ recipe: Recipe, on communicator: any Communicator = SoloCommunicator()) throws -> RunData {
    try RunData(recipe, on: communicator, caches: { HDF5PseudoLabelStore(folder: $0) })
  }

  /// Writes a cache of a recipe's target images, rank by rank.
  /// - Parameter pixel: label and probability of a pixel of an image.
  private func write(
    _ name: String, _ recipe: Recipe, ranks: Int = 1, isFine: Bool = true, images: Range<Int>? = nil,
    _ pixel: (Int, Int) -> (UInt8, Float)
  ) throws {
    let target = try #require(try RunData(recipe, on: SoloCommunicator()).target)
    let size = try target.size(0)
    for rank in 0..<ranks {
      var origin = PseudoLabelOrigin(
        teacherDigest: "aa", recipeDigest: "bb", dataDigest: target.identity.digest, threshold: 0.5,
        height: size.height, width: size.width, rank: rank, worldSize: ranks)
      origin.hasFineConfidence = isFine
      let writer = try HDF5PseudoLabelStore(folder: folder.file(name)).start(origin)
      for image in images ?? 0..<target.count where origin.owns(image: image) {
        let pairs = (0..<size.height * size.width).map { pixel(image, $0) }
        try writer.append(
          PseudoLabelEntry(
            image: image, step: 3,
            labels: LabelMap(height: size.height, width: size.width, values: pairs.map(\.0)),
            probabilities: pairs.map(\.1), threshold: 0.5, isFine: isFine))
      }
      try writer.publish(completedSteps: 4)
    }
  }

  /// Twelve pixels of three classes, and pixels without a label.
  private static let few: [(UInt8, Float)] = [
    (0, 0.8), (0, 0.2), (0, 0.6), (0, 0.4), (1, 0.91), (1, 0.95), (1, 0.97), (2, 0.1), (2, 0.2), (2, 0.3), (2, 0.4),
    (2, 0.5), (255, 0.9),
  ]
  private static let tiny = ["data.target.count=2", "data.target.size=16x8"]

  private func fewLabels(_ changes: [String], isFine: Bool = true) throws -> [UInt8] {
    try write("few", try recipe(Self.tiny), isFine: isFine) { image, pixel in
      image == 0 && pixel < Self.few.count ? Self.few[pixel] : (255, 1)
    }
    let found = try #require(try data(try cached("few", Self.tiny + changes)).target)
    #expect(try found.labels(1)?.values.allSatisfy { $0 == 255 } == true)
    return Array(try #require(try found.labels(0)).values.prefix(Self.few.count))
  }

  @Test("11 SPCL, 3: thresholds are quantiles of a class's confidences, rounded half to even, and capped")
  func quantilesAreThoseOfThePublishedCode() throws {
    let n: UInt8 = 255
    #expect(try fewLabels([]) == Self.few.map(\.0))
    let half = ["labels.quantile=0.5"]
    #expect(try fewLabels(half) == [0, n, 0, n, n, n, 1, n, n, 2, 2, 2, n])
    #expect(try fewLabels(half + ["labels.cap=0.9"]) == [0, n, 0, n, 1, 1, 1, n, n, 2, 2, 2, n])
    #expect(try fewLabels(["labels.quantile=1"]) == [0, n, n, n, n, n, 1, n, n, n, n, 2, n], "the last at most")
    #expect(try fewLabels(["labels.threshold=0.45"]) == [0, n, 0, n, 1, 1, 1, n, n, n, n, 2, n])
    #expect(try fewLabels(half + ["labels.cap=0.9"], isFine: false) == [0, n, 0, n, 1, 1, 1, n, n, 2, 2, 2, n])
  }

  @Test func anyNumberOfRanksReadsTheSame() throws {
    let pixel = { (image: Int, pixel: Int) in (UInt8((image + pixel) % 3), Float(pixel * 7 % 100) / 100) }
    let size = ["data.target.count=5", "data.target.size=16x8"]
    try write("one", try recipe(size), pixel)
    try write("three", try recipe(size), ranks: 3, pixel)
    let half = size + ["labels.quantile=0.5"]
    let one = try data(try cached("one", half))
    for (name, ranks) in [("one", 2), ("three", 1), ("three", 3)] {
      let recipe = try cached(name, half)
      let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let data = try data(recipe, on: communicator)
        return (data.identities, try (0..<5).map { try data.target?.labels($0)?.values })
      }
      #expect(try found.allSatisfy { try $0.1 == (0..<5).map { try one.target?.labels($0)?.values } })
      #expect(found.allSatisfy { $0.0 == one.identities }, "the same labels, wherever they lie")
    }
    try write("other", try recipe(size)) { (UInt8(($0 + $1) % 3), $1 == 7 ? 0.5 : pixel($0, $1).1) }
    #expect(try data(try cached("other", half)).identities.labels != one.identities.labels)
  }

  @Test func aCacheThatDoesNotFitIsRefusedByName() throws {
    func refusal(_ name: String, _ status: Support.ExitStatus, _ words: String) throws {
      let failure = #expect(throws: Failure.self) { _ = try data(try cached(name, Self.tiny)) }
      #expect(failure?.status == status, "\(failure as Any)")
      #expect(failure?.description.contains(folder.file(name)) == true, "\(failure as Any)")
      #expect(failure?.description.contains(words) == true, "\(failure as Any)")
    }
    try refusal("none", .missingInput, "which holds no whole cache")
    try write("others", try recipe(["data.target.count=3", "data.target.size=16x8"])) { _, _ in (0, 1) }
    try refusal("others", .badData, "labels of other images than data.target")
    try write("part", try recipe(Self.tiny), images: 0..<1) { _, _ in (0, 1) }
    try refusal("part", .missingInput, "has no labels of")
    try write("strange", try recipe(Self.tiny)) { _, _ in (77, 1) }
    try refusal("strange", .badData, "a pixel of class 77, there are 19 classes")
    try write("lost", try recipe(Self.tiny), ranks: 2) { _, _ in (0, 1) }
    try FileManager.default.removeItem(atPath: folder.file("lost/rank-00001.h5"))
    try refusal("lost", .missingInput, "which holds no whole cache")
  }

  @Test(arguments: [
    ("labels.source=cache", "labels.cache is missing; labels.source is cache"),
    ("labels.cache=/tmp/a", "labels.cache is given, but labels.source is teacher"),
    ("labels.quantile=0.5", "labels.quantile is given, but labels.source is teacher"),
    ("labels.source=oracle", "labels.source is oracle; expected one of teacher, student, cache"),
  ])
  func settingsThatDoNotFitAreRefused(_ change: String, _ said: String) throws {
    let failure = #expect(throws: Failure.self) { _ = try recipe([change]) }
    #expect(failure?.status == .badData && failure?.what.hasPrefix(said.components(separatedBy: ";")[0]) == true)
    let kept = #expect(throws: Failure.self) { _ = try cached("x", ["teacher.refresh=4"]) }
    #expect(kept?.what == "teacher.refresh is 4, but labels.source is cache")
    let none = #expect(throws: Failure.self) { _ = try cached("x", ["method=source-only"]) }
    #expect(none?.what == "labels.source is cache, but method source-only labels no target image")
  }

  /// Digests after three steps, by rank, and the confident share of the last.
  private func train(_ recipe: Recipe, ranks: Int) throws -> [(StateDigests, Float?)] {
    try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator, data: try data(recipe, on: communicator))
      var share: Float?
      for step in 0..<3 {
        share = try experiment.step.run(try experiment.loader.batches(step: step), step: step).confidentShare
      }
      return (try experiment.digests, share)
    }
  }

  @Test func runsOnCachedLabelsKeepTheBits() throws {
    try write("labels", try recipe([])) { (UInt8(($0 + $1 / 40) % 19), Float($1 * 31 % 256) / 256) }
    let half = ["labels.quantile=0.5", "teacher.confidence=pixel"]
    let one = try train(try cached("labels", half), ranks: 1)[0]
    for (ranks, more) in [(2, []), (4, []), (4, ["batch.cropShards=2"])] {
      let many = try train(try cached("labels", half + more), ranks: ranks)
      #expect(many.allSatisfy { $0.0 == one.0 && $0.1 == one.1 }, "\(ranks) ranks \(more)")
    }
    let share = try #require(one.1)
    #expect(share > 0.4 && share < 0.6, "half of the labels count")
    #expect(try train(try cached("labels"), ranks: 1)[0].1 == 1)
    #expect(try train(try recipe([]), ranks: 1)[0].0 != one.0)
  }

  @Test func theStudentLabelsOnItsOwn() throws {
    let one = try train(try recipe(["labels.source=student"]), ranks: 1)[0]
    #expect(try train(try recipe(["labels.source=student"]), ranks: 2).allSatisfy { $0.0 == one.0 })
    #expect(try train(try recipe([]), ranks: 1)[0].0 != one.0)
  }
}
