// Steps whose numbers have gone wrong: who is left out, what is remembered, and that nothing else changes.

import Adaptation
import Collectives
import CollectivesTesting
import Domains
import Foundation
import Recipes
import Support
import Tensors
import Testing
import Training

@Suite(.serialized) struct StepGuardTests {
  private typealias Numbers = (loss: Double, norm: Double)

  private func verdicts(_ stepGuard: StepGuard, _ values: [Numbers], _ more: Numbers...) -> [Bool] {
    (values + more).map {
      stepGuard.judge(losses: [("a", $0.loss / 2), ("b", $0.loss / 2)], gradientNorm: $0.norm) == .use
    }
  }

  /// Values around 1 with a spread of about 0.1.
  private func usual(_ count: Int) -> [Numbers] {
    (0..<count).map { index -> Numbers in
      let place = (Double(index % 3) - 1, Double(index % 5) - 2)
      return (loss: 1 + 0.1 * place.0, norm: 2 + 0.2 * place.1)
    }
  }

  @Test func whatIsNotFiniteIsLeftOutAndCounted() {
    let stepGuard = StepGuard(StepGuard.Options(skipsNonFinite: true))
    #expect(verdicts(stepGuard, [(1, 1), (.nan, 1), (1, .infinity)]) == [true, false, false])
    #expect(stepGuard.skippedInARow == 2 && stepGuard.remembers)
    #expect(
      stepGuard.judge(losses: [("source", -.infinity)], gradientNorm: 1) == .skip("loss source is -inf"))
    #expect(verdicts(stepGuard, [(1e30, 1e30)]) == [true])
    #expect(stepGuard.skippedInARow == 0 && !stepGuard.remembers)
    let strict = StepGuard(StepGuard.Options(skipsNonFinite: false))
    #expect(strict.judge(losses: [], gradientNorm: .nan) == .stop("the gradient's norm is nan"))
    let reason = "the teacher's confidence is nan at 3 pixels"
    #expect(strict.judge(losses: [("mixed", 1)], gradientNorm: 1, brokenPixels: 3) == .stop(reason))
    #expect(stepGuard.judge(losses: [("mixed", 1)], gradientNorm: 1, brokenPixels: 3) == .skip(reason))
  }

  @Test(arguments: [Float.nan, .infinity, -1, 1e30]) func countsOfAFileThatCannotBeAreTakenForNone(_ count: Float) {
    let stepGuard = StepGuard(StepGuard.Options(skipsNonFinite: true, outlier: 4, window: 10))
    for place in 0..<3 { stepGuard.state.pointer[place] = count }
    stepGuard.takeOver()
    #expect(stepGuard.skippedInARow == 0)
    #expect(verdicts(stepGuard, usual(30), (50, 2)).last == false)
  }

  @Test func outliersNeedAFullWindow() {
    let options = StepGuard.Options(skipsNonFinite: true, outlier: 4, window: 10)
    let early = StepGuard(options)
    #expect(verdicts(early, usual(9), (50, 2)) == Array(repeating: true, count: 10))
    let loss = StepGuard(options)
    #expect(verdicts(loss, usual(10), (1.2, 2), (50, 2), (1, 2)).suffix(3) == [true, false, true])
    let norm = StepGuard(options)
    #expect(verdicts(norm, usual(10), (1, 50), (0.001, 0.001)).suffix(2) == [false, true], "small is no outlier")
    let off = StepGuard(StepGuard.Options(skipsNonFinite: true, outlier: 0, window: 10))
    #expect(verdicts(off, usual(10), (1e6, 1e6)).last == true)
  }

  @Test func outliersDoNotEnterTheWindow() {
    let stepGuard = StepGuard(StepGuard.Options(skipsNonFinite: true, outlier: 4, window: 10))
    #expect(verdicts(stepGuard, usual(10), (50, 2), (50, 2), (50, 2)).suffix(3) == [false, false, false])
    #expect(stepGuard.skippedInARow == 3)
  }

  @Test func whatIsRememberedIsAllThatCounts() {
    let options = StepGuard.Options(skipsNonFinite: true, outlier: 1, window: 7)
    let straight = StepGuard(options)
    let odd: [Numbers] = [(1.4, 2), (.nan, 2)]
    let values = usual(23) + odd + usual(9)
    let expected = verdicts(straight, values)
    #expect(expected.contains(false) && expected.contains(true))
    for cut in [3, 7, 12, 24, 25] {
      let first = StepGuard(options)
      let begun = verdicts(first, Array(values.prefix(cut)))
      let second = StepGuard(options)
      second.state.assign(first.state)
      second.takeOver()
      #expect(begun + verdicts(second, Array(values.dropFirst(cut))) == expected, "cut after \(cut)")
    }
  }

  /// What is broken in the middle one of three steps.
  private enum Fault {
    /// The labelled image of a sample of the global batch: losses and gradient are no numbers.
    case image(of: Int)
    /// The gradient alone of a sample, by a pass that itself is in order.
    case gradient(of: Int)
    /// The teacher's weights: all losses and the gradient stay finite, since its pixels have no weight.
    case teacher
  }

  /// What a rank ended with: digests, why steps were left out and what that changed, losses of the other steps.
  private struct Ending: Equatable {
    var digests: StateDigests
    var skipped: [String?] = []
    var losses: [Double] = []
  }

  /// Puts infinity into a sample's gradient while the mixed pass of its micro-batch is under way.
  private final class Spoiler: StepObserver {
    var place: UnsafeMutablePointer<Float>?
    var microBatch = 0
    private var mixed = 0

    func passed(_ pass: ObservedPass) {
      guard pass.name == "mixed" else { return }
      if mixed == microBatch { place?.pointee = .infinity }
      mixed += 1
    }

    func summed(_ gradient: Tensor) {}
  }

  /// Three steps, the middle one with a fault.
  private func train(ranks: Int, _ fault: Fault?, _ overrides: [String] = []) throws -> [Ending] {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      var ending = Ending(digests: try experiment.digests)
      for step in 0..<3 {
        let batches = try experiment.loader.batches(step: step)
        let spoiler = Spoiler()
        if step == 1 { spoil(experiment, batches, fault, spoiler) }
        let before = try experiment.digests
        let record =
          try spoiler.place == nil
          ? experiment.step.run(batches, step: step)
          : TrainingStep(watched(experiment.step.parts, by: spoiler), options(recipe)).run(batches, step: step)
        let after = try experiment.digests
        ending.skipped.append(record.skipped)
        ending.losses += step == 1 ? [] : record.losses.map(\.value)
        if record.skipped != nil, after.student != before.student { ending.skipped.append("student changed") }
        if record.skipped != nil, after.optimizer != before.optimizer { ending.skipped.append("moments changed") }
        ending.digests = after
      }
      return ending
    }
  }

  private func spoil(_ experiment: Experiment, _ batches: [DomainBatch], _ fault: Fault?, _ spoiler: Spoiler) {
    if case .teacher = fault { experiment.teacher?.network.parameters.values.fill(.nan) }
    for batch in batches {
      switch fault {
      case .image(let sample) where batch.samples.contains(sample):
        batch.source?.image.sample(sample - batch.samples.lowerBound).fill(.nan)
      case .gradient(let sample):
        guard batch.samples.contains(sample), let slots = experiment.student.parameters.gradients else { continue }
        spoiler.microBatch = batch.microBatch
        spoiler.place = slots.pointer + (sample - batch.samples.lowerBound) * slots.perSample
      default: continue
      }
    }
  }

  private func options(_ recipe: Recipe) -> StepOptions {
    StepOptions(
      detailWeight: Float(recipe.network.detailWeight), augmentSource: false, stochasticSeed: recipe.seed)
  }

  private func watched(_ parts: StepParts, by observer: any StepObserver) -> StepParts {
    StepParts(
      share: parts.share, student: parts.student, teacher: parts.teacher, host: parts.host,
      objectives: parts.objectives, sites: parts.sites, draws: parts.draws, reduction: parts.reduction,
      teamGradients: parts.teamGradients, overlap: parts.overlap, optimizer: parts.optimizer, shards: parts.shards,
      schedule: parts.schedule, momentum: parts.momentum, stepGuard: parts.stepGuard, observer: observer)
  }

  @Test func aBrokenImageCostsOneStepOnEveryRank() throws {
    let one = try train(ranks: 1, .image(of: 0))[0]
    #expect(one.skipped.count == 3 && one.skipped[0] == nil && one.skipped[1] != nil && one.skipped[2] == nil)
    #expect(one.losses.allSatisfy { $0.isFinite })
    #expect(try train(ranks: 2, .image(of: 0)) == [one, one])
    for layout in [["batch.cropShards=1"], ["batch.cropShards=2"]] {
      let many = try train(ranks: 4, .image(of: 0), layout + ["optimizer.shardMoments=true"])
      #expect(many == Array(repeating: one, count: 4), "moments dealt out, \(layout)")
    }
    let whole = try train(ranks: 1, nil)[0]
    #expect(whole.skipped == [nil, nil, nil] && whole.digests != one.digests)
  }

  /// Every step from then on is left out, with the number of pixels of all ranks and micro-batches.
  @Test func aBrokenTeacherIsNoticedOnEveryRank() throws {
    for settings in [["batch.global=4"], ["batch.global=8", "batch.accumulate=2"]] {
      let one = try train(ranks: 1, .teacher, settings)[0]
      let reasons = one.skipped.compactMap(\.self)
      #expect(one.skipped.count == 3 && one.skipped[0] == nil && reasons.count == 2, "\(one.skipped)")
      #expect(reasons.allSatisfy { $0.hasPrefix("the teacher's confidence is nan at ") }, "\(reasons)")
      for (ranks, shards) in [(2, 1), (4, 2)] {
        let many = try train(ranks: ranks, .teacher, settings + ["batch.cropShards=\(shards)"])
        #expect(many.allSatisfy { $0.skipped == one.skipped && $0.digests.student == one.digests.student })
      }
    }
  }

  /// Of either micro-batch: what the other one has added goes with it.
  @Test(arguments: [1, 6], [false, true]) func aFaultInAMicroBatchCostsTheStepOnRanksThatShareCrops(
    sample: Int, gradientAlone: Bool
  ) throws {
    let fault = gradientAlone ? Fault.gradient(of: sample) : .image(of: sample)
    let settings = ["batch.global=8", "batch.accumulate=2"]
    let one = try train(ranks: 1, fault, settings)[0]
    #expect(one.skipped.count == 3 && one.skipped[0] == nil && one.skipped[2] == nil, "\(one.skipped)")
    #expect(one.skipped[1] == (gradientAlone ? "the gradient's norm is inf" : "loss source.fused is nan"))
    for (ranks, shards) in [(2, 1), (2, 2), (4, 2), (8, 4)] {
      let many = try train(ranks: ranks, fault, settings + ["batch.cropShards=\(shards)"])
      #expect(many == Array(repeating: one, count: ranks), "\(ranks) ranks, \(shards) share crops")
    }
    if !gradientAlone {
      let dealt = ["batch.cropShards=2", "optimizer.shardMoments=true"]
      #expect(try train(ranks: 4, fault, settings + dealt) == Array(repeating: one, count: 4))
    }
    #expect(try train(ranks: 1, nil, settings)[0].digests != one.digests)
  }
}

