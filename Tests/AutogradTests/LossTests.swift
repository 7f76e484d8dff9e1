// Losses: their values by hand, their gradients by central differences, and their denominators.

import Autograd
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct LossTests {
  private static let labels = LabelMap(
    samples: 2, height: 6, width: 4,
    values: (0..<48).map { (pixel: Int) -> UInt8 in pixel % 7 == 3 ? 255 : UInt8((pixel * 5 + pixel / 9) % 3) })
  private static let weights = Tensor((0..<48).map { $0 % 5 == 0 ? 0 : Float($0 % 4) / 4 }, [2, 6, 4])

  /// Loss and gradient at given logits.
  private static func loss(
    _ logits: Tensor, labels: LabelMap, weights: Tensor?, factor: Float, globalBatch: Int? = nil
  ) -> (term: LossTerm, gradient: Tensor?) {
    let tape = Tape()
    var context = soloContext(logits.samples, tape: tape)
    context.globalBatch = globalBatch ?? logits.samples
    let x = Variable(tracked: logits)
    let term = crossEntropy(x, labels: labels, weights: weights, factor: factor, name: "loss", context)
    tape.walkBack()
    return (term, x.gradient)
  }

  @Test func denominatorIsThatOfTheGlobalBatch() throws {
    let logits = randomTensor([2, 6, 4, 3], seed: 1)
    let own = LossTests.loss(logits, labels: LossTests.labels, weights: nil, factor: 1)
    let part = LossTests.loss(logits, labels: LossTests.labels, weights: nil, factor: 1, globalBatch: 8)
    for (first, second) in zip(own.term.perSample, part.term.perSample) { #expect(first == 4 * second) }
    let gradients = try (#require(own.gradient).values, #require(part.gradient).values)
    #expect(zip(gradients.0, gradients.1).allSatisfy { $0 == 4 * $1 })
  }

  @Test func theLossOfAStepIsTheMeanOverMicroBatches() throws {
    let tape = Tape()
    var context = soloContext(2, tape: tape)
    context.microBatches = 4
    let x = Variable(tracked: randomTensor([2, 6, 4, 3], seed: 1))
    let part = crossEntropy(x, labels: LossTests.labels, weights: nil, factor: 1, name: "loss", context)
    tape.walkBack()
    let own = LossTests.loss(x.value, labels: LossTests.labels, weights: nil, factor: 1)
    for (first, second) in zip(own.term.perSample, part.perSample) { #expect(first == 4 * second) }
    let gradients = try (#require(own.gradient).values, #require(x.gradient).values)
    #expect(zip(gradients.0, gradients.1).allSatisfy { $0 == 4 * $1 })
    let sum = LossTerm.added(LossTerm.added([], [part]), [part])
    #expect(sum.map(\.name) == ["loss"] && sum[0].perSample == part.perSample.map { 2 * $0 })
  }

  @Test func valueIsTheWeightedMeanOfLogarithms() {
    let logits = randomTensor([2, 6, 4, 3], seed: 2)
    let term = LossTests.loss(logits, labels: LossTests.labels, weights: LossTests.weights, factor: 0.9).term
    let scores = doubles(logits)
    let weights = doubles(LossTests.weights)
    for sample in 0..<2 {
      var sum = 0.0
      for pixel in sample * 24..<(sample + 1) * 24 where LossTests.labels.values[pixel] != 255 {
        let row = scores[pixel * 3..<pixel * 3 + 3]
        let normaliser = log(row.reduce(0) { $0 + exp($1) })
        sum += weights[pixel] * (normaliser - scores[pixel * 3 + Int(LossTests.labels.values[pixel])])
      }
      #expect(abs(term.perSample[sample] - 0.9 * sum / 48) < 1e-6 * sum)
    }
  }

  @Test(arguments: [(6, 4), (3, 2), (2, 3)], [false, true])
  func crossEntropyGradient(size: (height: Int, width: Int), isWeighted: Bool) throws {
    let weights = isWeighted ? LossTests.weights : nil
    let shape: Shape = [2, size.height, size.width, 3]
    let logits = randomTensor(shape, seed: 3)
    let gradient = try #require(
      LossTests.loss(logits, labels: LossTests.labels, weights: weights, factor: 0.7).gradient)
    let error = directionalError(
      at: doubles(logits), direction: doubles(randomTensor(shape, seed: 4)), gradient: doubles(gradient), step: 1e-2
    ) { point in
      LossTests.loss(
        Tensor(point.map { Float($0) }, shape), labels: LossTests.labels, weights: weights, factor: 0.7
      ).term.perSample.reduce(0, +)
    }
    #expect(error < 1e-3)
  }

  @Test func constantLogitsHaveALossButNoGradient() {
    let x = Variable(constant: randomTensor([2, 6, 4, 3], seed: 5))
    let tape = Tape()
    let term = crossEntropy(
      x, labels: LossTests.labels, weights: nil, factor: 1, name: "loss", soloContext(2, tape: tape))
    #expect(term.perSample.allSatisfy { $0 > 0 } && tape.recorded == 0)
  }

  @Test func featureDistanceGradient() throws {
    let shape: Shape = [2, 3, 2, 5]
    let (feature, reference) = (randomTensor(shape, seed: 6), randomTensor(shape, seed: 7))
    let cells: [UInt8] = [1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1]
    func term(_ x: Variable) -> LossTerm {
      featureDistance(x, reference: reference, cells: cells, globalCells: 6, factor: 0.5, name: "distance")
    }
    let x = Variable(tracked: feature)
    _ = term(x)
    let error = directionalError(
      at: doubles(feature), direction: doubles(randomTensor(shape, seed: 8)),
      gradient: doubles(try #require(x.gradient)), step: 1e-2
    ) { point in term(Variable(constant: Tensor(point.map { Float($0) }, shape))).perSample.reduce(0, +) }
    #expect(error < 1e-3)
  }

  @Test func withoutCellsTheDistanceIsZeroAndHasNoGradient() {
    let x = Variable(tracked: randomTensor([2, 2, 2, 4], seed: 9))
    let term = featureDistance(
      x, reference: Tensor(zeros: [2, 2, 2, 4]), cells: [UInt8](repeating: 0, count: 8), globalCells: 0, factor: 1,
      name: "distance")
    #expect(term.perSample == [0, 0] && x.gradient == nil)
  }
}
