// Loss terms: the numbers of the specifications, gradients by central differences, empty sets.

import Autograd
import Kernels
import Support
import Tensors
import TestSupport
import Testing

@Suite struct LossTermTests {
  private static let labels = LabelMap(
    samples: 2, height: 3, width: 4, values: (0..<24).map { $0 % 7 == 3 ? 255 : UInt8($0 * 5 % 3) })
  private static let shape: Shape = [2, 3, 4, 3]

  private static func near(_ term: LossTerm, _ expected: Double) -> Bool {
    abs(term.perSample.reduce(0, +) - expected) < 2e-7 * max(1, abs(expected))
  }

  @Test func entropiesOfTheSpecification() {
    let context = soloContext(1)
    func entropy(_ probabilities: [Double]) -> LossTerm {
      normalizedEntropy(ofLogits: logits(of: [probabilities]), factor: 1, name: "entropy", context)
    }
    #expect(LossTermTests.near(entropy([0.5, 0.25, 0.25]), 0.9463946))
    #expect(LossTermTests.near(entropy([0.9, 0.1]), 0.4689956))
    let uniform = Variable(constant: Tensor([2, 2, 2, 2], [1, 1, 1, 4]))
    #expect(LossTermTests.near(normalizedEntropy(ofLogits: uniform, factor: 1, name: "", context), 1))
    let sure = Variable(tracked: Tensor([200, 0, 0], [1, 1, 1, 3]))
    let term = normalizedEntropy(ofLogits: sure, factor: 1, name: "", context)
    #expect(term.perSample[0].magnitude < 1e-27 && sure.gradient?.values.allSatisfy { $0.isFinite } == true)
  }

  @Test func domainLossesOfTheSpecification() throws {
    let context = soloContext(1)
    func map(_ value: Float) -> Variable { Variable(tracked: Tensor([value], [1, 1, 1, 1])) }
    let zero = map(0)
    #expect(LossTermTests.near(binaryCrossEntropy(zero, towards: 0, factor: 1, name: "", context), 0.6931472))
    #expect(zero.gradient?.values == [0.5])
    #expect(LossTermTests.near(binaryCrossEntropy(map(1), towards: 0, factor: 1, name: "", context), 1.3132617))
    #expect(LossTermTests.near(binaryCrossEntropy(map(1), towards: 1, factor: 1, name: "", context), 0.3132617))
    let raw = map(0)
    #expect(LossTermTests.near(leastSquares(raw, towards: 1, factor: 1, name: "", context), 1))
    #expect(raw.gradient?.values == [-2])
    let far = map(-200)
    #expect(LossTermTests.near(binaryCrossEntropy(far, towards: 1, factor: 1, name: "", context), 200))
    #expect(far.gradient?.values == [-1])
  }

  @Test func theClassPriorOfTheSpecification() {
    let x = logits(of: [[0.2, 0.5, 0.3]])
    let term = classPrior(ofLogits: x, prior: [0.6, 0.3, 0.1], share: 0.5, factor: 1, name: "", soloContext(1))
    #expect(LossTermTests.near(term, 0.1))
  }

