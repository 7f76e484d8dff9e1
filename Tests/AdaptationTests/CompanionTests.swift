// Companions: what learns, what lets gradients through, and that ranks agree.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import DataParallel
import Domains
import Networks
import Optimization
import Support
import Tensors
import TestSupport
import Testing

/// An affine map of four channels to one, whose names would decide rates elsewhere.
private struct Scorer {
  let weight: Parameter
  let bias: Parameter

  init(_ registry: ParameterRegistry, _ prefix: String) {
    weight = registry.declare("\(prefix).head.weight", [1, 4], .normal(deviation: 0.5))
    bias = registry.declare("\(prefix).norm.bias", [1], .constant(0.25))
  }

  func callAsFunction(_ x: Variable, _ context: ForwardContext) -> Variable { linear(x, weight, bias, context) }
}

@Suite struct CompanionTests {
  private static func companion(
    _ share: BatchShare, rate: Double = 0.125, seed: UInt64 = 3, owner: String = "toy"
  ) throws -> Companion<Scorer> {
    let setup = ObjectiveSetup(
      configuration: try smallNetwork().configuration, host: .adversarial, seed: seed, scheduledSteps: 10,
      decaySteps: 10, share: share)
    return try Companion(
      owner: owner, name: "scorer", setup, betas: (0.9, 0.99),
      schedule: LearningRateSchedule(baseRate: rate, warmUpSteps: 0, power: 1, totalSteps: 10)
    ) { Scorer($0, $1) }
  }

  /// A step over `global` samples of which this rank holds its share.
  private static func view(_ share: BatchShare) throws -> StepView {
    let image = randomTensor([share.samples.count, 8, 8, 3], seed: 1)
    return try stepView(
      DomainBatch(step: 0, samples: share.samples, source: nil, target: DomainSamples(image: image)), nil, share)
  }

  /// Maps of all samples, `[global, 2, 3, 4]`, and this rank's.
  private static func maps(_ global: Int, _ share: BatchShare? = nil) -> Tensor {
    let all = randomTensor([global, 2, 3, 4], seed: 5)
    return share.map { all.samples($0.samples) } ?? all
  }

  private static func learn(
    _ companion: Companion<Scorer>, _ view: StepView, _ maps: Tensor, factor: Float = 1
  ) throws -> [LossTerm] {
    try companion.learn(view) { scorer, context in
      [
        binaryCrossEntropy(
          scorer(Variable(constant: maps), context), towards: 1, factor: factor, name: "scorer", context)
      ]
    }
  }

