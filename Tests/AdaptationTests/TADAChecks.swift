// Unit checks of TADA's specification: bilateral mixing, relabelling, the contrast with certainties, numbers of cells.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Domains
import Kernels
import Methods
import Tensors
import TestSupport
import Testing

@Suite("TADA checks") struct TADAChecks {
  private func line(_ labels: [UInt8]) -> LabelMap { LabelMap(height: 1, width: labels.count, values: labels) }

  @Test("1: few-shot classes on the target, source classes on top") func bilateral() {
    func images(_ labels: [UInt8], _ weight: Float? = nil) -> LabelledImages {
      LabelledImages(
        image: Tensor(zeros: [1, 1, 4, 3]), labels: line(labels),
        weights: weight.map { Tensor(repeating: $0, [1, 1, 4]) })
    }
    let few = images([3, 255, 3, 255])
    let first = pasted(few, onto: images([8, 8, 8, 8], 0.5), where: classMask(few.labels, chosen: [[3]]))
    #expect(first.labels.values == [3, 8, 3, 8] && first.weights?.values == [1, 0.5, 1, 0.5])
    let source = images([0, 0, 11, 13])
    let second = pasted(source, onto: first, where: classMask(source.labels, chosen: [[13]]))
    #expect(second.labels.values == [3, 8, 3, 13] && second.weights?.values == [1, 0.5, 1, 1])
  }

  @Test(
    "2: relabelling",
    arguments: [
      (open, [255, 255, 0], [3, 13, 4], [3, 255, 0]),
      (coarse, [8, 9, 11], [9, 12, 12], [9, 9, 12]),
      (overlapping, [13, 13, 14], [15, 12, 13], [15, 13, 14]),
    ])
  func relabelling(_ taxonomy: Taxonomy, _ labels: [UInt8], _ predicted: [UInt8], _ expected: [UInt8]) {
    #expect(taxonomy.relabelled(line(labels), predicted: line(predicted)).values == expected)
  }

  private static let open = Taxonomy(.open, newClasses: [3, 4, 5, 9, 14, 16])
  private static let coarse = Taxonomy(.coarseToFine, groups: [[8, 9], [11, 12], [17, 18]])
  private static let overlapping = Taxonomy(.overlapping, groups: [[13, 14, 15]])

  @Test func partsOfACoarseClassAreEquallyLikely() {
    let uniforms = (0..<300).map { (Float($0) + 0.5) / 300 }
    func shares(_ shares: LabelShares, _ label: UInt8) -> [UInt8: Int] {
      Dictionary(
        shares.applied(to: line([UInt8](repeating: label, count: 300)), uniforms).values.map { ($0, 1) },
        uniquingKeysWith: +)
    }
    #expect(shares(Self.coarse.noise, 11) == [11: 150, 12: 150])
    #expect(shares(Self.coarse.noise, 12) == [12: 300], "the source has no such label")
    #expect(shares(Self.overlapping.noise, 13) == [13: 99, 15: 102, 14: 99])
    #expect(shares(Self.coarse.swap, 12) == [12: 165, 11: 135])
    #expect(shares(Self.overlapping.swap, 14) == [14: 120, 15: 90, 13: 90])
    #expect(shares(Self.open.noise, 255) == [255: 300] && shares(Self.open.swap, 3) == [3: 300])
    let four = Taxonomy(.coarseToFine, groups: [[2, 0, 6, 7]])
    #expect(shares(four.noise, 2) == [2: 75, 7: 75, 0: 75, 6: 75])
    #expect(shares(four.swap, 0) == [0: 165, 7: 45, 2: 45, 6: 45])
  }

  @Test("3: the contrast of two classes of two cells, on any ranks", arguments: [1, 2])
  func contrast(ranks: Int) throws {
    let vectors: [Float] = [1, 0, 1, 0, 0, 1, 0, 1]
    for (certainties, expected) in [
      ([1, 1, 1, 1], 0.551445), ([0.5, 0.5, 0.5, 0.5], 0.137861), ([1, 0.5, 1, 1], 0.413584),
    ]
      as [([Float], Double)]
    {
      let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let own = share(of: 2, on: communicator).samples
        let tape = Tape()
        let context = ForwardContext(
          tape: tape, normalization: .batch, communicator: communicator, globalBatch: 2, firstSample: own.lowerBound)
        let embedding = Variable(
          tracked: Tensor(own.flatMap { vectors[4 * $0..<4 * $0 + 4] }, [own.count, 1, 2, 2]))
        let cells = own.map { sample in
          (0..<2).map {
            Anchors.Cell(position: Int32($0), label: UInt8(sample), certainty: certainties[2 * sample + $0])
          }
        }
        // Room that is not needed changes nothing.
        let term = try Anchors(cells, room: 3).contrast(
          embedding, temperature: 1, factor: 1, name: "contrast", context)
        tape.walkBack()
        return (term.perSample, try #require(embedding.gradient).values)
      }
      let loss = found.flatMap(\.0).reduce(0, +)
      #expect(abs(loss - expected) < 1e-6)
      let gradients = found.flatMap(\.1)
      #expect(gradients.count == 8 && gradients.contains { $0 != 0 })
    }
  }

  @Test("4: numbers of cells") func numbers() {
    let rules = AnchorRules()
    #expect(rules.cells(pairs: 7) == 100 && rules.cells(pairs: 20) == 51 && rules.cells(pairs: 0) == 0)
    #expect(AnchorRules.taken(hard: 10, easy: 300, of: 51) == (10, 41))
    #expect(AnchorRules.taken(hard: 300, easy: 300, of: 51) == (25, 26))
    #expect(AnchorRules.taken(hard: 300, easy: 10, of: 51) == (41, 10))
  }
}
