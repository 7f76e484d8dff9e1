// Steps whose numbers have gone wrong: who is left out, what is remembered, and that nothing else changes.

import Collectives
import Foundation
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

  /// Three steps, the middle one with a broken source image.
  private func train(
    ranks: Int, breaks: Bool, _ overrides: [String] = []
  ) throws -> [(StateDigests, [String?], [Double])] {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let recipe = try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides, environment: [:],
      catalogue: .standard)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      var skipped: [String?] = []
      var losses: [Double] = []
      for step in 0..<3 {
        let batch = try experiment.loader.batch(step: step)
        if breaks, step == 1, batch.samples.lowerBound == 0 { batch.sourceImage.sample(0).fill(.nan) }
        let before = try experiment.digests
        let record = try experiment.step.run(batch, step: step)
        skipped.append(record.skipped)
        losses += step == 1 ? [] : record.losses.map(\.value)
        let after = try experiment.digests
        if record.skipped != nil, after.student != before.student { skipped.append("student changed") }
        if record.skipped != nil, after.optimizer != before.optimizer { skipped.append("moments changed") }
      }
      return (try experiment.digests, skipped, losses)
    }
  }

  @Test func aBrokenImageCostsOneStepOnEveryRank() throws {
    let one = try train(ranks: 1, breaks: true)[0]
    #expect(one.1.count == 3 && one.1[0] == nil && one.1[1] != nil && one.1[2] == nil, "\(one.1)")
    let allFinite = one.2.allSatisfy { $0.isFinite }
    #expect(allFinite)
    for rank in try train(ranks: 2, breaks: true) { #expect(rank.0 == one.0 && rank.1 == one.1 && rank.2 == one.2) }
    for layout in [["batch.cropShards=1"], ["batch.cropShards=2"]] {
      for rank in try train(ranks: 4, breaks: true, layout + ["optimizer.shardMoments=true"]) {
        #expect(rank.0 == one.0 && rank.1 == one.1 && rank.2 == one.2, "moments dealt out, \(layout)")
      }
    }
    let whole = try train(ranks: 1, breaks: false)[0]
    #expect(whole.1 == [nil, nil, nil] && whole.0 != one.0)
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