  @Test("gradients pass through the frozen network as through a copy, and none stay") func frozen() throws {
    let share = share(of: 2, on: SoloCommunicator())
    let companion = try CompanionTests.companion(share)
    let (weights, bias) = (companion.parameters.values.values.dropLast(), companion.parameters.values.values.last ?? 0)
    let tape = Tape()
    let context = share.context(tape: tape, normalization: .batch)
    let input = Variable(tracked: CompanionTests.maps(2))
    let output = companion.frozen(input, context)
    output.cell?.accumulate(Tensor(repeating: 2, output.value.shape))
    tape.walkBack()
    let expected = (0..<12).flatMap { _ in weights.map { Double(2 * $0) } }
    #expect(relativeError(try #require(input.gradient), expected) < 1e-6)
    #expect(companion.parameters.gradients?.values.allSatisfy { $0 == 0 } == true)
    let first = doubles(input.value).prefix(4)
    #expect(
      abs(Double(output.value.values[0]) - innerProduct(Array(first), weights.map(Double.init)) - Double(bias)) < 1e-6)
  }

  @Test("learning adds the gradient of the mean over the micro-batch, pass after pass") func learning() throws {
    let share = share(of: 3, on: SoloCommunicator())
    let companion = try CompanionTests.companion(share)
    let (view, maps) = (try CompanionTests.view(share), CompanionTests.maps(3))
    let terms = try CompanionTests.learn(companion, view, maps)
    #expect(terms.map(\.name) == ["scorer"] && terms[0].perSample.count == 3)
    let point = doubles(companion.parameters.values)
    let rows = doubles(maps)
    func loss(_ parameters: [Double]) -> Double {
      (0..<18).reduce(0) { sum, row in
        let score = (0..<4).reduce(parameters[4]) { $0 + rows[row * 4 + $1] * parameters[$1] }
        return sum + (1 + (-score).exponential).logarithm / 18
      }
    }
    #expect(abs(terms[0].perSample.reduce(0, +) - loss(point)) < 1e-6)
    _ = try companion.sumGradients(try GradientReduction(on: SoloCommunicator()))
    let gradient = Array(doubles(try #require(companion.parameters.gradients)).prefix(5))
    let error = directionalError(
      at: point, direction: [0.3, -1, 0.5, 0.2, 0.7], gradient: gradient, step: 1e-5, loss)
    #expect(error < 1e-5)

    companion.clearGradients()
    for factor in [Float(0.5), 0.5] { _ = try CompanionTests.learn(companion, view, maps, factor: factor) }
    _ = try companion.sumGradients(try GradientReduction(on: SoloCommunicator()))
    let halves = doubles(try #require(companion.parameters.gradients)).prefix(5)
    #expect(relativeError(halves.map { Float($0) }, gradient) < 1e-6)
  }

  @Test("both networks move together, with one rate whatever the names") func moving() throws {
    let share = share(of: 2, on: SoloCommunicator())
    let companion = try CompanionTests.companion(share)
    let maps = CompanionTests.maps(2)
    let context = share.context(normalization: .running)
    let (before, old) = (companion.parameters.values.copy(), companion.frozen(Variable(constant: maps), context).value)
    _ = try CompanionTests.learn(companion, try CompanionTests.view(share), maps)
    let same = companion.frozen(Variable(constant: maps), context).value
    #expect(same.values == old.values, "nothing moves before the step ends")
    let norm = try companion.sumGradients(try GradientReduction(on: SoloCommunicator()))
    companion.advance(step: 4)
    #expect(norm > 0 && norm.isFinite)
    // The fifth update of Adam with empty moments and 6/10 of the rate.
    let (first, second) = (1 / (1 - 0.9.power(5)), 1 / (1 - 0.99.power(5)))
    let length = 0.125 * 0.6 * (0.1 * first) / (0.01 * second).squareRoot()
    for (moved, start) in zip(companion.parameters.values.values, before.values) {
      #expect(abs(abs(Double(moved - start)) - length) < 1e-4 * length)
    }
    #expect(companion.frozen(Variable(constant: maps), context).value.values != old.values)
  }

  @Test("parameters that are not trained keep their values") func notTrained() throws {
    let share = share(of: 2, on: SoloCommunicator())
    let setup = ObjectiveSetup(
      configuration: try smallNetwork().configuration, host: .adversarial, seed: 1, scheduledSteps: 10, decaySteps: 10,
      share: share)
    let companion = try Companion(
      owner: "toy", name: "scorer", setup, betas: (0.9, 0.99),
      schedule: LearningRateSchedule(baseRate: 0.1, warmUpSteps: 0, power: 1, totalSteps: 10)
    ) { registry, prefix in
      let trained = registry.declare("\(prefix).weight", [1, 4], .normal(deviation: 0.5))
      return (trained, registry.declare("\(prefix).bias", [1], .constant(0.25), isTrained: false))
    }
    #expect(companion.optimizer.slices.map(\.rateFactor) == [1, 0])
    let before = companion.parameters.values.values
    _ = try companion.learn(try CompanionTests.view(share)) { network, context in
      let scores = linear(Variable(constant: CompanionTests.maps(2)), network.0, network.1, context)
      return [binaryCrossEntropy(scores, towards: 1, factor: 1, name: "scorer", context)]
    }
    let norm = try companion.sumGradients(try GradientReduction(on: SoloCommunicator()))
    companion.advance(step: 0)
    let after = companion.parameters.values.values
    #expect(norm > 0 && zip(before, after).map { $0 != $1 } == [true, true, true, true, false])
  }

  @Test("every rank has the bits of one", arguments: [2, 4]) func ranks(count: Int) throws {
    @Sendable func run(_ communicator: any Communicator) throws -> [UInt32] {
      let share = share(of: 8, on: communicator)
      let companion = try CompanionTests.companion(share)
      let (view, reduction) = (try CompanionTests.view(share), try GradientReduction(on: communicator))
      var norms: [Float] = []
      for step in 0..<3 {
        companion.clearGradients()
        _ = try CompanionTests.learn(companion, view, CompanionTests.maps(8, share))
        norms.append(Float(try companion.sumGradients(reduction)))
        companion.advance(step: step)
      }
      return bits(companion.parameters.values.values + companion.optimizer.moments.flatMap(\.values) + norms)
    }
    let one = try run(SoloCommunicator())
    #expect(try LoopbackCommunicator.run(ranks: count) { try run($0) } == Array(repeating: one, count: count))
  }

  @Test("a gradient that is no number has such a norm on every rank, and owners draw apart") func broken() throws {
    let norms = try LoopbackCommunicator.run(ranks: 2) { communicator in
      let part = share(of: 2, on: communicator)
      let companion = try CompanionTests.companion(part)
      let maps = CompanionTests.maps(2, part).copy()
      if communicator.rank == 1 { maps.pointer[0] = .nan }
      _ = try CompanionTests.learn(companion, try CompanionTests.view(part), maps)
      return try companion.sumGradients(try GradientReduction(on: communicator))
    }
    #expect(norms.allSatisfy { !$0.isFinite })
    let whole = share(of: 1, on: SoloCommunicator())
    let others = try CompanionTests.companion(whole, owner: "other").parameters
    #expect(others.values.values.prefix(4) != (try CompanionTests.companion(whole)).parameters.values.values.prefix(4))
    #expect(others.slices.map(\.name) == ["other.scorer.head.weight", "other.scorer.norm.bias"])
  }
}
