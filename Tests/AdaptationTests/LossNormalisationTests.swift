// Cross-entropies over labelled pixels: counts of all ranks, one message, nothing asked by default.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Networks
import Tensors
import TestSupport
import Testing

@Suite struct LossNormalisationTests {
  private static let box = Box(top: 0, bottom: 32, left: 32, right: 64)
  /// Labels of four images: the first has 3 labelled pixels, one of them in the box, the second 1, the others none.
  private static let labels: LabelMap = {
    var labels = LabelMap(samples: 4, height: 64, width: 64)
    for pixel in [3, 40, 64 * 50, 4096 + 64 * 63] { labels.values[pixel] = UInt8(pixel % 5) }
    return labels
  }()

  private static func run(
    _ samples: Range<Int>, on communicator: any Communicator, weights: Bool = false
  ) throws -> StudentRun {
    let own = LabelMap(stacking: samples.map { labels.sample($0) })
    let image = Variable(constant: randomTensor([4, 64, 64, 3], seed: 4).samples(samples).copy())
    let view = View(
      "source", image: image, labels: own, weights: weights ? Tensor(repeating: 1, [own.samples, 64, 64]) : nil,
      box: box)
    let context = share(of: 4, on: communicator).context(normalization: .batch)
    let output = try smallNetwork().train(image.value, box: box, context)
    return StudentRun(view: view, output: output, context: context)
  }

  private static func terms(_ run: StudentRun, _ labelled: LabelledPixels?) -> [[Double]] {
    segmentationLosses(
      run.output, pass: "source", labels: run.view.labels ?? labels, weights: nil, boxes: [box], detailWeight: 0.25,
      labelled: labelled, run.context
    ).map(\.perSample)
  }

  @Test(arguments: [1, 2, 4]) func labelledPixelsOfAllRanksAreCounted(ranks: Int) throws {
    let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let run = try LossNormalisationTests.run(share(of: 4, on: communicator).samples, on: communicator)
      let totals = try PassTotals.exchanged(
        [LossNormalisation.labelled.statistics([run])], samples: 4 / ranks, on: communicator)
      let labelled = LossNormalisation.labelled.labelled(run, totals[0])
      return (labelled, LossNormalisationTests.terms(run, labelled), LossNormalisationTests.terms(run, nil))
    }
    #expect(found.allSatisfy { $0.0 == LabelledPixels(whole: 4, detail: 1) })
    for (_, labelled, all) in found {
      // 4 of 4 · 64² pixels have a label, and 1 of 4 · 32² in the detail crops.
      for (term, factor) in [(0, 4096.0), (1, 4096)] {
        for (own, other) in zip(labelled[term], all[term]) {
          #expect(abs(own - factor * other) <= 1e-12 * abs(own))
        }
      }
    }
    #expect(found[0].1.allSatisfy { $0[0] > 0 })
  }

  @Test func nothingIsAskedByDefaultNorOfWeightedViews() throws {
    let communicator = MeteredCommunicator(SoloCommunicator())
    let runs = [try LossNormalisationTests.run(0..<4, on: communicator)]
    let weighted = [try LossNormalisationTests.run(0..<4, on: communicator, weights: true)]
    let before = communicator.figures.messages
    let totals = try PassTotals.exchanged(
      [LossNormalisation.all.statistics(runs), LossNormalisation.labelled.statistics(weighted)], samples: 4,
      on: communicator)
    #expect(communicator.figures.messages == before)
    #expect(LossNormalisation.all.labelled(runs[0], totals[0]) == nil)
    #expect(LossNormalisation.labelled.labelled(weighted[0], totals[1]) == nil)
  }
}
