// Methods that add a pass, make the mixed images or join the passes of their host: equal bits however a run is cut over
// ranks, crops and micro-batches, alone and put together.

import Foundation
import Recipes
import Support
import Testing
import Training

@Suite("Added passes, own mixes, joined passes", .serialized) struct JoinedMethodTests {
  /// One resolution, without the feature distance, whose cells would be too large.
  private static let context = [
    "network.resolution=context-only", "network.contextScale=1", "crop.size=128x96", "featureDistance.weight=0",
  ]
  private static let camix = [
    "method=camix", "methodOptions.warmUp=0.1", "methodOptions.copies=2", "methodOptions.priorSize=16x8",
  ]
  private let invariance = MethodInvarianceTests()

  @Test("relations", arguments: ["similarity=cosine", "similarity=divergence", "reuse=true"])
  func relations(option: String) throws {
    let crda = ["method=crda", "methodOptions.positions=40", "methodOptions.\(option)"]
    try invariance.keepsTheBits(crda, sharesCrops: true)
    let names = try invariance.train(crda, ranks: 1).losses
    #expect(names.contains(option == "reuse=true" ? "mixed.crda" : "relation.crda"))
  }

  @Test("a teacher with dropout says other things, the same on all ranks")
  func noisyTeacher() throws {
    let crda = ["method=crda", "methodOptions.positions=40"]
    let noisy = crda + ["methodOptions.noisyTeacher=true"]
    try invariance.keepsTheBits(noisy, sharesCrops: true)
    #expect(
      try invariance.train(noisy, ranks: 1).digests[0].student
        != invariance.train(crda, ranks: 1).digests[0].student)
  }

  @Test("mixing by context, in and after its warm-up")
  func contextMixing() throws {
    try invariance.keepsTheBits(Self.camix, sharesCrops: true)
    try invariance.keepsTheBits(Self.camix + Self.context, sharesCrops: false)
    let one = try invariance.train(Self.camix, ranks: 1).digests[0].student
    // Copies, their noise and companions change nothing here: no pixel is certain before training, and without a survey
    // no class has a prior. The reference file tries them.
    let other = try invariance.train(Self.camix + ["methodOptions.warmUp=1"], ranks: 1).digests[0].student
    #expect(other != one)
  }

  @Test("prototypes of both passes", arguments: ["outputWeight=1", "outputWeight=0", "momentum=0.9"])
  func prototypes(option: String) throws {
    let proca = [
      "method=proca", "methodOptions.threshold=0", "methodOptions.temperature=0.1", "methodOptions.\(option)",
    ]
    try invariance.keepsTheBits(proca, sharesCrops: true)
    let names = Set(try invariance.train(proca, ranks: 1).losses)
    #expect(names.isSuperset(of: ["source.lovasz", "source.features", "target.features"]))
    #expect(names.contains("target.outputs") == (option != "outputWeight=0"))
  }

  @Test("prototypes of mixed images that another method makes, and relations of these")
  func together() throws {
    let all = Self.camix + ["objectives={proca: {target: mixed, temperature: 0.1}, crda: {positions: 40}}"]
    try invariance.keepsTheBits(all, sharesCrops: true)
    let names = Set(try invariance.train(all, ranks: 1).losses)
    #expect(names.isSuperset(of: ["mixed.fused", "mixed.features", "source.lovasz", "relation.crda"]))
  }

  @Test(
    "what does not go together",
    arguments: [
      ("camix", "teacher.refresh=2", "teacher.refresh is 2, but method camix needs the teacher's maps at every visit"),
      ("camix", "labels.source=cache labels.cache=labels", "labels.source is cache, but method camix needs"),
      ("camix", "methodOptions.copies=0", "methodOptions.copies is 0"),
      ("crda", "methodOptions.positions=5000", "methodOptions.positions is 5000"),
      (
        "crda",
        "network.resolution=context-only network.contextScale=1 featureDistance.weight=0 crop.size=64x32 "
          + "methodOptions.positions=4096", "methodOptions.positions is 4096, but crop.size 64x32"
      ),
      ("proca", "methodOptions.target=mixed", "methodOptions.target is mixed, but host adversarial has no such pass"),
      ("dacs", "objectives={proca: {}}", "objectives.proca.target is target, but host self-training has no such pass"),
      ("source-only", "objectives={camix: {}}", "objectives.camix hangs on the pass mixed"),
    ])
  func refusals(method: String, settings: String, words: String) throws {
    let overrides = settings.contains("{") ? [settings] : settings.split(separator: " ").map(String.init)
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let failure = try #require(throws: Failure.self) {
      try Recipe.read(
        root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: ["method=\(method)"] + overrides,
        environment: [:], catalogue: .standard)
    }
    #expect(failure.status == .badData && "\(failure)".contains(words), "\(failure)")
  }
}
