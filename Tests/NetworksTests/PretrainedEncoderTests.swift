// EfficientNet-Lite0 with its ImageNet weights, classifier included, beside the class scores that PyTorch computes in
// Float64 from the same tensors.

import Autograd
import Foundation
import Imagery
import Kernels
import Networks
import Tensors
import TestSupport
import Testing
import WeightFiles

private let weightPath = sharedFolder + "/weights/efficientnet-lite0-imagenet.safetensors"
private let photograph = sharedFolder + "/data/camvid/val/images/0001TP_008670.png"

private func isThere(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

@Suite(.serialized) struct PretrainedEncoderTests {
  /// Best classes with their scores, norm of all 1000 scores and their product with hashed numbers.
  struct Expected: Sendable {
    let best: [(index: Int, score: Double)]
    let norm: Double
    let product: Double
  }

  /// The pattern at the training size and at one that no stride divides.
  @Test(
    .enabled(if: isThere(weightPath), "needs ../shared"),
    arguments: [
      (
        224, 224,
        Expected(
          best: [(506, 9.052636), (905, 6.780065), (545, 5.391988), (749, 5.266365), (884, 5.032514)],
          norm: 50.54922, product: 17.314855)
      ),
      (
        150, 187,
        Expected(
          best: [(506, 7.532364), (905, 5.795799), (616, 5.476464), (584, 4.908211), (109, 4.863321)],
          norm: 47.120923, product: -21.87011)
      ),
    ])
  func scoresOfAPattern(height: Int, width: Int, expected: Expected) throws {
    let image = normalised(patternPixels(height: height, width: width), samples: 1, height: height, width: width)
    try expectScores(image, expected)
  }

  /// The middle of a street scene: trolleybus, ambulance, garbage truck, streetcar, traffic light.
  @Test(.enabled(if: isThere(weightPath) && isThere(photograph), "needs ../shared"))
  func scoresOfAPhotograph() throws {
    let whole = try readRGB(photograph)
    let image = cropped(
      normalised(whole.pixels, samples: 1, height: whole.height, width: whole.width),
      to: Box(top: 68, bottom: 292, left: 128, right: 352))
    try expectScores(
      image,
      Expected(
        best: [(874, 9.165322), (407, 7.841546), (569, 7.785307), (829, 7.459245), (920, 7.212934)],
        norm: 44.238478, product: 8.8692563))
  }

  private func expectScores(_ image: Tensor, _ expected: Expected) throws {
    let weights = try WeightFile.read(weightPath)
    let registry = ParameterRegistry()
    let encoder = EfficientNetLite(registry, "backbone")
    let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 0)
    for name in parameters.slices.map(\.name) + parameters.bufferSlices.map(\.name) {
      let tensor = try #require(weights.tensor(String(name.dropFirst("backbone.".count))), "\(name)")
      let values = try tensor.floats()
      if !parameters.load(values, named: name, into: parameters.values) {
        parameters.loadBuffer(values, named: name)
      }
    }
    let maps = try encoder(Variable(constant: image), soloContext(1, .running))
    let scores = try classify(maps[3].value, weights).values.map(Double.init)
    let order = scores.indices.sorted { scores[$0] > scores[$1] }
    let best = expected.best.map(\.index)
    #expect(Array(order.prefix(5)) == best)
    for (index, score) in expected.best { #expect(abs(scores[index] - score) < 1e-4, "class \(index)") }
    let norm = innerProduct(scores, scores).squareRoot()
    let product = innerProduct(scores, hashed(2000, scores.count))
    #expect(abs(norm - expected.norm) < 1e-4)
    #expect(abs(product - expected.product) < 1e-3)
  }

  /// 1×1 convolution, batch norm with epsilon 10⁻³, ReLU6, mean over the map, linear map.
  private func classify(_ map: Tensor, _ weights: WeightFile) throws -> Tensor {
    func matrix(_ name: String) throws -> Tensor {
      let tensor = try #require(weights.tensor(name), "\(name)")
      let shape = Array(tensor.shape.prefix(2))
      return Tensor(
        ParameterLayout.toInternal(try tensor.floats(), officialShape: shape), [shape[1], shape[0]])
    }
    func vector(_ name: String) throws -> Tensor {
      let values = try #require(weights.tensor(name), "\(name)").floats()
      return Tensor(values, [values.count])
    }
    let wide = linear(map, weight: try matrix("_conv_head.weight"))
    let active = batchNormApply(
      wide, mean: try vector("_bn1.running_mean").values,
      inverseDeviation: try vector("_bn1.running_var").values.map { 1 / ($0 + 1e-3).squareRoot() },
      scale: try vector("_bn1.weight"), shift: try vector("_bn1.bias"), rectifier: .relu6)
    let positions = active.count / active.channels
    var mean = [Double](repeating: 0, count: active.channels)
    for (index, value) in active.values.enumerated() { mean[index % active.channels] += Double(value) }
    let pooled = Tensor(mean.map { Float($0 / Double(positions)) }, [1, active.channels])
    return linear(pooled, weight: try matrix("_fc.weight"), bias: try vector("_fc.bias"))
  }
}