@Suite struct BatchRuleTests {
  @Test func rulesAreOffByDefault() throws {
    let plain = try recipe(minimal, "batch.global=16")
    #expect(plain.scaledLearningRate == plain.optimizer.learningRate && plain.scaledMomentum == plain.teacher.momentum)
    #expect(plain.batchRuleNote == nil)
  }

  @Test func ratesAndMomentumFollowTheBatch() throws {
    let linear = try recipe(
      minimal, "batch.global=8", "optimizer.batchRule=linear", "optimizer.learningRate=1e-4",
      "teacher.momentumRule=power", "teacher.momentum=0.99")
    #expect(linear.scaledLearningRate == 4e-4 && linear.learningRate.baseRate == 4e-4)
    #expect(abs(linear.scaledMomentum - 0.99 * 0.99 * 0.99 * 0.99) < 1e-15)
    #expect(linear.batchRuleNote?.contains("learning rate 0.0001 -> 0.0004") == true)
    let root = try recipe(minimal, "batch.global=8", "optimizer.batchRule=sqrt", "optimizer.referenceBatch=4")
    #expect(root.scaledLearningRate == root.optimizer.learningRate * 2.0.squareRoot())
    #expect(root.scaledMomentum == root.teacher.momentum)
  }

  @Test func theReferenceBatchIsLeftAlone() throws {
    let same = try recipe(minimal, "batch.global=2", "optimizer.batchRule=linear", "teacher.momentumRule=power")
    #expect(same.scaledLearningRate == same.optimizer.learningRate && same.batchRuleNote == nil)
    #expect(abs(same.scaledMomentum - same.teacher.momentum) < 1e-16)
  }
}

@Suite struct StragglerTests {
  @Test func theSlowestRankIsNamedOnAllRanks() throws {
    let found = try LoopbackCommunicator.run(ranks: 4) { communicator in
      try Straggler([1.0, 1.5, 2.5, 1.0][communicator.rank], on: communicator)
    }
    #expect(found.allSatisfy { $0.rank == 2 && abs($0.seconds - 2.5) < 1e-6 && abs($0.ratio - 2.5 / 1.5) < 1e-6 })
    #expect(Straggler([0, 0]).ratio == 1)
  }
}
