// Discriminators of adversarial methods, from a case's parameters.

import Autograd
import DataParallel
import Kernels
import Networks
import Optimization
import Tensors

/// A discriminator with the parameters under `state_before/`.
struct DiscriminatorReplay {
  private static let prefix = "discriminator"
  let replay: TermReplay
  private let network: Discriminator
  private let parameters: NetworkParameters

  /// - Parameter slots: samples whose gradients are kept; 0: parameters are constants.
  init(_ replay: TermReplay, slots: Int) throws {
    self.replay = replay
    let fixture = replay.fixture
    let first = try fixture.floats(replay.path("state_before/conv1.weight")).shape
    guard first.count == 4, first[0] > 0, first[1] > 0 else {
      throw fixture.bad(replay.group, "a first convolution of shape \(first)")
    }
    let registry = ParameterRegistry()
    network = Discriminator(registry, prefix: DiscriminatorReplay.prefix, inputs: first[1], width: first[0])
    parameters = NetworkParameters(registry, gradientSlots: slots, seed: 0)
    try fixture.load(replay.path("state_before"), into: parameters, name: DiscriminatorReplay.name)
  }

  /// The domain's logits of a map.
  func callAsFunction(_ map: Variable, _ context: ForwardContext) throws -> Variable {
    guard map.value.shape[1] >= 32, map.value.shape[2] >= 32 else {
      throw replay.fixture.bad(replay.group, "maps of \(map.value.shape) are too small for a discriminator")
    }
    return network(map, context)
  }

  /// Compares the gradients that a walk has left and, where the case has parameters after it, one step of Adam.
  func compareGradients(rate: Double, into verifier: inout Verifier) throws {
    try compareStep(parameters, rate: rate, replay, into: &verifier, DiscriminatorReplay.name)
  }

  private static func name(_ parameter: String) -> String { String(parameter.dropFirst(prefix.count + 1)) }
}

/// Compares gradients that a walk has left in slots and, where the case has parameters after it, one step of Adam with the
/// published betas of discriminators.
/// - Parameter name: the file's name of a parameter.
func compareStep(
  _ parameters: NetworkParameters, rate: Double, _ replay: TermReplay, into verifier: inout Verifier,
  _ name: (String) -> String
) throws {
  guard let slots = parameters.gradients else { preconditionFailure("a discriminator of constants") }
  treeSum(slots)
  let gradient = slots.sample(0)
  for slice in parameters.slices {
    try verifier.element(
      replay.path("grad/\(name(slice.name))"), actual: NetworkParameters.official(slice, of: gradient))
  }
  guard replay.fixture.names(under: replay.group).contains("state_after") else { return }
  let optimizer = AdamW(
    slices: parameters.slices.map { ParameterSlice(name: $0.name, range: $0.range, decay: 0) }, beta1: 0.9,
    beta2: 0.99, epsilon: 1e-8)
  optimizer.advance(parameters: parameters.values, gradient: gradient, rate: rate, step: 1)
  try verifier.network(replay.path("state_after"), parameters, name: name)
}

/// What discriminators see of logits.
enum DiscriminatorInput {
  case probabilities
  case information

  func callAsFunction(_ logits: Variable, _ context: ForwardContext) -> Variable {
    let probabilities = softmax(logits, context)
    return self == .probabilities ? probabilities : selfInformation(probabilities, context)
  }
}

/// A discriminator's loss by a case's option `kind`: `bce` or `ls`.
func domainLoss(
  _ map: Variable, towards target: Float, _ replay: TermReplay, factor: Double, _ context: ForwardContext
) -> LossTerm {
  let name = replay.group
  return replay.option("kind", "bce") == "ls"
    ? leastSquares(map, towards: target, factor: Float(factor), name: name, context)
    : binaryCrossEntropy(map, towards: target, factor: Float(factor), name: name, context)
}

/// The segmenter's adversarial term against a frozen discriminator: target maps should look like source.
func verifyAdversarial(
  _ group: String, _ input: DiscriminatorInput, _ fixture: Fixture, into verifier: inout Verifier
) throws {
  var replay = try TermReplay(group, fixture)
  let logits = try replay.input("logits")
  let size = try replay.size("size")
  let context = replay.context(samples: logits.value.samples)
  let discriminator = try DiscriminatorReplay(replay, slots: 0)
  let map = bilinear(
    logits, height: size.height, width: size.width, alignCorners: replay.option("align_corners", true), context)
  let term = domainLoss(
    try discriminator(input(map, context), context), towards: 0, replay, factor: replay.number("weight", 1e-3), context)
  try replay.compare("loss", [term], into: &verifier)
  try replay.compareGradients(into: &verifier)
}

/// The discriminator's own loss on detached maps: half of it for source as 0, half for target as 1.
func verifyDiscriminatorLoss(
  _ group: String, _ input: DiscriminatorInput, _ fixture: Fixture, into verifier: inout Verifier
) throws {
  let replay = try TermReplay(group, fixture)
  let source = try replay.map("source")
  let target = try replay.map("target")
  let context = replay.context(samples: source.samples)
  guard target.samples == source.samples else { throw fixture.bad(group, "batches of different sizes") }
  let discriminator = try DiscriminatorReplay(replay, slots: source.samples)
  let terms = try [("source", source, Float(0)), ("target", target, 1)].map { name, logits, domain in
    let size = try replay.size("size_\(name)")
    let map = Kernels.bilinear(logits, height: size.height, width: size.width, alignCorners: true)
    let output = try discriminator(input(Variable(constant: map), context), context)
    return domainLoss(output, towards: domain, replay, factor: 0.5, context)
  }
  try replay.compare("loss", terms, into: &verifier)
  try replay.compareGradients(into: &verifier)
  try discriminator.compareGradients(rate: replay.number("rate", 1e-3), into: &verifier)
}
