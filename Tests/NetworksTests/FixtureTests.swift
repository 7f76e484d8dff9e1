// The networks against reference numbers: encoder and HRDA, forward and every gradient.

import Autograd
import Foundation
import Networks
import Tensors
import TestSupport
import Testing

@Suite(.enabled(if: hasSharedFolder, "needs ../shared"))
struct FixtureTests {
  @Test func encoderForwardAndBackward() throws {
    let fixture = try #require(try FixtureFile("encoder"))
    let network = try #require(try fixtureNetwork())
    let tape = Tape()
    let image = Variable(tracked: try fixture.tensor("image"))
    let features = try network.features(image, soloContext(2, tape: tape))
    for (index, feature) in features.enumerated() {
      #expect(try fixture.timesAllowed(feature.value, "feature\(index + 1)") <= 1, "feature \(index + 1)")
      feature.cell?.accumulate(try fixture.tensor("grad_feature\(index + 1)"))
    }
    tape.walkBack()
    let imageGradient = try #require(image.gradient)
    #expect(normError(nhwcToNCHW(imageGradient), try fixture.floats("grad_image").values) < 1e-5)
    try expectGradients(network, fixture)
  }

  private func expectGradients(_ network: SegmentationNetwork, _ fixture: FixtureFile) throws {
    let gradients = officialGradients(network)
    let paths = fixture.datasets(under: "gradients")
    #expect(!paths.isEmpty)
    for path in paths {
      let name = String(path.drop { $0 != "/" }.dropFirst())
      guard !isNullDirection(name) else { continue }
      let error = normError(try #require(gradients[name], "\(name)"), try fixture.floats(path).values)
      #expect(error < 5e-4, "\(name): \(error)")
    }
  }

  @Test(arguments: [("hrda", 64, 64), ("hrda_odd", 56, 72)])
  func hrdaPass(name: String, cropHeight: Int, cropWidth: Int) throws {
    let fixture = try #require(try FixtureFile(name))
    let network = try #require(try fixtureNetwork(detail: (cropHeight, cropWidth)))
    let image = try fixture.tensor("image")
    let labels = try fixture.labels("label")
    let edges = try fixture.integers("box").values
    let box = Box(top: edges[0], bottom: edges[1], left: edges[2], right: edges[3])
    let weights = Tensor(try fixture.floats("pixel_weight").values, [2, labels.height, labels.width])
    #expect(try fixture.timesAllowed(network.contextImage(image), "train/context_image") <= 1)
    let tape = Tape()
    let context = soloContext(2, tape: tape)
    let output = try network.train(image, box: box, context)
    for index in 0..<4 {
      #expect(try fixture.timesAllowed(output.contextFeatures[index].value, "train/context_feature\(index + 1)") <= 1)
      #expect(try fixture.timesAllowed(output.detailFeatures[index].value, "train/detail_feature\(index + 1)") <= 1)
    }
    let fused = try #require(output.fused)
    let detail = try #require(output.detail)
    #expect(try fixture.timesAllowed(try #require(output.context).value, "train/context_logits") <= 1)
    #expect(try fixture.timesAllowed(detail.value, "train/detail_logits") <= 1)
    #expect(try fixture.timesAllowed(try #require(output.attention).value, "train/attention") <= 1)
    #expect(try fixture.timesAllowed(fused.value, "train/fused_logits") <= 1)

    let fusedLoss = crossEntropy(fused, labels: labels, weights: weights, factor: 0.9, name: "fused", context)
    let inside = cropWeights(weights, box)
    let detailLoss = crossEntropy(
      detail, labels: labels.cropped(to: box), weights: inside, factor: 0.1, name: "detail", context)
    #expect(try fixture.timesAllowed([Float(fusedLoss.perSample.reduce(0, +))], "train/loss_fused") <= 1)
    #expect(try fixture.timesAllowed([Float(detailLoss.perSample.reduce(0, +))], "train/loss_detail") <= 1)
    tape.walkBack()
    if name == "hrda" { try expectGradients(network, fixture) }
    try expectGradientNorms(network, fixture)
    for (name, _, values) in network.parameters.officialBuffers()
    where try fixture.file.contains("statistics_after/\(name)") {
      #expect(try fixture.timesAllowed(values, "statistics_after/\(name)") <= 1, "\(name)")
    }
  }

  private func cropWeights(_ weights: Tensor, _ box: Box) -> Tensor {
    let width = weights.shape[2]
    let values = weights.values
    let inside = (0..<weights.samples).flatMap { sample in
      (box.top..<box.bottom).flatMap { row in
        (box.left..<box.right).map { values[(sample * weights.shape[1] + row) * width + $0] }
      }
    }
    return Tensor(inside, [weights.samples, box.height, box.width])
  }

  private func expectGradientNorms(_ network: SegmentationNetwork, _ fixture: FixtureFile) throws {
    guard try fixture.file.contains("gradient_norms") else { return }
    let norms = try fixture.floats("gradient_norms").values
    let gradients = officialGradients(network).sorted {
      Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8))
    }
    try #require(norms.count == gradients.count)
    for (norm, (name, values)) in zip(norms, gradients) where !isNullDirection(name) {
      let own = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      #expect(abs(own - Double(norm)) <= 5e-4 * Double(norm), "\(name): \(own) instead of \(norm)")
    }
  }

  @Test func densePassesOfHRDA() throws {
    let fixture = try #require(try FixtureFile("hrda"))
    let teacher = try #require(try fixtureNetwork(slots: 0))
    let image = try fixture.tensor("image")
    let dense = try teacher.dense(image, soloContext(2))
    #expect(try fixture.timesAllowed(dense.logits, "dense_train/fused_logits") <= 1)
    #expect(try fixture.timesAllowed(try #require(dense.detail), "dense_train/detail_logits") <= 1)
    let trained = try #require(try fixtureNetwork(slots: 0))
    for path in fixture.datasets(under: "statistics_after") {
      let name = String(path.drop { $0 != "/" }.dropFirst())
      #expect(trained.parameters.loadBuffer(try fixture.floats(path).values, named: name))
    }
    let still = try trained.dense(image, soloContext(2, .running))
    #expect(try fixture.timesAllowed(still.logits, "dense_eval/fused_logits") <= 1)
    #expect(try fixture.timesAllowed(try #require(still.detail), "dense_eval/detail_logits") <= 1)
  }

  @Test func officialNamesAndShapes() throws {
    let weights = try #require(try FixtureFile("weights"))
    let network = try #require(try fixtureNetwork(slots: 0))
    var expected: [String: [Int]] = [:]
    for path in weights.datasets(under: "student") {
      expected[String(path.drop { $0 != "/" }.dropFirst())] = try weights.floats(path).shape
    }
    let own = network.parameters.official(of: network.parameters.values) + network.parameters.officialBuffers()
    #expect(Dictionary(uniqueKeysWithValues: own.map { ($0.name, $0.shape) }) == expected)
  }
}
