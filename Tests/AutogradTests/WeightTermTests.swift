// Losses in which weights take part: those of pixels with a gradient of their own, and those of networks.

import Autograd
import Collectives
import CollectivesTesting
import Kernels
import Support
import Tensors
import TestSupport
import Testing

@Suite struct WeightTermTests {
  @Test func weightsOfElementsTakeTheElementsLosses() throws {
    let map = randomTensor([2, 3, 4, 1], seed: 1, scale: 3)
    let weights = Tensor(randomTensor([2, 3, 4, 1], seed: 2).values.map { abs($0) }, [2, 3, 4, 1])
    func term(_ map: Variable, _ weights: Variable, _ context: ForwardContext) -> LossTerm {
      binaryCrossEntropy(map, towards: 1, trainedWeights: weights, factor: 0.7, name: "", context)
    }
    try expectTermGradient(at: map) { term($0, Variable(constant: weights), $1) }
    try expectTermGradient(at: weights) { term(Variable(constant: map), $0, $1) }
    let twin: [Double] = zip(doubles(map), doubles(weights)).map { x, weight in
      weight * ((1 + x.exponential).logarithm - x)
    }
    let found = term(Variable(constant: map), Variable(constant: weights), soloContext(2))
    let expected = 0.7 * twin.reduce(0, +) / 24
    #expect(abs(found.perSample.reduce(0, +) - expected) < 1e-6)
  }

  private func heads() -> [[Parameter]] {
    (0..<2).map { head in
      [[4, 3, 3, 3], [4]].enumerated().map {
        randomParameter($1, samples: 2, seed: UInt64(10 * head + $0), offset: 0.3)
      }
    }
  }

  /// The cosine of two networks as one vector each, in Double.
  private func cosine(_ heads: [[Parameter]]) -> Double {
    let vectors = heads.map { $0.flatMap { doubles($0.value) } }
    let lengths = vectors.map { innerProduct($0, $0).squareRoot() }
    return innerProduct(vectors[0], vectors[1]) / (lengths[0] * lengths[1])
  }

  @Test func theCosineOfWeightsMovesBothNetworks() {
    let heads = heads()
    let tape = Tape()
    let term = weightCosine(heads[0], heads[1], factor: 0.6, name: "", samples: 2, soloContext(2, tape: tape))
    tape.walkBack()
    #expect(abs(term.perSample[0] - 0.6 * (cosine(heads) + 1)) < 1e-6 && term.perSample[1] == 0)
    for parameter in heads.joined() {
      let others = parameter.slots?.values(1) ?? [.nan]
      #expect(others.allSatisfy { $0 == 0 })
      let (point, direction) = (parameter.value.copy(), doubles(randomTensor(parameter.value.shape, seed: 5)))
      func moved(_ side: Double) -> Double {
        parameter.value.assign(
          Tensor(zip(doubles(point), direction).map { Float($0 + side * 1e-2 * $1) }, point.shape))
        defer { parameter.value.assign(point) }
        return 0.6 * cosine(heads)
      }
      let measured = (moved(1) - moved(-1)) / 2e-2
      let claimed = innerProduct((parameter.slots?.values(0) ?? []).map(Double.init), direction)
      #expect(abs(measured - claimed) < 1e-3 * abs(measured), "\(parameter.name): \(claimed), not \(measured)")
    }
  }

  /// It belongs to the first sample of the first micro-batch, wherever that is.
  @Test func onlyTheFirstSampleHasTheCosine() throws {
    for first in 0..<2 {
      let heads = heads()
      let tape = Tape()
      let context = ForwardContext(
        tape: tape, normalization: .batch, communicator: SoloCommunicator(), globalBatch: 4, firstSample: 2 * first)
      let term = weightCosine(heads[0], heads[1], factor: 1, name: "", samples: 2, context)
      tape.walkBack()
      let moves = heads.joined().contains { $0.slots?.values(0).contains { $0 != 0 } == true }
      #expect((term.perSample[0] != 0) == (first == 0) && moves == (first == 0))
    }
  }

  @Test func weightsWithoutADirectionStay() {
    let heads = heads()
    for parameter in heads[0] { parameter.value.fill(0) }
    let tape = Tape()
    let term = weightCosine(heads[0], heads[1], factor: 1, name: "", samples: 2, soloContext(2, tape: tape))
    tape.walkBack()
    let stays = heads.joined().allSatisfy { $0.slots?.values(0).allSatisfy { $0 == 0 } == true }
    #expect(term.perSample == [1, 0] && stays)
  }
}
