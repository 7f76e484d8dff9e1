// Unit checks of CRDA's specification: relations of two vectors, scale, and what has no influence.

import Autograd
import Kernels
import Methods
import Support
import Tensors
import TestSupport
import Testing

@Suite("CRDA checks") struct CRDAChecks {
  private func loss(
    _ student: [Float], _ teacher: [Float], _ relation: VectorRelation = .cosine
  ) -> (value: Double, gradient: [Float]) {
    let shape: [Int] = [1, student.count / 2, 2]
    let x = Variable(tracked: Tensor(student, Shape(shape)))
    let term = relationConsistency(
      x, references: Tensor(teacher, Shape(shape)), relation: relation, factor: 1, name: "", soloContext(1))
    return (term.perSample[0], x.gradient?.values ?? [])
  }

  @Test("1, 2: two vectors at right angles, equal, and at 45 degrees")
  func twoVectors() {
    #expect(abs(loss([1, 0, 0, 1], [1, 0, 1, 0]).value - 0.5) < 1e-7)
    #expect(abs(loss([1, 0, 1, 1], [1, 0, 0, 1]).value - 0.25) < 1e-7)
  }

  @Test("3: lengths do not matter; the gradient is 0 too")
  func lengths() {
    let found = loss([5, 10, -15, 5, 20, 5], [1, 2, -3, 1, 4, 1])
    #expect(found.value < 1e-14 && found.gradient.allSatisfy { abs($0) < 1e-8 })
  }

  @Test("4: no vector's gradient goes along it")
  func orthogonality() {
    let vectors = randomTensor([1, 8, 2], seed: 1)
    let gradient = loss(vectors.values, randomTensor([1, 8, 2], seed: 2).values).gradient
    for place in stride(from: 0, to: 16, by: 2) {
      let along = innerProduct(
        doubles(vectors)[place..<place + 2].map { $0 }, gradient[place..<place + 2].map(Double.init))
      #expect(abs(along) < 1e-8)
    }
    #expect(gradient.contains { $0 != 0 })
  }

  @Test("5, 6: a position says nothing about itself")
  func alone() {
    #expect(loss([3, 4], [1, 0]).value < 1e-14)
    let one = relations(Tensor([3, 4, 1, 0], [1, 2, 2]), .cosine).values
    #expect(abs(one[0] - 1) < 1e-7 && abs(one[3] - 1) < 1e-7)
  }

  @Test("6: divergences are not symmetric")
  func divergences() {
    let values = relations(Tensor([Float(3.0.logarithm), 0, 0, 0], [1, 2, 2]), .divergence).values
    #expect(abs(values[1] - 0.143841) < 1e-6 && abs(values[2] - 0.130812) < 1e-6)
    #expect(abs(values[0]) < 1e-7 && abs(values[3]) < 1e-7)
  }

  @Test("each similarity has its published weight unless another is given")
  func weights() {
    var options = RelationConsistencyOptions()
    #expect(options.weight == nil && options.similarity.publishedWeight == 1)
    options.similarity = .crossEntropy
    #expect(options.similarity.publishedWeight == 0.025)
    options.similarity = .divergence
    #expect(options.similarity.publishedWeight == 0.008)
  }
}
