// Prototypes: the numbers of SPCL's specification, and sums that ranks add up.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Kernels
import Tensors
import TestSupport
import Testing

@Suite struct PrototypeTests {
  /// Sums of the unit vectors of cells side by side.
  private static func sums(_ vectors: [[Float]], _ labels: [UInt8], classes: Int) -> [Double] {
    let features = Tensor(vectors.flatMap { $0 }, [1, 1, vectors.count, vectors[0].count])
    return classSums(
      unitLength(features, epsilon: 1e-12).output,
      labels: LabelMap(height: 1, width: labels.count, values: labels), classes: classes)
  }

  @Test func movesOfTheSpecification() {
    let new = PrototypeTests.sums([[0, 2], [0, 5], [7, 7]], [0, 0, 255], classes: 2)
    #expect(new == [0, 2, 2, 0, 0, 0])
    for (absent, second) in [(AbsentClass.keep, [Float(1), 0]), (.literal, [0.1, 0])] {
      let prototypes = Tensor([1, 0, 1, 0], [2, 2])
      movePrototypes(prototypes, by: new, keeping: 0.1, absent: absent)
      #expect(zip(prototypes.values, [0.1, 0.9] + second).allSatisfy { abs($0 - $1) < 1e-7 })
    }
  }

  /// Two cells (1, 0) of one rank and one cell (0, 1) of another: (2/3, 1/3), not the mean of the ranks' means.
  @Test(arguments: [1, 2]) func ranksAddSumsAndCounts(ranks: Int) throws {
    let cells: [[[Float]]] = [[[1, 0], [3, 0]], [[0, 2], [0, 0]]]
    let labels: [[UInt8]] = [[0, 0], [0, 255]]
    let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let own = share(of: 2, on: communicator).samples
      var asked = PassStatistics()
      let rows = own.flatMap { PrototypeTests.sums(cells[$0], labels[$0], classes: 1) }
      asked.sum("sums", rows, samples: own.count)
      let totals = try PassTotals.exchanged([asked], samples: own.count, on: communicator)
      let prototypes = Tensor(zeros: [1, 2])
      movePrototypes(prototypes, by: totals[0].sum("sums"), keeping: 0)
      return prototypes.values
    }
    #expect(found.allSatisfy { abs($0[0] - 2.0 / 3) < 1e-7 && abs($0[1] - 1.0 / 3) < 1e-7 })
  }

  @Test func imagesCountAlikeInFirstPrototypes() {
    let first = meansOfImage(PrototypeTests.sums([[1, 0], [1, 0], [0, 1]], [0, 0, 1], classes: 3), channels: 2)
    let second = meansOfImage(
      PrototypeTests.sums([[0, 1], [1, 1], [1, 1]], [0, 255, 255], classes: 3), channels: 2)
    let prototypes = Tensor(repeating: 7, [3, 2])
    movePrototypes(prototypes, by: zip(first, second).map(+), keeping: 0, absent: .literal)
    #expect(prototypes.values == [0.5, 0.5, 0, 1, 0, 0])
  }
}
