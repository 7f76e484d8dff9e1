// Terms that depend on an order over the batch of all ranks: naive twins, and equal bits on any number of ranks.

import Autograd
import Collectives
import CollectivesTesting
import Tensors
import TestSupport
import Testing

@Suite struct OrderTermTests {
  private static let shape: Shape = [4, 3, 4, 5]
  private static let logits = randomTensor(shape, seed: 21, scale: 2)
  /// Class 4 occurs in the last image only, and the second image has no label.
  private static let labels = LabelMap(
    samples: 4, height: 3, width: 4,
    values: (0..<48).map { (pixel: Int) -> UInt8 in
      if pixel == 47 { return 4 }
      return pixel / 12 == 1 || pixel % 7 == 3 ? 255 : UInt8(pixel * 5 % 4)
    })

  private typealias Term = @Sendable (Variable, LabelMap, ForwardContext) throws -> LossTerm

  private static let terms: [Term] = [
    { try lovaszSoftmax($0, labels: $1, scope: .image, factor: 0.75, name: "", $2) },
    { try lovaszSoftmax($0, labels: $1, scope: .batch, factor: 0.75, name: "", $2) },
    { try hardPixelCrossEntropy($0, labels: $1, threshold: 0.9, kept: 3, factor: 0.75, name: "", $2) },
    { try hardPixelCrossEntropy($0, labels: $1, threshold: 0.01, kept: 9, factor: 0.75, name: "", $2) },
  ]

  /// Contributions and gradients of all samples.
  private static func found(_ term: @escaping Term, ranks: Int) throws -> (terms: [UInt64], gradient: [UInt32]) {
    let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let count = 4 / ranks
      let samples = communicator.rank * count..<(communicator.rank + 1) * count
      let tape = Tape()
      let x = Variable(tracked: logits.samples(samples).copy())
      let own = LabelMap(stacking: samples.map { labels.sample($0) })
      let loss = try term(
        x, own,
        ForwardContext(
          tape: tape, normalization: .batch, communicator: communicator, globalBatch: 4,
          firstSample: samples.lowerBound))
      tape.walkBack()
      return (loss.perSample.map(\.bitPattern), (x.gradient?.values ?? []).map(\.bitPattern))
    }
    return (parts.flatMap { $0.0 }, parts.flatMap { $0.1 })
  }

  @Test(arguments: 0..<4) func ranksMakeTheSameBits(index: Int) throws {
    let one = try OrderTermTests.found(OrderTermTests.terms[index], ranks: 1)
    #expect(one.gradient.count == OrderTermTests.shape.count && one.gradient.contains { $0 << 1 != 0 })
    for ranks in [2, 4] {
      let many = try OrderTermTests.found(OrderTermTests.terms[index], ranks: ranks)
      #expect(many == one, "\(ranks) ranks")
    }
  }

  @Test func twins() throws {
    let (x, scores) = (Variable(constant: OrderTermTests.logits), doubles(OrderTermTests.logits))
    let (labels, context) = (OrderTermTests.labels, soloContext(4))
    let batch = try lovaszSoftmax(x, labels: labels, scope: .batch, factor: 1, name: "", context)
    let twin = naiveLovasz(scores, labels: labels.values, classes: 5)
    #expect(abs(batch.perSample.reduce(0, +) - twin) < 1e-6)
    let image = try lovaszSoftmax(x, labels: labels, scope: .image, factor: 1, name: "", context)
    for sample in 0..<4 {
      let own = naiveLovasz(
        Array(scores[sample * 60..<(sample + 1) * 60]), labels: labels.sample(sample).values, classes: 5)
      #expect(abs(image.perSample[sample] - own / 4) < 1e-6)
    }
    for (threshold, kept) in [(Float(0.9), 3), (0.01, 9), (0.01, 1000), (0.5, 1)] {
      let hard = try hardPixelCrossEntropy(
        x, labels: labels, threshold: threshold, kept: kept, factor: 1, name: "", context)
      let twin = naiveHardPixels(
        scores, labels: labels.values, classes: 5, threshold: Double(threshold), kept: kept)
      #expect(abs(hard.perSample.reduce(0, +) - twin) < 1e-5 * max(1, twin), "threshold \(threshold), \(kept) kept")
    }
  }
}
