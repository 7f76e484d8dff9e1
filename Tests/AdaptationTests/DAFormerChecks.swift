// Unit checks of DAFormer (Hoyer et al., CVPR 2022) that concern the teacher: numbers by hand.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Networks
import Optimization
import Tensors
import TestSupport
import Testing

@Suite("DAFormer checks, teacher") struct DAFormerChecks {
  @Test("2: a teacher of 0 and a student of 1 in step 1 give 0.5")
  func average() throws {
    let (student, network) = (try smallNetwork(), try smallNetwork())
    student.parameters.values.fill(1)
    network.parameters.values.fill(0)
    let momentum = Float(TeacherMomentum().momentum(at: 1))
    Teacher(network, threshold: 0.968).follow(student, momentum: momentum)
    #expect(network.parameters.values.values.allSatisfy { $0 == 0.5 })
  }

  @Test(
    "5: of two images of four pixels one is certain: weights 0.5 and 0.5 by batch, 1 and 0 by image", arguments: 1...2)
  func confidentShare(ranks: Int) throws {
    let probability = Tensor([0.97, 0.968, 1, 0.99, 0.9, 0.5, 0.967, 0.6], [2, 2, 2])
    let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let own = share(of: 2, on: communicator)
      return try confidentShares(probability.samples(own.samples).copy(), threshold: 0.968, own)
    }
    #expect(found.allSatisfy { $0.batch == 0.5 })
    #expect(found.flatMap { $0.images } == [1, 0])
    let weights = pseudoWeights([1, 0], height: 2, width: 2, valid: Tensor([1, 0, 1, 1, 1, 1, 1, 1], [2, 2, 2]))
    #expect(weights.values == [1, 0, 1, 1, 0, 0, 0, 0])
  }
}