  /// Means over all pixels and over labelled ones; 255 and an empty set.
  @Test func denominatorsOfTheSpecification() {
    let context = soloContext(1)
    let half = [[0.5, 0.5], [0.5, 0.5]]
    let weights = Tensor([1, 0.375], [1, 1, 2])
    func mixed(_ labels: [UInt8]) -> LossTerm {
      crossEntropy(logits(of: half), labels: line(labels), weights: weights, factor: 1, name: "", context)
    }
    #expect(LossTermTests.near(mixed([0, 1]), 0.4765387))
    #expect(LossTermTests.near(mixed([255, 1]), 0.1299651))
    let labelled = crossEntropy(
      logits(of: half), labels: line([255, 1]), weights: nil, valid: 1, factor: 1, name: "", context)
    #expect(LossTermTests.near(labelled, 0.6931472))
    let empty = logits(of: half)
    let none = crossEntropy(empty, labels: line([255, 255]), weights: nil, valid: 0, factor: 1, name: "", context)
    #expect(none.perSample == [0] && empty.gradient == nil)
    let tempered = Variable(tracked: Tensor([1, 0], [1, 1, 1, 2]))
    #expect(
      LossTermTests.near(
        crossEntropy(tempered, labels: line([0]), weights: nil, valid: 1, factor: 1, name: "", context), 0.3132617))
  }

  @Test func contrastOfTheSpecification() {
    func term(_ temperature: Float) -> LossTerm {
      pixelPrototypeContrast(
        Variable(constant: Tensor([3, 4, 7, 7], [1, 1, 2, 2])), prototypes: Tensor([1, 0, 0, 1], [2, 2]),
        labels: line([0, 255]), temperature: temperature, globalCount: 1, factor: 1, name: "", soloContext(1))
    }
    #expect(LossTermTests.near(term(100), 0.6941477))
    #expect(LossTermTests.near(term(0.1), 2.1269280))
  }

  @Test func noisyLabelLossesOfTheSpecification() {
    let context = soloContext(1)
    let p = [[0.7, 0.2, 0.1]]
    #expect(
      LossTermTests.near(
        reverseCrossEntropy(logits(of: p), labels: line([0]), factor: 1, name: "", context), 2.7631021))
    func focus(_ p: Double, _ gamma: Double) -> LossTerm {
      focal(logits(of: [[p, 1 - p]]), labels: line([0]), gamma: gamma, factor: 1, name: "", context)
    }
    #expect(LossTermTests.near(focus(0.5, 2), 0.1732868) && LossTermTests.near(focus(0.9, 2), 0.0010536))
    #expect(LossTermTests.near(focus(0.5, 0), 0.6931472) && LossTermTests.near(focus(0.9, 0), 0.1053605))
    let even = Tensor([0.5, 0.5], [1, 1, 1, 2])
    #expect(
      LossTermTests.near(
        klDivergence(logits(of: [[0.8, 0.2]]), targets: even, factor: 1, name: "", context), 0.2231436))
  }

  @Test func ordersOfTheSpecification() throws {
    let context = soloContext(1)
    let both = try lovaszSoftmax(
      logits(of: [[0.2, 0.8], [0.6, 0.4]]), labels: line([1, 1]), scope: .image, factor: 1, name: "", context)
    #expect(LossTermTests.near(both, 0.4))
    let p = [0.2, 0.5, 0.8, 0.9].map { [$0, 1 - $0] }
    for (kept, expected) in [(1, 1.151293), (2, 1.151293), (10, 0.841910)] {
      let term = try hardPixelCrossEntropy(
        logits(of: p), labels: line([0, 0, 0, 0]), kept: kept, factor: 1, name: "", context)
      #expect(abs(term.perSample[0] - expected) < 1e-6, "\(kept) kept")
    }
  }

  @Test func gradientsOfMapsAndUnlabelledPixels() throws {
    let point = randomTensor(LossTermTests.shape, seed: 1)
    try expectTermGradient(at: point) { binaryCrossEntropy($0, towards: 1, factor: 0.7, name: "", $1) }
    try expectTermGradient(at: point) { leastSquares($0, towards: 1, factor: 0.7, name: "", $1) }
    try expectTermGradient(at: point) { normalizedEntropy(ofLogits: $0, factor: 0.7, name: "", $1) }
    // With longer steps other pixels would be chosen.
    try expectTermGradient(at: point, step: 1e-3) { rankedEntropy(ofLogits: $0, share: 0.3, factor: 0.7, name: "", $1) }
    try expectTermGradient(at: point) {
      classPrior(ofLogits: $0, prior: [0.8, 0.1, 0.6], share: 1, factor: 0.7, name: "", $1)
    }
    let reference = randomTensor(LossTermTests.shape, seed: 2)
    let valid = (0..<72).map { UInt8($0 % 3 == 0 ? 0 : 1) }
    try expectTermGradient(at: point) {
      l1($0, reference: reference, valid: valid, globalCount: 48, factor: 0.7, name: "", $1)
    }
    try expectTermGradient(at: point) { berHu($0, reference: reference, turn: 0.3, factor: 0.7, name: "", $1) }
  }

  @Test func gradientsOfLabelledPixels() throws {
    let point = randomTensor(LossTermTests.shape, seed: 1)
    let labels = LossTermTests.labels
    let weights = Tensor((0..<24).map { Float($0 % 4) / 2 }, [2, 3, 4])
    let targets = Kernels.softmax(randomTensor(LossTermTests.shape, seed: 2))
    for start in [point, randomTensor([2, 2, 2, 3], seed: 5)] {
      try expectTermGradient(at: start) {
        crossEntropy($0, labels: labels, weights: weights, valid: 20, alignCorners: true, factor: 0.7, name: "", $1)
      }
    }
    try expectTermGradient(at: point) {
      focal($0, labels: labels, gamma: 2, weights: weights, valid: 20, factor: 0.7, name: "", $1)
    }
    try expectTermGradient(at: point) {
      reverseCrossEntropy($0, labels: labels, weights: weights, valid: 20, factor: 0.7, name: "", $1)
    }
    try expectTermGradient(at: point) {
      softCrossEntropy($0, targets: targets, weights: weights, factor: 0.7, name: "", $1)
    }
    try expectTermGradient(at: point) { klDivergence($0, targets: targets, factor: 0.7, name: "", $1) }
    // Directions change fast where features are short; the reference file is stricter.
    let prototypes = randomTensor([4, 3], seed: 6)
    try expectTermGradient(at: point, tolerance: 1e-2) {
      pixelPrototypeContrast(
        $0, prototypes: prototypes, labels: labels, temperature: 0.5, globalCount: 20, factor: 0.7, name: "", $1)
    }
  }

  /// Orders change at some points only; between them these losses have gradients.
  @Test func gradientsOfOrders() throws {
    let point = randomTensor(LossTermTests.shape, seed: 7, scale: 2)
    let labels = LossTermTests.labels
    for scope in [LovaszScope.image, .batch] {
      try expectTermGradient(at: point, tolerance: 1e-2, step: 1e-3) {
        try lovaszSoftmax($0, labels: labels, scope: scope, factor: 0.7, name: "", $1)
      }
    }
    try expectTermGradient(at: point, step: 1e-3) {
      try hardPixelCrossEntropy($0, labels: labels, threshold: 0.3, kept: 6, factor: 0.7, name: "", $1)
    }
  }

  @Test func emptySetsAreZeroWithoutGradient() throws {
    let nothing = LabelMap(samples: 2, height: 3, width: 4)
    let terms: [(Variable, ForwardContext) throws -> LossTerm] = [
      { focal($0, labels: nothing, valid: 0, factor: 1, name: "", $1) },
      { reverseCrossEntropy($0, labels: nothing, valid: 0, factor: 1, name: "", $1) },
      { try hardPixelCrossEntropy($0, labels: nothing, factor: 1, name: "", $1) },
      { try lovaszSoftmax($0, labels: nothing, scope: .image, factor: 1, name: "", $1) },
      { try lovaszSoftmax($0, labels: nothing, scope: .batch, factor: 1, name: "", $1) },
      {
        pixelPrototypeContrast(
          $0, prototypes: Tensor(repeating: 1, [2, 3]), labels: nothing, temperature: 1, globalCount: 0, factor: 1,
          name: "", $1)
      },
    ]
    for term in terms {
      let tape = Tape()
      let x = Variable(tracked: randomTensor(LossTermTests.shape, seed: 8))
      let found = try term(x, soloContext(2, tape: tape))
      tape.walkBack()
      #expect(found.perSample == [0, 0] && x.gradient?.values.allSatisfy { $0 == 0 } != false)
    }
  }

  @Test("a difference on edges of labels is one over all elements, and its gradient is its derivative")
  func edgeDistanceIsOverAllElements() throws {
    let (x, reference) = (randomTensor([2, 5, 6, 3], seed: 41), randomTensor([2, 5, 6, 3], seed: 42, scale: 9))
    let labels = LabelMap(samples: 2, height: 5, width: 6, values: (0..<60).map { $0 % 6 < 1 ? 0 : $0 < 30 ? 9 : 0 })
    let edges = labelEdges(labels)
    #expect(edges.contains(1) && edges.contains(0))
    let term = edgeDistance(
      Variable(constant: x), reference: reference, labels: labels, factor: 0.5, name: "", soloContext(2))
    let expected = zip(doubles(x), doubles(reference)).enumerated().reduce(0.0) { sum, pair in
      sum + (edges[pair.offset / 3] == 1 ? abs(pair.element.0 - pair.element.1) : 0)
    }
    #expect(abs(term.perSample.reduce(0, +) - 0.5 * expected / 180) < 1e-6 * expected)
    try expectTermGradient(at: x) {
      edgeDistance($0, reference: reference, labels: labels, factor: 0.5, name: "", $1)
    }
  }
}
