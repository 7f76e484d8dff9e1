// Relations between vectors of an image: a naive twin in Double, gradients, equal bits whoever holds the samples.

import Autograd
import Collectives
import CollectivesTesting
import Kernels
import Support
import Tensors
import TestSupport
import Testing

@Suite struct RelationTermTests {
  private static let vectors = randomTensor([4, 9, 5], seed: 1, scale: 2)
  private static let references = randomTensor([4, 9, 5], seed: 2, scale: 2)
  private static let all: [VectorRelation] = [.cosine, .crossEntropy, .divergence]

  /// Relation of vector i with vector j.
  private func twin(_ i: [Double], _ j: [Double], _ relation: VectorRelation) -> Double {
    func logarithms(_ values: [Double]) -> [Double] {
      let sum = values.reduce(0.0) { $0 + $1.exponential }.logarithm
      return values.map { $0 - sum }
    }
    let (first, second) = (logarithms(i), logarithms(j))
    let p = second.map(\.exponential)
    switch relation {
    case .cosine: return innerProduct(i, j) / (innerProduct(i, i) * innerProduct(j, j)).squareRoot()
    case .crossEntropy: return -innerProduct(p, first)
    case .divergence: return innerProduct(p, zip(second, first).map(-))
    }
  }

  private func rows(_ tensor: Tensor, _ sample: Int) -> [[Double]] {
    let values = doubles(tensor.samples(sample..<sample + 1))
    return (0..<9).map { Array(values[$0 * 5..<($0 + 1) * 5]) }
  }

  private static func term(
    _ x: Variable, _ relation: VectorRelation, _ samples: Range<Int> = 0..<4, context: ForwardContext
  ) -> LossTerm {
    relationConsistency(
      x, references: references.samples(samples).copy(), relation: relation, factor: 0.3, name: "", context)
  }

  @Test(arguments: all) func twins(_ relation: VectorRelation) {
    let found = relations(Self.vectors, relation)
    let term = Self.term(Variable(constant: Self.vectors), relation, context: soloContext(4))
    for sample in 0..<4 {
      let (own, other) = (rows(Self.vectors, sample), rows(Self.references, sample))
      let table = own.map { i in own.map { twin(i, $0, relation) } }
      let expected = table.flatMap { $0 }
      #expect(relativeError(found.samples(sample..<sample + 1).copy(), expected) < 1e-6)
      let apart = other.indices.flatMap { i in
        other.indices.map { table[i][$0] - twin(other[i], other[$0], relation) }
      }
      #expect(abs(term.perSample[sample] - 0.3 * innerProduct(apart, apart) / (4 * 81)) < 1e-6)
    }
  }

  @Test(arguments: all) func gradients(_ relation: VectorRelation) throws {
    // Along this direction a cross-entropy hardly changes: curvature and rounding weigh more than elsewhere.
    try expectTermGradient(at: Self.vectors, tolerance: 3e-3, step: 4e-3) { Self.term($0, relation, context: $1) }
  }

  @Test(arguments: all) func ranksMakeTheSameBits(_ relation: VectorRelation) throws {
    func found(_ ranks: Int) throws -> ([UInt64], [UInt32]) {
      let parts = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 4 / ranks
        let samples = communicator.rank * count..<(communicator.rank + 1) * count
        let x = Variable(tracked: Self.vectors.samples(samples).copy())
        let term = Self.term(
          x, relation, samples,
          context: ForwardContext(
            tape: Tape(), normalization: .batch, communicator: communicator, globalBatch: 4,
            firstSample: samples.lowerBound))
        return (term.perSample.map(\.bitPattern), (x.gradient?.values ?? []).map(\.bitPattern))
      }
      return (parts.flatMap { $0.0 }, parts.flatMap { $0.1 })
    }
    let one = try found(1)
    #expect(one.1.count == Self.vectors.count)
    for ranks in [2, 4] { #expect(try found(ranks) == one) }
  }

  @Test func aVectorOfZerosIsNoObstacle() throws {
    let holed = Tensor([Float](repeating: 0, count: 5) + Self.vectors.values[5...], Self.vectors.shape)
    let x = Variable(tracked: holed)
    let term = Self.term(x, .cosine, context: soloContext(4))
    let gradient = try #require(x.gradient).values
    #expect(term.perSample.allSatisfy { $0.isFinite })
    #expect(gradient[..<5].allSatisfy { $0 == 0 } && gradient[5...].allSatisfy { $0.isFinite && $0 != 0 })
  }
}
