// Methods with discriminators, and their relatives without, as whole steps: equal bits however they are cut, nothing
// left of a skipped step, and what is said to learn learns.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Domains
import Foundation
import Kernels
import Methods
import Networks
import Recipes
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite(.serialized) struct AdversarialTests {
  /// HRDA's two crops, small discriminators, weights that tell.
  private static let hrda = [
    "methodOptions.weight=0.1", "methodOptions.discriminator.width=4", "methodOptions.discriminator.learningRate=1e-3",
  ]
  /// One resolution with an auxiliary head.
  private static let levels = [
    "network.resolution=context-only", "network.auxiliary.weight=0.1", "network.auxiliary.stage=3",
    "featureDistance.weight=0", "crop.size=64x64", "methodOptions.auxiliaryWeight=0.1", "optimizer.name=sgd",
    "optimizer.learningRate=1e-3", "loss.normalisation=labelled", "network.contextScale=1",
  ]

  private static func recipe(_ method: String, _ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: ["method=\(method)"] + overrides,
      environment: [:], catalogue: .standard)
  }

  /// State digests after some steps, by rank; `spoil` may change what a step works with.
  private static func train(
    _ method: String, _ overrides: [String], ranks: Int, steps: Int = 3,
    spoil: @escaping @Sendable (Experiment, [DomainBatch], Int) -> Void = { _, _, _ in }
  ) throws -> [Ending] {
    let recipe = try recipe(method, overrides)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      var ending = Ending(digests: try experiment.digests)
      for step in 0..<steps {
        let batches = try experiment.loader.batches(step: step)
        spoil(experiment, batches, step)
        let before = try experiment.digests
        let record = try experiment.step.run(batches, step: step)
        ending.digests = try experiment.digests
        ending.skipped.append(record.skipped)
        if record.skipped != nil, ending.digests != before { ending.skipped.append("something moved") }
        ending.losses = Dictionary(uniqueKeysWithValues: record.losses)
      }
      return ending
    }
  }

  private struct Ending: Equatable {
    var digests: StateDigests
    var skipped: [String?] = []
    var losses: [String: Double] = [:]
  }

  @Test(arguments: [("advent", hrda), ("advent", hrda + levels), ("adaptsegnet", hrda + levels)])
  func ranksKeepTheBits(method: String, settings: [String]) throws {
    let one = try AdversarialTests.train(method, settings, ranks: 1, steps: 2)[0]
    let begun = try AdversarialTests.train(method, settings, ranks: 1, steps: 0)[0]
    #expect(one.digests.student != begun.digests.student && one.digests.objective != begun.digests.objective)
    for ranks in [2, 4] {
      #expect(
        try AdversarialTests.train(method, settings, ranks: ranks, steps: 2) == Array(repeating: one, count: ranks))
    }
    let dealt = settings + ["optimizer.shardMoments=true"]
    #expect(try AdversarialTests.train(method, dealt, ranks: 4, steps: 2) == Array(repeating: one, count: 4))
    let two = try AdversarialTests.train(method, settings + ["batch.accumulate=2"], ranks: 1, steps: 2)[0]
    #expect(try AdversarialTests.train(method, settings + ["batch.accumulate=2"], ranks: 2, steps: 2) == [two, two])
    #expect(two.digests != one.digests)
  }

  @Test func sharedCropsKeepTheBits() throws {
    let settings = AdversarialTests.hrda
    let one = try AdversarialTests.train("advent", settings, ranks: 1, steps: 2)[0]
    #expect(Set(one.losses.keys).isSuperset(of: ["target.adversarial.main", "source.discriminator.main"]))
    for (ranks, shards) in [(2, 2), (4, 2), (4, 4)] {
      let many = try AdversarialTests.train("advent", settings + ["batch.cropShards=\(shards)"], ranks: ranks, steps: 2)
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks, \(shards) share crops")
    }
    let two = settings + ["batch.accumulate=2"]
    let both = try AdversarialTests.train("advent", two, ranks: 1, steps: 2)[0]
    let dealt = two + ["batch.cropShards=2", "optimizer.shardMoments=true"]
    #expect(try AdversarialTests.train("advent", dealt, ranks: 4, steps: 2) == Array(repeating: both, count: 4))
  }

  @Test("sums of companions are the same whatever the recipe's reduction") func reductions() throws {
    let one = try AdversarialTests.train("adaptsegnet", AdversarialTests.hrda, ranks: 2, steps: 1)[0]
    let other = try AdversarialTests.train(
      "adaptsegnet", AdversarialTests.hrda + ["reduction=bf16"], ranks: 2, steps: 1)[0]
    #expect(one.digests.objective == other.digests.objective && one.digests.student != other.digests.student)
  }

  @Test("entropy, ranked or not, with a class prior") func entropy() throws {
    let settings = [
      "methodOptions.weight=0.1", "methodOptions.classPrior.weight=0.1", "methodOptions.classPrior.share=1",
      "rareClassSampling.enabled=false",
    ]
    let one = try AdversarialTests.train("minent", settings, ranks: 1)[0]
    #expect(one.digests.objective == nil)
    #expect(one.losses["target.entropy.main"].map { $0 > 0.05 && $0 < 0.1 } == true)
    #expect(one.losses["target.class-prior.main"].map { $0 > 0 && $0 < 0.1 } == true)
    for (ranks, shards) in [(4, 1), (4, 2)] {
      let many = try AdversarialTests.train("minent", settings + ["batch.cropShards=\(shards)"], ranks: ranks)
      #expect(many == Array(repeating: one, count: ranks))
    }
    let ranked = settings + ["methodOptions.share=0.3"]
    let certain = try AdversarialTests.train("minent", ranked, ranks: 1)[0]
    #expect(certain.losses["target.entropy.main"].map { $0 > 0.05 && $0 <= 0.1 } == true)
    #expect(certain.digests != one.digests)
    #expect(try AdversarialTests.train("minent", ranked, ranks: 2) == [certain, certain])
  }

  @Test("class pixels that only the prior needs do not decide which images are drawn") func uniformSampling() throws {
    let settings = ["methodOptions.classPrior.weight=0.1"]
    let uniform = try AdversarialTests.recipe("minent", settings + ["rareClassSampling.enabled=false"])
    for (recipe, isRare) in [(uniform, false), (try AdversarialTests.recipe("minent", settings), true)] {
      let experiment = try Experiment(recipe, on: SoloCommunicator())
      let places = try experiment.loader.batch(step: 0).source?.provenance ?? []
      #expect(places.count == 4 && places.allSatisfy { ($0.rareClass != nil) == isRare })
    }
  }

  @Test("weights of 0 leave the host alone, with nothing to keep") func off() throws {
    let none = ["methodOptions.weight=0", "methodOptions.auxiliaryWeight=0"]
    let host = try AdversarialTests.train("adaptsegnet", none, ranks: 1)[0]
    #expect(host.digests.objective == nil && !host.losses.keys.contains { $0.hasPrefix("target.") })
    #expect(host.digests.student == (try AdversarialTests.train("minent", none, ranks: 1)[0]).digests.student)
  }

  @Test("a step that is left out moves neither companions nor moments") func skipped() throws {
    let settings = AdversarialTests.hrda
    let clean = try AdversarialTests.train("advent", settings, ranks: 1)[0]
    func broken(_ ranks: Int, _ more: [String] = []) throws -> [Ending] {
      try AdversarialTests.train("advent", settings + more, ranks: ranks) { _, batches, step in
        guard step == 1 else { return }
        for batch in batches where batch.samples.contains(0) { batch.target?.image.sample(0).fill(.nan) }
      }
    }
    let one = try broken(1)[0]
    #expect(one.skipped.count == 3 && one.skipped[0] == nil && one.skipped[1] != nil && one.skipped[2] == nil)
    #expect(one.digests != clean.digests)
    #expect(try broken(2) == [one, one])
    #expect(try broken(4, ["batch.cropShards=2"]) == Array(repeating: one, count: 4))
  }

  /// Puts infinity into the gradient of a companion, while all losses and the student's gradient stay as they are.
  private final class Spoiler: StepObserver {
    let slots: Tensor?

    init(_ slots: Tensor?) { self.slots = slots }

    func passed(_ pass: ObservedPass) { if pass.name == "target" { slots?.pointer[0] = .infinity } }
    func summed(_ gradient: Tensor) {}
  }

  @Test("a companion whose gradient is no number costs the step on every rank") func brokenCompanion() throws {
    let recipe = try AdversarialTests.recipe("advent", AdversarialTests.hrda)
    for ranks in [1, 2] {
      let endings = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let experiment = try Experiment(recipe, on: communicator)
        let (parts, before) = (experiment.step.parts, try experiment.digests)
        let slots = parts.objectives.last?.companions.first?.parameters.gradients
        let step = TrainingStep(
          StepParts(
            share: parts.share, student: parts.student, teacher: nil, host: parts.host, objectives: parts.objectives,
            companions: parts.companions, sites: parts.sites, draws: parts.draws, reduction: parts.reduction,
            optimizer: parts.optimizer, schedule: parts.schedule, momentum: parts.momentum, stepGuard: parts.stepGuard,
            observer: Spoiler(communicator.rank == ranks - 1 ? slots : nil)),
          StepOptions(detailWeight: 0.1, augmentSource: false, stochasticSeed: recipe.seed))
        let record = try step.run(try experiment.loader.batches(step: 0), step: 0)
        return (record.skipped, try experiment.digests == before)
      }
      #expect(endings.count == ranks)
      #expect(endings.allSatisfy { $0.0 == "the norm of advent/main's gradient is inf" && $0.1 }, "\(endings)")
    }
  }

  @Test("every parameter of every discriminator gets a gradient within two steps") func allLearn() throws {
    let recipe = try AdversarialTests.recipe("advent", AdversarialTests.hrda + AdversarialTests.levels)
    let experiment = try Experiment(recipe, on: SoloCommunicator())
    let companions = experiment.step.parts.objectives.flatMap(\.companions)
    #expect(companions.map(\.name) == ["main", "auxiliary"])
    let before = companions.map { $0.parameters.official(of: $0.parameters.values) }
    for step in 0..<2 { _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step) }
    for (companion, before) in zip(companions, before) {
      for (old, new) in zip(before, companion.parameters.official(of: companion.parameters.values)) {
        #expect(old.values != new.values, "\(new.name) stays")
      }
      #expect(companion.optimizer.moments.allSatisfy { moment in moment.values.contains { $0 != 0 } })
    }
  }

  @Test(arguments: [
    ("adaptsegnet", "methodOptions.weight=-1", "methodOptions.weight is -1"),
    ("advent", "methodOptions.loss=hinge", "methodOptions.loss is hinge"),
    ("advent", "methodOptions.discriminator.width=0", "methodOptions.discriminator.width is 0"),
    (
      "advent", "network.resolution=context-only crop.size=32x64 featureDistance.weight=0 network.contextScale=1",
      "methodOptions.weight needs a discriminator"
    ),
    ("clan", "seed=1", "network.auxiliary is no second classifier, which method clan needs; use {stage: 4, weight: 1"),
    (
      "minent", "network.resolution=context-only network.auxiliary.weight=1 network.auxiliary.predicts=true",
      "network.auxiliary.predicts is true, but the logits of stage 3 may have another size"
    ),
    ("minent", "methodOptions.share=0", "methodOptions.share is 0"),
    ("minent", "methodOptions.classPrior.share=2", "methodOptions.classPrior.share is 2"),
    ("adaptsegnet", "methodOptions.classPrior.share=0.5", "unknown key methodOptions.classPrior"),
  ])
  func wrongOptionsAreRefused(method: String, settings: String, words: String) throws {
    let settings = settings.split(separator: " ").map(String.init)
    let failure = try #require(throws: Failure.self) { try AdversarialTests.recipe(method, settings) }
    #expect(failure.status == .badData && "\(failure)".contains(words), "\(failure)")
  }
}
