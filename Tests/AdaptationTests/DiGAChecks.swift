// Unit checks of DiGA's specification: both directions of the distillation, consensus, centroids, classes of the mask, and
// hard pixels; and that ranks move centroids alike.

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

@Suite("DiGA checks") struct DiGAChecks {
  private static let sharp: [Float] = [Float(3.0.logarithm), 0]

  private func pixel(_ logits: [Float]) -> Tensor { Tensor(logits, [1, 1, 1, 2]) }

  private func distillation(_ teacher: [Float], _ student: [Float], _ factor: Float) -> Double {
    distilled(
      pixel(teacher), to: Variable(constant: pixel(student)), size: (1, 1), factor: factor, name: "", soloContext(1)
    ).perSample[0]
  }

  @Test("1: one pixel of two classes, and both directions together")
  func distillation() {
    let first = distillation([0, 0], Self.sharp, 1)
    let second = distillation(Self.sharp, [0, 0], 0.5)
    #expect(abs(first - 0.836988) < 1e-6 && abs(2 * second - 0.693147) < 1e-6)
    #expect(abs(first + second - 1.183562) < 2e-6)
  }

  @Test("the gradient of the distillation is its derivative, through the enlarging")
  func distillationGradient() throws {
    let (teacher, student) = (randomTensor([2, 3, 2, 5], seed: 1), randomTensor([2, 3, 2, 5], seed: 2))
    func term(_ student: Variable, _ context: ForwardContext) -> LossTerm {
      distilled(teacher, to: student, size: (7, 6), factor: 0.7, name: "", context)
    }
    let tape = Tape()
    let tracked = Variable(tracked: student)
    _ = term(tracked, soloContext(2, tape: tape))
    tape.walkBack()
    let gradient = doubles(try #require(tracked.gradient))
    let error = directionalError(
      at: doubles(student), direction: doubles(randomTensor(student.shape, seed: 3)), gradient: gradient, step: 1e-2
    ) { point in
      term(Variable(constant: Tensor(point.map { Float($0) }, student.shape)), soloContext(2)).perSample.reduce(0, +)
    }
    #expect(error < 1e-3)
  }

  @Test("2: a label stays where the nearest centroid says the same")
  func consensus() {
    let offline = LabelMap(height: 1, width: 3, values: [3, 3, 5])
    let nearest = LabelMap(height: 1, width: 3, values: [3, 4, 5])
    #expect(offline.agreeing(with: nearest).values == [3, 255, 5])
  }

  @Test("3: scores of distances 1 and 2; the nearest class is that of the highest")
  func scores() {
    let centroids = ClassCentroids(classes: 2, channels: 2)
    centroids.values.assign(Tensor([1, 0, 0, 2], [2, 2]))
    let scores = centroids.scores(Tensor([0, 0], [1, 1, 1, 2])).values
    #expect(abs(scores[0] - 0.731059) < 1e-6 && abs(scores[1] - 0.268941) < 1e-6)
    let map = Tensor([0, 0, 0, 2], [1, 1, 2, 2])
    #expect(centroids.nearestLabels(map, height: 1, width: 2).values == [0, 1])
    #expect(centroids.nearestLabels(map, height: 2, width: 5).values == [0, 0, 1, 1, 1, 0, 0, 1, 1, 1])
  }

  @Test("4: two vectors of a class, one after the other; a vector whose sum is 0 is left out")
  func move() {
    let centroids = ClassCentroids(classes: 2, channels: 2)
    centroids.values.assign(Tensor([1, 1, 1, 1], [2, 2]))
    let tiny = ClassVector(label: 1, values: [1e-30, 0])
    centroids.move(by: [tiny, tiny, ClassVector(label: 0, values: [1, -1])], momentum: 1e-4)
    #expect(centroids.values.values[0...1] == [1, 1])
    #expect(centroids.values.values[2...].allSatisfy { abs(Double($0) - 0.99980001) < 1e-7 })
  }

  @Test("first values are plain means; with a cap the last images weigh more")
  func average() {
    let vectors = [1, 2, 3, 6].map { ClassVector(label: 0, values: [$0]) }
    for (cap, mean, count) in [(Int?.none, Float(3), 4), (1, 4.125, 1)] {
      let centroids = ClassCentroids(classes: 2, channels: 1)
      var counts = [0, 7]
      centroids.average(vectors, counts: &counts, cap: cap)
      #expect(centroids.values.values == [mean, 0] && counts == [count, 7])
    }
  }

  @Test("5: half of the classes, rounded down, and always what is ignored")
  func classes() {
    for seed in 0..<20 {
      var stream = RandomStream(seed: UInt64(seed), step: 0, sample: nil, purpose: Purpose("test"))
      for (candidates, half) in [([0, 2, 11, 255], 2), ([0, 2, 11], 1), ([3], 0), ([3, 255], 1)] as [([UInt8], Int)] {
        let chosen = halfWithIgnored(candidates, &stream)
        #expect(chosen == chosen.sorted() && Set(chosen).count == chosen.count && chosen.last == 255)
        let drawn = chosen.filter { $0 != 255 }.count
        #expect(drawn == half || drawn == half - 1 && candidates.contains(255))
        #expect(chosen.dropLast().allSatisfy(candidates.contains))
      }
    }
    let labels = LabelMap(height: 1, width: 5, values: [0, 2, 11, 255, 0])
    #expect(classMask(labels, chosen: [[2, 11, 255]]) == [0, 1, 1, 1, 0])
  }

  @Test("6: which of four pixels are hard", arguments: [(1, 2, 1.151293), (2, 2, 1.151293), (10, 3, 0.841910)])
  func hardPixels(kept: Int, count: Int, loss: Double) throws {
    let logits = Tensor([0.2, 0.5, 0.8, 0.9].flatMap { [Float(($0 / (1 - $0)).logarithm), 0] }, [1, 1, 4, 2])
    let labels = LabelMap(height: 1, width: 4, values: [0, 0, 0, 0])
    let hard = try Autograd.hardPixels(logits, labels: labels, threshold: 0.7, kept: kept, soloContext(1))
    #expect(hard.count == count && hard.marks.values.reduce(0, +) == Float(count))
    let term = try hardPixelCrossEntropy(
      Variable(constant: logits), labels: labels, threshold: 0.7, kept: kept, factor: 1, name: "", soloContext(1))
    #expect(abs(term.perSample[0] - loss) < 1e-6)
  }

  @Test("classes of few agreeing cells have no vector; the others have the mean of their features")
  func vectors() {
    // Six cells: the network says 0 0 0 1 1 1, labels are 0 0 1 1 1 255.
    let logits = Tensor([9, 0, 9, 0, 9, 0, 0, 9, 0, 9, 0, 9], [1, 1, 6, 2])
    let features = Tensor([1, 3, 100, 4, 6, 200], [1, 1, 6, 1])
    let labels = LabelMap(height: 1, width: 6, values: [0, 0, 1, 1, 1, 255])
    let both = classVectors(features, logits: logits, labels: labels, least: 2)
    #expect(both == [[ClassVector(label: 0, values: [2]), ClassVector(label: 1, values: [5])]])
    #expect(classVectors(features, logits: logits, labels: labels, least: 3) == [[]])
    let predicted = classVectors(features, logits: logits, least: 3)
    #expect(predicted[0].map(\.label) == [0, 1] && predicted[0][1].values == [70])
    #expect([ClassVector](row: both[0].row, channels: 1) == both[0])
  }

  @Test("ranks that tell each other their vectors move to the same bits", arguments: [1, 2, 4])
  func ranks(count: Int) throws {
    let own = (0..<4).map { sample in
      (0..<3).map { ClassVector(label: $0, values: randomTensor([5], seed: UInt64(10 * sample + $0)).values) }
    }
    let moved = try LoopbackCommunicator.run(ranks: count) { communicator in
      let samples = share(of: 4, on: communicator).samples
      var asked = PassStatistics()
      asked.rows("source", samples.map { own[$0].row })
      let totals = try PassTotals.exchanged([asked], samples: samples.count, on: communicator)[0]
      let centroids = ClassCentroids(classes: 3, channels: 5)
      for row in totals.rows("source") { centroids.move(by: [ClassVector](row: row, channels: 5), momentum: 0.1) }
      return bits(centroids.values.values)
    }
    let alone = ClassCentroids(classes: 3, channels: 5)
    for vectors in own { alone.move(by: vectors, momentum: 0.1) }
    #expect(moved == [[UInt32]](repeating: bits(alone.values.values), count: count))
  }
}
