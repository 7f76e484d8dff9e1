// Unit checks of DAFormer (Hoyer et al., CVPR 2022) that concern losses: numbers by hand.

import Autograd
import Foundation
import Tensors
import TestSupport
import Testing

@Suite("DAFormer checks, losses") struct DAFormerChecks {
  @Test("4: four pixels, two classes, equal logits, one pixel ignored: 3 ln 2 / 4")
  func ignoredPixelsStayInTheDenominator() throws {
    let labels = LabelMap(height: 2, width: 2, values: [0, 1, 255, 1])
    let tape = Tape()
    let logits = Variable(tracked: Tensor(zeros: [1, 2, 2, 2]))
    let term = crossEntropy(
      logits, labels: labels, weights: Tensor(repeating: 1, [1, 2, 2]), factor: 1, name: "loss",
      soloContext(1, tape: tape))
    tape.walkBack()
    #expect(abs(term.perSample[0] - 0.519860) < 1e-6)
    #expect(try #require(logits.gradient).values == [-0.125, 0.125, 0.125, -0.125, 0, 0, 0.125, -0.125])
    #expect(term.name == "loss")
  }

  @Test("6: one cell with difference (3, 4) gives 0.025, two with norms 5 and 1 give 0.015")
  func featureDistanceIsTheMeanOverCells() throws {
    let feature = Variable(tracked: Tensor([3, 4, 0, 1, 7, 7], [1, 1, 3, 2]))
    let zeros = Tensor(zeros: [1, 1, 3, 2])
    let one = featureDistance(
      feature, reference: zeros, cells: [1, 0, 0], globalCells: 1, factor: 0.005, name: "distance")
    #expect(abs(one.perSample[0] - 0.025) < 1e-8)
    #expect(relativeError(try #require(feature.gradient), [0.003, 0.004, 0, 0, 0, 0]) < 1e-6)
    let two = featureDistance(
      Variable(constant: feature.value), reference: zeros, cells: [1, 1, 0], globalCells: 2, factor: 0.005,
      name: "distance")
    #expect(abs(two.perSample[0] - 0.015) < 1e-8)
  }
}
