// Unit checks of DACS (Tranheden et al., WACV 2021): pseudo-labels, mixing, the mixed loss. Numbers by hand.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@Suite("DACS checks, step") struct DACSChecks {
  @Test("2: three of eight pixels are confident, one of them at the threshold: 0.375 on one rank and on two")
  func share() throws {
    let probabilities: [Float] = [0.97, 0.968, 1, 0.9, 0.5, 0.2, 0.1, 0.96]
    let parts = try LoopbackCommunicator.run(ranks: 2) { communicator in
      let own = probabilities[4 * communicator.rank..<4 * communicator.rank + 4]
      return try confidentShares(
        Tensor(Array(own), [1, 2, 2]), threshold: 0.968, AdaptationTests.share(of: 2, on: communicator)
      ).batch
    }
    let one = try confidentShares(
      Tensor(probabilities, [2, 2, 2]), threshold: 0.968, AdaptationTests.share(of: 2, on: SoloCommunicator()))
    #expect(parts == [0.375, 0.375] && one.batch == 0.375)
  }

  @Test(
    "3: ln 2 at weights 1 and 0.375, over both pixels; an ignored pixel stays in the denominator",
    arguments: [(0, 0.4765387), (255, 0.1299651)] as [(UInt8, Double)])
  func mixedLoss(_ first: UInt8, _ expected: Double) {
    let term = crossEntropy(
      Variable(tracked: Tensor(zeros: [1, 1, 2, 2])), labels: LabelMap(height: 1, width: 2, values: [first, 1]),
      weights: Tensor([1, 0.375], [1, 1, 2]), factor: 1, name: "mixed", soloContext(1))
    #expect(abs(term.perSample[0] - expected) < 1e-7)
  }

  @Test("4: labels 3 3 7 255, of whose classes 7 and 255 are chosen: the last two pixels are pasted")
  func mixing() throws {
    let labels = LabelMap(height: 1, width: 4, values: [3, 3, 7, 255])
    #expect(try ClassScope.image.candidates(labels, on: SoloCommunicator()) == [[3, 7, 255]])
    #expect(classMask(labels, chosen: [[7, 255]]) == [0, 0, 1, 1])
  }
}
