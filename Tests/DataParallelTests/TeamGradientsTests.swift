// Gradients of a team against the sum that one rank forms: contributions in order, then samples.

import Collectives
import CollectivesTesting
import DataParallel
import Tensors
import TestSupport
import Testing

@Suite struct TeamGradientsTests {
  /// Ranks of the team, its samples, passes of a step, bytes of a piece.
  @Test(
    "a team's sums have the bits of one rank's, step after step, whatever the pieces",
    arguments: [[2, 1, 2, 2 << 20], [2, 4, 3, 4096], [4, 1, 2, 20_004], [8, 1, 1, 12]])
  func order(setting: [Int]) throws {
    let (ranks, samples, passes) = (setting[0], setting[1], setting[2])
    let count = 10_001
    @Sendable func contribution(_ step: Int, _ pass: Int, _ place: Int) -> Tensor {
      randomTensor([samples, count], seed: UInt64(100 * step + 10 * pass + place))
    }
    let expected = (0..<3).map { step -> [Float] in
      let slots = Tensor(zeros: [samples, count])
      for pass in 0..<passes {
        for place in 0..<2 {
          let added = contribution(step, pass, place)
          for index in 0..<slots.count { slots.pointer[index] += added.pointer[index] }
        }
      }
      var rows = (0..<samples).map { slots.sample($0).values }
      while rows.count > 1 {
        rows = stride(from: 0, to: rows.count, by: 2).map { zip(rows[$0], rows[$0 + 1]).map(+) }
      }
      return rows[0]
    }
    let sums = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let reduction = try GradientReduction(on: SoloCommunicator())
      let gradients = TeamGradients(team: communicator, reduction: reduction, parameters: count, pieceBytes: setting[3])
      return try (0..<3).map { step -> [Float] in
        for pass in 0..<passes {
          let slots = communicator.rank < 2 ? contribution(step, pass, communicator.rank) : nil
          try gradients.passEnded(slots)
          #expect(slots?.values.allSatisfy { $0 == 0 } ?? true)
        }
        return try gradients.sum().values
      }
    }
    #expect(sums == Array(repeating: expected, count: ranks))
  }
}
