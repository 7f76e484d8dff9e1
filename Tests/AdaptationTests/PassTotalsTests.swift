// What all ranks know of a pass: sums, maxima and rows, the same on every number of ranks.

import Adaptation
import Collectives
import CollectivesTesting
import Tensors
import TestSupport
import Testing

@Suite struct PassTotalsTests {
  /// What two askers get of eight samples dealt out over ranks.
  private struct Found: Equatable {
    var sums: [[UInt64]]
    var largest: [Double]
    var rows: [[[Float]]]
  }

  private static func found(on communicator: any Communicator) throws -> Found {
    let own = share(of: 8, on: communicator).samples
    var first = PassStatistics()
    first.sum("counts", own.flatMap { [Double($0) / 3, 1e-9 * Double($0 * $0)] }, samples: own.count)
    first.rows("vectors", own.map { sample in (0..<sample % 3).map { Float(sample * 10 + $0) } })
    var second = PassStatistics()
    second.sum("counts", own.map { 1 / (1 + Double($0)) }, samples: own.count)
    second.largest("depth", [own.map(Double.init).max() ?? 0, 0])
    second.rows("other", own.map { [Float($0)] })
    let totals = try PassTotals.exchanged([first, PassStatistics(), second], samples: own.count, on: communicator)
    return Found(
      sums: [totals[0].sum("counts"), totals[2].sum("counts")].map { $0.map(\.bitPattern) },
      largest: totals[2].largest("depth"), rows: [totals[0].rows("vectors"), totals[2].rows("other")])
  }

  @Test(arguments: [1, 2, 4, 8]) func everyRankKnowsTheSame(ranks: Int) throws {
    let one = try PassTotalsTests.found(on: SoloCommunicator())
    #expect(one.largest == [7, 0] && one.rows[0][5] == [50, 51] && one.rows[0][3].isEmpty)
    #expect(one.rows[1] == (0..<8).map { [Float($0)] })
    #expect(abs(Double(bitPattern: one.sums[0][0]) - 28.0 / 3) < 1e-12)
    let many = try LoopbackCommunicator.run(ranks: ranks) { try PassTotalsTests.found(on: $0) }
    #expect(many.allSatisfy { $0 == one })
  }

  @Test func nobodyAsksNobodyIsAsked() throws {
    let communicator = MeteredCommunicator(SoloCommunicator())
    let before = communicator.figures
    _ = try PassTotals.exchanged([PassStatistics(), PassStatistics()], samples: 2, on: communicator)
    #expect(communicator.figures.messages == before.messages)
  }

  @Test func whatIsPastedKeepsItsWeights() {
    func images(_ value: Float, _ label: UInt8, _ weight: Float?) -> LabelledImages {
      LabelledImages(
        image: Tensor(repeating: value, [1, 2, 2, 3]),
        labels: LabelMap(height: 2, width: 2, values: [label, label, label, label]),
        weights: weight.map { Tensor(repeating: $0, [1, 2, 2]) })
    }
    let mask: [UInt8] = [1, 0, 0, 1]
    let both = pasted(images(1, 5, 0.25), onto: images(2, 6, 0.5), where: mask)
    #expect(both.labels.values == [5, 6, 6, 5] && both.weights?.values == [0.25, 0.5, 0.5, 0.25])
    #expect(both.image.values == [1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1])
    #expect(pasted(images(1, 5, nil), onto: images(2, 6, 0.5), where: mask).weights?.values == [1, 0.5, 0.5, 1])
    #expect(pasted(images(1, 5, 0.25), onto: images(2, 6, nil), where: mask).weights?.values == [0.25, 1, 1, 0.25])
    #expect(pasted(images(1, 5, nil), onto: images(2, 6, nil), where: mask).weights == nil)
  }

  @Test func hostsHaveTheirPasses() {
    #expect(Host.allCases.map(\.passes) == [["source"], ["source", "target"], ["source", "mixed"], ["mixed"]])
    #expect(Host.allCases.map(\.needsLabels) == [false, false, true, true])
    #expect(Host.allCases.map(\.hasSource) == [true, true, true, false])
  }
}
