// DACS, DAFormer, and masked images on every host: equal bits however a run is cut over ranks.

import Adaptation
import Collectives
import CollectivesTesting
import Foundation
import Methods
import Recipes
import Support
import Testing
import Training

@Suite(.serialized) struct MethodInvarianceTests {
  /// Masked images on a host, by the method of the catalogue or beside another one.
  private static func masked(_ host: Adaptation.Host, _ options: String...) -> [String] {
    let all = ["block=32"] + options
    return switch host {
    case .selfTraining: ["method=mic"] + all.map { "methodOptions.\($0)" }
    case .adversarial: ["method=minent"] + all.map { "objectives.mic.\($0)" }
    default: ["method=source-only"] + all.map { "objectives.mic.\($0)" }
    }
  }

  /// One resolution, as DACS and DAFormer were published.
  private static let context = [
    "network.resolution=context-only", "network.contextScale=1", "crop.size=128x96", "featureDistance.weight=0",
  ]
  private static let dacs = [
    "method=dacs", "mix.classes=image", "teacher.average=late", "loss.normalisation=labelled", "optimizer.name=sgd",
    "rareClassSampling.enabled=false", "featureDistance.weight=0",
  ]

  /// Digests after four steps by rank, and the names of the losses.
  func train(
    _ overrides: [String], ranks: Int
  ) throws -> (digests: [StateDigests], losses: [String]) {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
    let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      let records = try (0..<4).map { step in
        try experiment.step.run(try experiment.loader.batches(step: step), step: step)
      }
      return (try experiment.digests, records[3].losses.map(\.name))
    }
    return (found.map(\.0), found[0].1)
  }

  /// Equal digests on one rank, two and four, with micro-batches, and with shared crops where there are two.
  func keepsTheBits(_ overrides: [String], sharesCrops: Bool) throws {
    let one = try train(overrides, ranks: 1).digests[0]
    for ranks in [2, 4] {
      #expect(try train(overrides, ranks: ranks).digests == Array(repeating: one, count: ranks), "\(ranks) ranks")
    }
    let parts = overrides + ["batch.accumulate=2"]
    let whole = try train(parts, ranks: 1).digests[0]
    #expect(try train(parts, ranks: 2).digests == [whole, whole] && whole != one)
    guard sharesCrops else { return }
    let shared = try train(overrides + ["batch.cropShards=2"], ranks: 4).digests
    #expect(shared == Array(repeating: one, count: 4))
  }

  @Test func dacsKeepsTheBits() throws {
    try keepsTheBits(MethodInvarianceTests.dacs + MethodInvarianceTests.context, sharesCrops: false)
    try keepsTheBits(MethodInvarianceTests.dacs, sharesCrops: true)
  }

  @Test func everySettingOfDACSMatters() throws {
    let all = try train(MethodInvarianceTests.dacs, ranks: 1).digests[0]
    for other in [
      "mix.classes=batch", "teacher.average=early", "loss.normalisation=all", "optimizer.name=adamw",
    ] {
      let changed = try train(MethodInvarianceTests.dacs + [other], ranks: 1).digests[0]
      #expect(changed.teacher != all.teacher, "\(other)")
    }
  }

  @Test func daformerKeepsTheBits() throws {
    let daformer = [
      "method=daformer", "network.resolution=context-only", "network.contextScale=1", "crop.size=128x96",
    ]
    try keepsTheBits(daformer, sharesCrops: false)
    #expect(try train(daformer, ranks: 1).losses == ["source.fused", "source.feature-distance", "mixed.fused"])
  }

  @Test(arguments: [Adaptation.Host.sourceOnly, .adversarial, .selfTraining], ["target", "source", "both"])
  func maskedImagesKeepTheBits(host: Adaptation.Host, mode: String) throws {
    let masked = MethodInvarianceTests.masked(host, "mode=\(mode)")
    try keepsTheBits(masked, sharesCrops: true)
    let losses = try train(masked, ranks: 1).losses
    #expect(losses.suffix(2) == ["masked.fused", "masked.detail"])
  }

  @Test func targetImagesAreAskedForWhereTheyAreLabelled() throws {
    for mode in ["target", "both"] {
      let failure = #expect(throws: Failure.self) {
        try train(MethodInvarianceTests.masked(.sourceOnly, "mode=\(mode)") + ["data.target="], ranks: 1)
      }
      #expect(failure?.status == .badData)
      #expect(failure?.what == "data.target is missing; objectives.mic learns from it")
    }
    let source = MethodInvarianceTests.masked(.sourceOnly, "mode=source") + ["data.target="]
    #expect(try train(source, ranks: 1).losses.contains("masked.fused"))
  }

  @Test func theModesDifferAndSoDoesAugmentation() throws {
    let settings = ["mode=target", "mode=source", "mode=both", "augment=false"]
    let digests = try settings.map {
      try train(MethodInvarianceTests.masked(.selfTraining, $0), ranks: 1).digests[0].student
    }
    #expect(Set(digests).count == settings.count)
  }

  /// A teacher of its own follows by the recipe's momentum, and its threshold decides what labels weigh.
  @Test func hostsWithoutATeacherGetTheRecipes() throws {
    let masked = MethodInvarianceTests.masked(.sourceOnly)
    let plain = try train(masked, ranks: 1).digests[0]
    #expect(plain.teacher != plain.student)
    let certain = masked + ["teacher.threshold=0"]
    let sure = try train(certain, ranks: 1).digests[0]
    #expect(sure.student != plain.student)
    #expect(try train(certain + ["teacher.momentum=0.5"], ranks: 1).digests[0].student != sure.student)
    let source = try train(MethodInvarianceTests.masked(.sourceOnly, "mode=source"), ranks: 1).digests[0]
    #expect(source.teacher == source.student, "labels of their own need no teacher")
  }
}
