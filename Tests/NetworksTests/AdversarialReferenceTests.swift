// The first step of AdaptSegNet on the reference file's small network: DeepLabV2 heads at two levels, aligned resizing,
// soft-max, a discriminator for each, and the gradient of all of it together.

import Autograd
import Foundation
import Kernels
import Networks
import Tensors
import TestSupport
import Testing

/// The network of `methods/22-adaptsegnet-step`: two normalised convolutions whose scale and shift stay, a plain one, a
/// head on the second and on the third map.
private struct SmallDeepLab {
  let parameters: NetworkParameters
  private let convolutions: [Parameter]
  private let bias: Parameter
  private let norms: [BatchNormState]
  private let heads: [any SegmentationHead]

  init(classes: Int, width: Int = 6) {
    let registry = ParameterRegistry()
    let widths = [3, width, width]
    convolutions = (0..<3).map { index in
      registry.declare("conv\(index + 1).weight", [width, widths[index], 3, 3], .constant(0))
    }
    bias = registry.declare("conv3.bias", [width], .constant(0))
    norms = (1...2).map { registry.declareBatchNorm("bn\($0)", channels: width) }
    heads = ["aux", "main"].map {
      DeepLabHead(registry, $0, channels: [width], classCount: classes, HeadOptions(dilations: [6, 12]))
    }
    parameters = NetworkParameters(registry, gradientSlots: 1, seed: 1)
  }

  /// Our name of a parameter of the file.
  static func name(_ stored: String) -> String {
    let parts = stored.split(separator: ".")
    return parts.count == 3 ? "\(parts[0]).aspp_modules.\(parts[1]).conv.\(parts[2])" : stored
  }

  /// Logits of both levels, the auxiliary ones first.
  func callAsFunction(_ image: Tensor, _ context: ForwardContext) throws -> [Variable] {
    let geometries = [
      ConvolutionGeometry(kernel: 3, stride: 2), ConvolutionGeometry(kernel: 3, dilation: 2),
      ConvolutionGeometry(kernel: 3),
    ]
    var x = Variable(constant: image)
    var maps: [Variable] = []
    for (index, geometry) in geometries.enumerated() {
      let y = convolution(x, convolutions[index], index == 2 ? bias : nil, geometry, context)
      x = index == 2 ? relu(y, context) : try batchNorm(y, norms[index], rectifier: .relu, context)
      maps.append(x)
    }
    return try heads.enumerated().map { try $1([maps[$0 + 1]], context).logits }
  }
}

@Suite(.enabled(if: hasSharedFolder, "needs ../shared")) struct AdversarialReferenceTests {
  private static let group = "step/step0"

  /// An image with the file's mean taken off; the published one is of no unit.
  private static func image(_ file: FixtureFile, _ domain: String) throws -> Tensor {
    let mean: [Float] = [104.00698793, 116.66876762, 122.67891434]
    let (bytes, shape) = try file.bytes("\(group)/in/\(domain)_rgb")
    let plane = shape[2] * shape[3]
    return nchwToNHWC(bytes.enumerated().map { Float($1) - mean[$0 / plane % 3] }, shape)
  }

  @Test func firstStep() throws {
    let file = try #require(try FixtureFile("methods/22-adaptsegnet-step"))
    let network = SmallDeepLab(classes: 5)
    for stored in file.names(under: "step/state_before/net") {
      let values = try file.floats("step/state_before/net/\(stored)").values
      let (name, parameters) = (SmallDeepLab.name(stored), network.parameters)
      #expect(
        parameters.load(values, named: name, into: parameters.values)
          || parameters.loadBuffer(values, named: name), "\(name)")
    }
    #expect(network.parameters.slices.count == 4 + 4 + 8)

    let source = try Self.segmentation(file, network)
    #expect(try file.timesAllowed([Float(source)], "\(Self.group)/out/loss_segmentation") <= 1)
    for (name, loss) in try Self.adversarial(file, network) {
      #expect(try file.timesAllowed([Float(loss)], "\(Self.group)/out/loss_adversarial_\(name)") <= 1)
    }
    for stored in file.names(under: "\(Self.group)/grad/net") {
      let path = "\(Self.group)/grad/net/\(stored)"
      let error = try gradientError(network.parameters, SmallDeepLab.name(stored), file, path)
      #expect(error < 1e-5, "\(stored): \(error)")
    }
  }

  /// Cross-entropy of both levels over the labelled pixels, walked back.
  private static func segmentation(_ file: FixtureFile, _ network: SmallDeepLab) throws -> Double {
    let labels = try file.labels("\(group)/in/source_label")
    let labelled = labels.values.count { $0 != 255 }
    let context = soloContext(1, tape: Tape())
    let logits = try network(try image(file, "source"), context)
    #expect(try file.timesAllowed(logits[1].value, "\(group)/out/logits_source_main") <= 1)
    let losses = zip(logits, [0.1, 1.0]).map { logits, weight in
      let whole = bilinear(logits, height: labels.height, width: labels.width, alignCorners: true, context)
      let factor = weight / Double(labelled)
      let loss = Kernels.crossEntropy(whole.value, labels: labels, weights: nil, factor: Float(factor))
      whole.cell?.accumulate(loss.gradient)
      return loss.sums[0] * factor
    }
    context.tape?.walkBack()
    return losses.reduce(0, +)
  }

  /// Binary cross-entropy of frozen discriminators towards "source", 0, walked back.
  private static func adversarial(_ file: FixtureFile, _ network: SmallDeepLab) throws -> [(String, Double)] {
    let context = soloContext(1, tape: Tape())
    let target = try image(file, "target")
    let logits = try network(target, context)
    #expect(try file.timesAllowed(logits[1].value, "\(group)/out/logits_target_main") <= 1)
    let terms = try zip(["aux", "main"], zip(logits, [0.02, 0.1])).map { level, given in
      let registry = ParameterRegistry()
      let discriminator = Discriminator(registry, prefix: "d", inputs: 5, width: 2)
      let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 1)
      try load(file, "step/state_before/discriminator_\(level)", into: parameters, prefix: "d.")
      let whole = bilinear(
        given.0, height: target.shape[1], width: target.shape[2], alignCorners: true, context)
      let map = discriminator(softmax(whole, context), context)
      let factor = given.1 / Double(map.value.count)
      let scores = doubles(map.value)
      map.cell?.accumulate(Tensor(scores.map { Float(factor * naiveSigmoid($0)) }, map.value.shape))
      return (level, scores.reduce(0) { $0 - factor * log(naiveSigmoid(-$1)) })
    }
    context.tape?.walkBack()
    return terms
  }
}
