// Unit checks of CorDA's specification: the reverse Huber loss, difficulties, and the weighted cross-entropy; and depth in
// mixed images.

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

@Suite("CorDA checks") struct CorDAChecks {
  /// Terms of a pass on one rank.
  private func losses(_ pass: DepthPass, _ context: ForwardContext) throws -> [LossTerm] {
    var asked = PassStatistics()
    pass.ask(&asked)
    let totals = try PassTotals.exchanged([asked], samples: pass.depth.samples, on: SoloCommunicator())[0]
    return pass.losses(totals, factor: 1, prefix: "mixed", context)
  }

  private func row(_ values: [Float]) -> Tensor { Tensor(values, [1, 1, values.count, 1]) }

  @Test(
    "1 and 3: the reverse Huber loss, of one pixel and of none",
    arguments: [
      ([0.1, 1.0], 1.35), ([0, 0.2, 0.5, 1], 0.88125), ([0.5], 1.3),
    ])
  func reverseHuber(_ errors: [Float], _ expected: Double) throws {
    let depth = Tensor([Float](repeating: 2, count: errors.count) + [1], [1, 1, errors.count + 1])
    let prediction = Variable(tracked: row(errors.map { 2 + $0 } + [50]))
    let terms = try losses(
      DepthPass([DepthPass.Level("depth", source: prediction)], depth: depth, mask: nil), soloContext(1))
    #expect(terms.map(\.name) == ["mixed.depth"] && abs(terms[0].perSample[0] - expected) < 1e-6)
    let none = Variable(tracked: row([3, 4]))
    let unknown = DepthPass([DepthPass.Level("depth", source: none)], depth: Tensor([1, 1], [1, 1, 2]), mask: nil)
    #expect(try losses(unknown, soloContext(1))[0].perSample == [0] && none.gradient == nil)
  }

  @Test("2: difficulties of four pixels") func difficulties() throws {
    let depth = Tensor([2, 2, 2, 1], [1, 2, 2])
    let agreement = depthAgreement(source: row([2, 2, 2, 2]), target: row([2, 3, 6, 2]), depth: depth)
    #expect(zip(agreement.values, [1, 0.501, 0.001, 1]).allSatisfy { abs($0 - $1) < 1e-6 })
    var asked = PassStatistics()
    askAgreement(agreement, &asked)
    let totals = try PassTotals.exchanged([asked], samples: 1, on: SoloCommunicator())[0]
    let factors = difficultyFactors(agreement, totals, globalBatch: 1, .image)
    #expect(zip(factors.values, [1.598721, 0.800959, 0.001599, 1.598721]).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  /// Agreements in Double, in the plainest way.
  @Test func agreementsHaveATwin() {
    let (source, target) = (randomTensor([2, 5, 7, 1], seed: 1), randomTensor([2, 5, 7, 1], seed: 2))
    let depth = Tensor(randomTensor([2, 5, 7], seed: 3).values.map { $0 > 0.8 ? 1 : 1.2 + abs($0) }, [2, 5, 7])
    let expected = zip(zip(doubles(source), doubles(target)), doubles(depth)).map { pair, truth in
      min(1, max(0, max(0, 1 - abs(pair.0 - pair.1) / truth) + 1e-3 + (truth == 1 ? 1 : 0)))
    }
    #expect(relativeError(depthAgreement(source: source, target: target, depth: depth), expected) < 1e-6)
    #expect(expected.contains(1) && expected.contains { $0 < 0.5 })
  }

  @Test("6: the weighted loss of two images of one pixel, on any ranks", arguments: [1, 2])
  func weightedLoss(ranks: Int) throws {
    for (difficulty, expected) in [(DepthGuidedAdaptationOptions.Difficulty.image, 2.666667), (.batch, 3)] {
      let sums = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let own = share(of: 2, on: communicator).samples
        let agreement = Tensor(own.map { [1, 0.5][$0] }, [own.count, 1, 1])
        var asked = PassStatistics()
        askAgreement(agreement, &asked)
        let totals = try PassTotals.exchanged([asked], samples: own.count, on: communicator)[0]
        let factors = difficultyFactors(agreement, totals, globalBatch: 2, difficulty)
        return zip(own, factors.values).reduce(0.0) { $0 + Double($1.1) * [2, 4][$1.0] / 2 }
      }
      #expect(abs(sums.reduce(0, +) - expected) < 1e-6)
    }
  }

  @Test func depthIsPastedWithItsImage() throws {
    let labels = LabelMap(height: 1, width: 4, values: [0, 1, 255, 1])
    func images(_ depth: Float, _ labels: LabelMap) -> LabelledImages {
      LabelledImages(
        image: Tensor(zeros: [1, 1, 4, 3]), labels: labels,
        maps: [
          "depth": Tensor((0..<4).map { depth + Float($0) }, [1, 1, 4]), "own \(depth)": Tensor(zeros: [1, 1, 4]),
        ])
    }
    let mask = classMask(labels, chosen: [[1]])
    let mixed = pasted(images(10, labels), onto: images(20, labels), where: mask)
    #expect(mixed.maps.mapValues(\.values) == ["depth": [20, 11, 22, 13]] && mixed.mask == mask)
    #expect(images(1, labels).mask == nil)
  }

  /// Pasted pixels teach the source's classifier, the others the target's; the largest error is that of both.
  @Test func everyDomainTeachesItsClassifier() throws {
    let (source, target) = (Variable(tracked: row([3, 9, 9, 9])), Variable(tracked: row([9, 2.1, 9, 9])))
    let pass = DepthPass(
      [DepthPass.Level("depth", source: source, target: target)], depth: Tensor([2, 2, 1, 1], [1, 1, 4]),
      mask: [1, 0, 1, 0])
    let terms = try losses(pass, soloContext(1))
    #expect(abs(terms[0].perSample[0] - 1.35) < 1e-6, "errors 1 and 0.1")
    #expect(try #require(source.gradient).values[1...].allSatisfy { $0 == 0 })
    #expect(try #require(target.gradient).values == [0, 0.5, 0, 0])
    #expect(abs(try #require(source.gradient).values[0] - 2.5) < 1e-5)
  }
}
