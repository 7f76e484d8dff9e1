// Unit checks of ProCA's specification: running means, the contrast, the Lovász loss, masks, ranks; and its queues.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Kernels
import Methods
import Support
import Tensors
import TestSupport
import Testing

@Suite("ProCA checks") struct ProCAChecks {
  /// Sums of two classes: class 0 has these vectors, class 1 none.
  private func sums(_ vectors: [[Double]]) -> [Double] {
    [vectors.reduce(0) { $0 + $1[0] }, vectors.reduce(0) { $0 + $1[1] }, Double(vectors.count), 0, 0, 0]
  }

  @Test("1: means run over all that was seen")
  func runningMeans() {
    let means = ClassMeans(classes: 2, channels: 2)
    means.means.assign(Tensor([0, 0, 7, 8], [2, 2]))
    means.counts = [0, 70_000]
    means.move(by: sums([[1, 0], [3, 0]]))
    #expect(means.means.values == [2, 0, 7, 8] && means.counts == [2, 70_000])
    means.move(by: sums([[5, 3]]))
    #expect(means.means.values == [3, 1, 7, 8] && means.counts == [3, 70_000])
  }

  @Test("counts are exact far beyond what Float32 holds")
  func counts() {
    let means = ClassMeans(classes: 2, channels: 2)
    means.counts = [1 << 40 + 1, 0xffff_ffff]
    means.move(by: sums([[1, 1]]))
    #expect(means.counts == [1 << 40 + 2, 0xffff_ffff])
  }

  @Test("a momentum weighs the new mean; the released counter counts every class's vectors")
  func momentum() {
    for (counted, expected) in [(CountedVectors.own, [1, 2, 0]), (.literal, [3, 3, 0])] {
      let means = ClassMeans(classes: 3, channels: 1)
      means.means.assign(Tensor([10, 10, 10], [3, 1]))
      means.move(by: [20, 1, 0, 2, 0, 0], momentum: 0.9, counting: counted)
      #expect(means.means.values == [19, 1, 10] && means.counts == expected)
    }
  }

  @Test("2: one vector between two prototypes")
  func contrast() {
    let prototypes = Kernels.unitLength(Tensor([1, 0, 0, 2], [2, 2]), epsilon: 1e-12).output
    let term = pixelPrototypeContrast(
      Variable(constant: Tensor([3, 4], [1, 1, 1, 2])), prototypes: prototypes,
      labels: LabelMap(height: 1, width: 1, values: [0]), temperature: 50, globalCount: 1, factor: 1, name: "",
      soloContext(1))
    #expect(abs(term.perSample[0] - 0.6951492) < 1e-6)
  }

  @Test("3: two foreground pixels", arguments: [LovaszScope.batch, .image])
  func lovasz(scope: LovaszScope) throws {
    let logits = Tensor([0.8, 0.4].flatMap { p in [Float(p / (1 - p)).logarithm, 0] }, [1, 1, 2, 2])
    let term = try lovaszSoftmax(
      Variable(constant: logits), labels: LabelMap(height: 1, width: 2, values: [0, 0]), scope: scope, factor: 1,
      name: "", soloContext(1))
    #expect(abs(term.perSample[0] - 0.4) < 1e-6)
  }

  @Test("4: a logit of 0.95 among others is enough as a logit, and not as a probability")
  func confidence() {
    let logits = Tensor([0.95, 0.9, 0.9, 0.5], [1, 1, 1, 4])
    #expect(confidentLabels(logits, threshold: 0.9, on: .logit).values == [0])
    #expect(confidentLabels(logits, threshold: 0.9, on: .probability).values == [LabelMap.ignored])
  }

  @Test("5: two ranks move as one does")
  func ranks() throws {
    let features = Tensor([1, 0, 3, 0, 5, 3, 5, 3], [2, 1, 2, 2])
    let labels = LabelMap(samples: 2, height: 1, width: 2, values: [0, 0, 0, 255])
    func moved(_ ranks: Int) throws -> [[Float]] {
      try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 2 / ranks
        let samples = communicator.rank * count..<(communicator.rank + 1) * count
        let own = LabelMap(stacking: samples.map { labels.sample($0) })
        var asked = PassStatistics()
        asked.sum("sums", classSums(features.samples(samples).copy(), labels: own, classes: 2), samples: count)
        let totals = try PassTotals.exchanged([asked], samples: count, on: communicator)
        let means = ClassMeans(classes: 2, channels: 2)
        means.move(by: totals[0].sum("sums"))
        return means.means.values + means.counts.map(Float.init)
      }
    }
    #expect(try moved(1) == [[3, 1, 0, 0, 3, 0]])
    #expect(try moved(2) == [[3, 1, 0, 0, 3, 0], [3, 1, 0, 0, 3, 0]])
  }

  @Test("queues turn over by the rows written, or as released by one")
  func queues() {
    for (pointer, places) in [(QueuePointer.rows, [2, 0]), (.literal, [1, 2])] {
      var queues = ClassQueues(pixels: Tensor(zeros: [1, 3, 1]), means: Tensor(zeros: [1, 3, 1]), next: [(0, 0)])
      for (round, place) in places.enumerated() {
        queues.push(0, [[1], [2], [6]], keeping: [2, 0], pointer: pointer)
        #expect(queues.next[0].pixels == place && queues.next[0].means == round + 1)
      }
      // The second push of two rows begins at row 2, and is written to the last two instead; or at row 1.
      #expect(queues.pixels.values == [6, 6, 1] && queues.means.values == [3, 3, 0])
    }
  }
}

extension Float {
  fileprivate var logarithm: Float { Float(Double(self).logarithm) }
}
