// The warm-up of SPCL (Xie et al., arXiv 2111.12358, 2021): 11-spcl.h5. Its discriminator sees source probabilities at a temperature and
// target probabilities without one. N samples, K classes.

import Autograd
import DataParallel
import Kernels
import Networks
import Optimization
import Tensors

/// Losses of segmenter and discriminator, and one step of the discriminator's optimizer.
enum WarmUpKind: Kind {
  static let stems = ["warm_up"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = try TermReplay(group, fixture)
    let (source, target) = (try replay.input("source_logits"), try replay.input("target_logits"))
    let labels = try replay.labels("labels", classes: source.value.channels)
    let size = try replay.size("target_size")
    let samples = labels.samples
    guard source.value.samples == samples, target.value.samples == samples else {
      throw fixture.bad(group, "batches of different sizes")
    }
    let context = replay.context(samples: samples)
    let trained = try PlainDiscriminator(replay, slots: samples)
    let frozen = try PlainDiscriminator(replay, slots: 0)
    let temperature = Float(replay.number("temperature", 1.8))
    let seen = probabilities(source, (labels.height, labels.width), divisor: temperature, context)
    let asked = probabilities(target, size, divisor: 1, context)
    func domain(_ network: PlainDiscriminator, _ map: Variable, _ target: Float, _ factor: Double) -> LossTerm {
      binaryCrossEntropy(network(map, context), towards: target, factor: Float(factor), name: group, context)
    }
    let terms = [
      (
        "seg",
        crossEntropy(
          scaled(source, by: 1 / temperature, context), labels: labels, weights: nil, valid: labels.labelled,
          alignCorners: true, factor: 1, name: group, context)
      ),
      ("adversarial", domain(frozen, asked, 0, replay.number("weight", 1e-3))),
      ("d_source", domain(trained, Variable(constant: seen.value), 0, 0.5)),
      ("d_target", domain(trained, Variable(constant: asked.value), 1, 0.5)),
    ]
    for (name, term) in terms { try replay.compare("loss_\(name)", [term], into: &verifier) }
    try replay.compareGradients(into: &verifier)
    try trained.compareGradients(rate: replay.number("lr", 1e-4), into: &verifier)
  }

  private static func probabilities(
    _ logits: Variable, _ size: (height: Int, width: Int), divisor: Float, _ context: ForwardContext
  ) -> Variable {
    let dense = bilinear(logits, height: size.height, width: size.width, alignCorners: true, context)
    return softmax(scaled(dense, by: 1 / divisor, context), context)
  }
}

/// A discriminator of any widths, whose five convolutions are numbered.
private struct PlainDiscriminator {
  private static let geometry = ConvolutionGeometry(kernel: 4, stride: 2, padding: 1)
  private let replay: TermReplay
  private let layers: [(weight: Parameter, bias: Parameter)]
  private let parameters: NetworkParameters

  init(_ replay: TermReplay, slots: Int) throws {
    self.replay = replay
    let registry = ParameterRegistry()
    layers = try (0..<5).map { layer in
      let shape = try replay.fixture.floats(replay.path("state_before/\(layer).weight")).shape
      guard shape.count == 4, shape[2...] == [4, 4] else {
        throw replay.fixture.bad(replay.group, "convolution \(layer) of shape \(shape)")
      }
      return (
        registry.declare("d.\(layer).weight", shape, .constant(0)),
        registry.declare("d.\(layer).bias", [shape[0]], .constant(0))
      )
    }
    parameters = NetworkParameters(registry, gradientSlots: slots, seed: 0)
    try replay.fixture.load(replay.path("state_before"), into: parameters) { String($0.dropFirst(2)) }
  }

  func callAsFunction(_ map: Variable, _ context: ForwardContext) -> Variable {
    layers.enumerated().reduce(map) { x, layer in
      let y = convolution(x, layer.element.weight, layer.element.bias, PlainDiscriminator.geometry, context)
      return layer.offset < 4 ? leakyRelu(y, slope: 0.2, context) : y
    }
  }

  func compareGradients(rate: Double, into verifier: inout Verifier) throws {
    try compareStep(parameters, rate: rate, replay, into: &verifier) { String($0.dropFirst(2)) }
  }
}
