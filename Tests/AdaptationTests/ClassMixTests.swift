// Class mixing: which classes are present over all ranks, and what is pasted.

import Adaptation
import Collectives
import CollectivesTesting
import Domains
import Kernels
import Tensors
import TestSupport
import Testing

@Suite struct ClassMixTests {
  private static func labels(_ values: [UInt8]) -> LabelMap { LabelMap(height: 1, width: values.count, values: values) }

  @Test func presentClassesAreAscendingWithTheIgnored() throws {
    let present = try classesPresent(ClassMixTests.labels([7, 255, 0, 7, 64, 63, 128, 3]), on: SoloCommunicator())
    #expect(present == [0, 3, 7, 63, 64, 128, 255])
    #expect(try classesPresent(ClassMixTests.labels([5, 5]), on: SoloCommunicator()) == [5])
  }

  @Test(arguments: [2, 3, 4]) func presentClassesAreThoseOfAllRanks(ranks: Int) throws {
    let parts: [[UInt8]] = [[1, 2, 2], [2, 200, 200], [0, 255, 1], [64, 64, 64]]
    let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
      try classesPresent(ClassMixTests.labels(parts[communicator.rank]), on: communicator)
    }
    let expected = Set(parts[..<ranks].flatMap { $0 }).sorted()
    #expect(found.allSatisfy { $0 == expected })
  }

  @Test(arguments: [1, 2, 4]) func candidatesAreOfTheBatchOrOfTheImage(ranks: Int) throws {
    let images: [[UInt8]] = [[1, 2, 2], [255, 7, 255], [0, 0, 0], [2, 64, 63]]
    func candidates(_ scope: ClassScope) throws -> [[UInt8]] {
      try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let own = images[communicator.rank * 4 / ranks..<(communicator.rank + 1) * 4 / ranks]
        let labels = LabelMap(samples: own.count, height: 1, width: 3, values: own.flatMap { $0 })
        return try scope.candidates(labels, on: communicator)
      }.flatMap { $0 }
    }
    #expect(try candidates(.image) == [[1, 2], [7, 255], [0], [2, 63, 64]])
    #expect(try candidates(.batch) == Array(repeating: [0, 1, 2, 7, 63, 64, 255], count: 4))
  }

  @Test func chosenClassesArePastedWithTheirLabels() throws {
    let side = 64
    let count = side * side
    let sourceLabels = LabelMap(
      samples: 2, height: side, width: side, values: (0..<2 * count).map { [0, 1, 2, 255][$0 / 7 % 4] })
    let batch = DomainBatch(
      step: 0, samples: 0..<2,
      source: DomainSamples(image: randomTensor([2, side, side, 3], seed: 1), labels: sourceLabels),
      target: DomainSamples(image: randomTensor([2, side, side, 3], seed: 2)))
    let (source, target) = (try #require(batch.source).image.values, try #require(batch.target).image.values)
    let valid = Tensor((0..<2 * count).map { Float($0 % 2) }, [2, side, side])
    func pseudoLabels(threshold: Float) throws -> PseudoLabels {
      try Teacher(smallNetwork(), threshold: threshold).pseudoLabels(
        try #require(batch.target).image, valid: valid, share(of: 2, on: SoloCommunicator()))
    }
    let confidences = try pseudoLabels(threshold: 0).confidence.values.sorted()
    let pseudo = try pseudoLabels(threshold: confidences[count])
    try #require(pseudo.confidentShare > 0 && pseudo.confidentShare < 1)
    let box = Box(top: 0, bottom: 32, left: 0, right: 32)
    let chosen: [[UInt8]] = [[1, 255], [0]]
    var view = try stepView(batch)
    view.labels = pseudo
    let mixed = classMix(view, PassDraws(box: box, chosen: chosen))
    let pseudoWeights = pseudo.weights.values
    let isPasted = sourceLabels.values.enumerated().map { chosen[$0 / count].contains($1) }
    #expect(
      mixed.labels.values
        == isPasted.indices.map { isPasted[$0] ? sourceLabels.values[$0] : pseudo.labels.values[$0] })
    #expect(mixed.weights?.values == isPasted.indices.map { isPasted[$0] ? 1 : pseudoWeights[$0] })
    #expect(mixed.image.values == source.indices.map { isPasted[$0 / 3] ? source[$0] : target[$0] })

    let draws = PassDraws(box: box, blur: [0.7, 1.1], chosen: chosen)
    let blurred = classMix(view, draws)
    #expect(blurred.image.values == strongAugmentation(mixed.image, draws).values)
    #expect(blurred.labels == mixed.labels && blurred.weights?.values == mixed.weights?.values)
  }
}
