// Contrast of pairs: a naive twin, gradients in both roles, equal bits on any number of ranks, the reference file.

import Autograd
import Collectives
import CollectivesTesting
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing
import Verification

@Suite struct PairContrastTests {
  private static let shape: Shape = [4, 3, 5]
  private static let labels: [UInt8] = [0, 1, 255, 1, 1, 0, 255, 255, 255, 2, 0, 1]
  private static let weights: [Float] = (0..<12).map { Float($0 % 3 + 1) / 3 }
  private static let vectors = Kernels.unitLength(randomTensor(shape, seed: 31), epsilon: 1e-12).output

  private static func term(
    _ x: Variable, all: Tensor, weights: [Float]? = weights, temperature: Float = 0.3, _ context: ForwardContext
  ) throws -> LossTerm {
    try pairContrast(
      x, among: all, labels: labels, weights: weights, temperature: temperature, factor: 0.7, name: "", context)
  }

  /// In Double, pair by pair.
  private static func twin(_ x: [Double], temperature: Double = 0.3) -> Double {
    func score(_ i: Int, _ j: Int) -> Double {
      (0..<5).reduce(0) { $0 + x[i * 5 + $1] * x[j * 5 + $1] } / temperature
    }
    let used = labels.indices.filter { labels[$0] != 255 }
    var sum = 0.0
    for i in used {
      let others = used.filter { labels[$0] != labels[i] }.reduce(0) { $0 + exp(score(i, $1)) }
      let partners = used.filter { labels[$0] == labels[i] && $0 != i }
      for j in partners {
        let pair = Double(weights[i]) * Double(weights[j]) / Double(partners.count)
        sum += pair * (log(exp(score(i, j)) + others) - score(i, j))
      }
    }
    return 0.7 * sum / Double(used.count)
  }

  @Test func valueAndGradientAreTheTwins() throws {
    let tape = Tape()
    let x = Variable(tracked: PairContrastTests.vectors)
    let all = x.value.reshaped([12, 5])
    let found = try PairContrastTests.term(x, all: all, soloContext(4, tape: tape))
    let point = doubles(x.value)
    #expect(abs(found.perSample.reduce(0, +) - PairContrastTests.twin(point)) < 1e-6)
    let direction = doubles(randomTensor(PairContrastTests.shape, seed: 32))
    let error = directionalError(
      at: point, direction: direction, gradient: doubles(try #require(x.gradient))
    ) { PairContrastTests.twin($0) }
    #expect(error < 1e-5)
  }

  @Test func ranksMakeTheSameBits() throws {
    func found(_ ranks: Int) throws -> (terms: [UInt64], gradient: [UInt32]) {
      let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 4 / ranks
        let samples = communicator.rank * count..<(communicator.rank + 1) * count
        let x = Variable(tracked: PairContrastTests.vectors.samples(samples).copy())
        let context = ForwardContext(
          tape: Tape(), normalization: .batch, communicator: communicator, globalBatch: 4,
          firstSample: 4 + samples.lowerBound)
        let loss = try PairContrastTests.term(x, all: PairContrastTests.vectors.reshaped([12, 5]), context)
        return (loss.perSample.map(\.bitPattern), (x.gradient?.values ?? []).map(\.bitPattern))
      }
      return (parts.flatMap { $0.0 }, parts.flatMap { $0.1 })
    }
    let one = try found(1)
    #expect(one.gradient.contains { $0 << 1 != 0 })
    for ranks in [2, 4] { #expect(try found(ranks) == one, "\(ranks) ranks") }
  }

  @Test func withoutPartnersOrVectorsThereIsNoLoss() throws {
    let x = Variable(tracked: randomTensor([2, 1, 4], seed: 33))
    let all = x.value.reshaped([2, 4])
    for labels: [UInt8] in [[0, 1], [255, 255], [0, 255]] {
      let term = try pairContrast(
        x, among: all, labels: labels, temperature: 1, factor: 1, name: "", soloContext(2, tape: Tape()))
      #expect(term.perSample == [0, 0] && x.gradient?.values.allSatisfy { $0 == 0 } != false)
    }
  }

  @Test(.enabled(if: hasSharedFolder, "needs ../shared")) func pixelsOfTheReferenceFile() throws {
    let fixture = try #require(try FixtureFile("methods/04-cluda"))
    let tape = Tape()
    let z = Variable(tracked: try fixture.tensor("single/in/z"))
    let labels = try fixture.labels("single/in/labels")
    let context = soloContext(labels.samples, tape: tape)
    let rows = unitLength(z.reshaped([labels.samples, labels.height * labels.width, z.value.channels]), context)
    let term = try pairContrast(
      rows, among: rows.value.reshaped([labels.values.count, z.value.channels]), labels: labels.values,
      temperature: 1, factor: 1, name: "single", context)
    tape.walkBack()
    let loss = try fixture.timesAllowed([Float(term.perSample.reduce(0, +))], "single/out/loss")
    let gradient = try fixture.timesAllowed(try #require(z.gradient), "single/grad/z")
    #expect(loss <= 1 && gradient <= 1)
  }
}
