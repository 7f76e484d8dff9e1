// Contrast of vectors of two resolutions: a naive twin, gradients of vectors and attentions in both roles, equal bits on any
// number of ranks, and the unit checks of CLUDA's specification.

import Autograd
import Collectives
import CollectivesTesting
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@Suite struct ResolutionContrastTests {
  /// Places of four samples with three cells each.
  private struct Scene: Sendable {
    var labels: [UInt8] = [0, 1, 255, 1, 1, 0, 255, 255, 255, 2, 0, 1]
    var inside = [true, true, true, false, true, true, false, true, true, true, true, true]
    var attention: [Float] = (0..<12).map { 0.2 + Float($0) / 20 }
    var weights: [Float]? = (0..<12).map { Float($0 % 3 + 1) / 3 }
    var unpaired: Set<UInt8> = []
    var anchorsAlone = false

    func places(_ attention: [Float]) -> ContrastedPlaces {
      ContrastedPlaces(
        labels: labels, inside: inside, attention: attention, weights: weights, unpaired: unpaired,
        anchorsAlone: anchorsAlone)
    }
  }

  private static func vectors(_ seed: UInt64) -> Tensor {
    Kernels.unitLength(randomTensor([4, 3, 5], seed: seed), epsilon: 1e-12).output
  }

  /// In Double, pair by pair.
  private static func twin(_ low: [Double], _ high: [Double], _ attention: [Double], _ scene: Scene) -> Double {
    func product(_ x: [Double], _ i: Int, _ y: [Double], _ j: Int) -> Double {
      (0..<5).reduce(0) { $0 + x[i * 5 + $1] * y[j * 5 + $1] }
    }
    let used = scene.labels.indices.filter { scene.labels[$0] != 255 }
    var sum = 0.0
    for i in used {
      func isShared(_ j: Int) -> Bool {
        scene.anchorsAlone ? scene.inside[i] && scene.labels[i] != 0 : scene.inside[i] && scene.inside[j]
      }
      let negatives = used.filter { scene.labels[$0] != scene.labels[i] }
      let coarse = negatives.reduce(0) { $0 + exp(product(low, i, low, $1)) }
      let fine = negatives.filter { scene.anchorsAlone || scene.inside[i] && scene.inside[$0] }
        .reduce(0) { $0 + exp(product(low, i, high, $1)) }
      let partners =
        scene.unpaired.contains(scene.labels[i]) ? [] : used.filter { scene.labels[$0] == scene.labels[i] && $0 != i }
      for j in partners {
        let share = isShared(j) ? attention[i] * attention[j] : scene.anchorsAlone ? 0 : 1
        let (s, t) = (product(low, i, low, j), product(low, i, high, j))
        let pair = (scene.weights.map { Double($0[i]) * Double($0[j]) } ?? 1) / Double(partners.count)
        let cost = share * (log(exp(s) + coarse) - s) + (share == 1 ? 0 : (1 - share) * (log(exp(t) + fine) - t))
        sum += pair * cost
      }
    }
    return 0.7 * sum / 2 / Double(used.count)
  }

  private static func term(
    _ low: Variable, _ high: Variable, _ attention: Variable, _ scene: Scene, _ context: ForwardContext
  ) throws -> LossTerm {
    try resolutionContrast(
      coarse: low, fine: high, attention: attention,
      among: (vectors(41).reshaped([12, 5]), vectors(42).reshaped([12, 5]), scene.places(scene.attention)), factor: 0.7,
      name: "", context)
  }

  private static let scenes = [
    Scene(), Scene(weights: nil), Scene(unpaired: [1]), Scene(anchorsAlone: true),
    Scene(inside: Array(repeating: false, count: 12)), Scene(inside: Array(repeating: true, count: 12)),
  ]

  @Test(arguments: 0..<scenes.count) func valuesAndGradientsAreTheTwins(number: Int) throws {
    let scene = Self.scenes[number]
    let tape = Tape()
    let (low, high) = (Variable(tracked: Self.vectors(41)), Variable(tracked: Self.vectors(42)))
    let attention = Variable(tracked: Tensor(scene.attention, [4, 3]))
    let found = try Self.term(low, high, attention, scene, soloContext(4, tape: tape))
    let points = [doubles(low.value), doubles(high.value), doubles(attention.value)]
    func twin(_ number: Int, _ point: [Double]) -> Double {
      var all = points
      all[number] = point
      return Self.twin(all[0], all[1], all[2], scene)
    }
    #expect(abs(found.perSample.reduce(0, +) - twin(0, points[0])) < 1e-6)
    for (number, variable) in [low, high, attention].enumerated() {
      let gradient = doubles(try #require(variable.gradient))
      let hasNone = number > 0 && !scene.inside.contains(true)
      guard !hasNone else {
        #expect(gradient.allSatisfy { $0 == 0 })
        continue
      }
      let error = directionalError(
        at: points[number], direction: doubles(randomTensor(variable.value.shape, seed: 43)), gradient: gradient
      ) { twin(number, $0) }
      #expect(error < 2e-5, "\(number): \(error)")
    }
  }

  @Test func ranksMakeTheSameBits() throws {
    func found(_ ranks: Int, order: [Int]?) throws -> [UInt64] {
      try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let count = 4 / ranks
        let samples = communicator.rank * count..<(communicator.rank + 1) * count
        let scene = Scene()
        let parts = [41, 42].map { Variable(tracked: Self.vectors($0).samples(samples).copy()) }
        let attention = Variable(tracked: Tensor(scene.attention, [4, 3]).samples(samples).copy())
        let context = ForwardContext(
          tape: Tape(), normalization: .batch, communicator: communicator, globalBatch: 4,
          firstSample: 4 + samples.lowerBound)
        let loss = try resolutionContrast(
          coarse: parts[0], fine: parts[1], attention: attention,
          among: (
            Self.vectors(41).reshaped([12, 5]), Self.vectors(42).reshaped([12, 5]), scene.places(scene.attention)
          ), order: order, factor: 1, name: "", context)
        let gradients = (parts + [attention]).flatMap { $0.gradient?.values ?? [] }.map { UInt64($0.bitPattern) }
        return (samples.lowerBound, loss.perSample.map(\.bitPattern), gradients)
      }.sorted { $0.0 < $1.0 }.reduce(into: ([UInt64](), [UInt64]())) { all, part in
        all.0 += part.1
        all.1 += part.2
      }.0
    }
    for order in [nil, (0..<12).map { $0 % 3 * 4 + $0 / 3 }] {
      let one = try found(1, order: order)
      for ranks in [2, 4] { #expect(try found(ranks, order: order) == one, "\(ranks) ranks") }
    }
  }

  @Test func anOrderSendsAttentionsTheirGradients() throws {
    let scene = Scene()
    func gradient(_ order: [Int]?) throws -> [Float] {
      let attention = Variable(tracked: Tensor(scene.attention, [4, 3]))
      _ = try resolutionContrast(
        coarse: Variable(tracked: Self.vectors(41)), fine: Variable(tracked: Self.vectors(42)), attention: attention,
        among: (
          Self.vectors(41).reshaped([12, 5]), Self.vectors(42).reshaped([12, 5]), scene.places(scene.attention)
        ),
        order: order, factor: 1, name: "", soloContext(4, tape: Tape()))
      return try #require(attention.gradient).values
    }
    let order = (0..<12).map { $0 % 3 * 4 + $0 / 3 }
    let (plain, ordered) = (try gradient(nil), try gradient(order))
    #expect(order.indices.allSatisfy { ordered[order[$0]] == plain[$0] } && plain.contains { $0 != 0 })
  }

  // MARK: Unit checks of CLUDA's specification

  private static let low = Tensor([1, 0, 1, 0, 0, 1], [1, 3, 2])
  private static let classes: [UInt8] = [1, 1, 2]

  private static func single(_ weights: [Float]? = nil, labels: [UInt8] = classes) throws -> Double {
    try pairContrast(
      Variable(constant: low), among: low.reshaped([3, 2]), labels: labels, weights: weights, temperature: 1, factor: 1,
      name: "", soloContext(1)
    ).perSample.reduce(0, +)
  }

  private static func double(_ high: Tensor, attention: Float, outside: Int? = nil) throws -> Double {
    let places = ContrastedPlaces(
      labels: classes, inside: (0..<3).map { $0 != outside }, attention: [attention, attention, attention], weights: nil
    )
    return try resolutionContrast(
      coarse: Variable(constant: low), fine: Variable(constant: high),
      attention: Variable(constant: Tensor(repeating: attention, [1, 3])),
      among: (low.reshaped([3, 2]), high.reshaped([3, 2]), places), factor: 1, name: "", soloContext(1)
    ).perSample.reduce(0, +)
  }

  @Test("1 and 5: two cells of one class and one of another; pair weights; a class with one cell")
  func single() throws {
    #expect(abs(try Self.single() - 0.208841) < 1e-6)
    #expect(abs(try Self.single([0.5, 0.5, 0.5]) - 0.052210) < 1e-6)
    #expect(try Self.single(labels: [1, 3, 2]) == 0)
  }

  @Test("2: the same map twice costs half, whatever the attention", arguments: [0, 0.3, 1] as [Float])
  func equalMaps(attention: Float) throws {
    #expect(abs(try Self.double(Self.low, attention: attention) - 0.104421) < 1e-6)
  }

  @Test("3: other fine vectors, more or less trusted; a place outside of the crop")
  func otherMaps() throws {
    let high = Tensor([0, 1, 0, 1, 1, 0], [1, 3, 2])
    for (attention, expected) in [(1, 0.104421), (0.5, 0.354421), (0, 0.437754)] as [(Float, Double)] {
      #expect(abs(try Self.double(high, attention: attention) - expected) < 1e-6, "\(attention)")
      #expect(abs(try Self.double(high, attention: attention, outside: 1) - 0.104421) < 1e-6)
    }
    let zeroed = Tensor([0, 1, 0, 0, 1, 0], [1, 3, 2])
    let places = ContrastedPlaces(
      labels: Self.classes, inside: [true, false, true], attention: [1, 1, 1], weights: nil, anchorsAlone: true)
    let defect = try resolutionContrast(
      coarse: Variable(constant: Self.low), fine: Variable(constant: zeroed),
      attention: Variable(constant: Tensor(repeating: 1, [1, 3])),
      among: (Self.low.reshaped([3, 2]), zeroed.reshaped([3, 2]), places), factor: 1, name: "", soloContext(1))
    #expect(abs(defect.perSample.reduce(0, +) - 0.271087) < 1e-6)
  }

  @Test("4: cells in another order cost the same")
  func permuted() throws {
    let order = [2, 0, 1]
    let values = Self.low.values
    let turned = Tensor(order.flatMap { values[2 * $0..<2 * $0 + 2] }, [1, 3, 2])
    let other = try pairContrast(
      Variable(constant: turned), among: turned.reshaped([3, 2]), labels: order.map { Self.classes[$0] },
      temperature: 1,
      factor: 1, name: "", soloContext(1))
    #expect(abs(other.perSample.reduce(0, +) - (try Self.single())) < 1e-12)
  }
}
