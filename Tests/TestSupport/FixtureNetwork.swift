// Networks that hold a fixture's weights, and forward contexts for them.

import Autograd
import Collectives
import Networks
import Support
import Tensors

/// The network of `weights.h5` with its parameters loaded.
/// - Throws: if a stored tensor has no counterpart, or the fixture cannot be read.
public func fixtureNetwork(detail: (Int, Int) = (64, 64), slots: Int = 2) throws -> SegmentationNetwork? {
  guard let weights = try FixtureFile("weights") else { return nil }
  var configuration = NetworkConfiguration(
    encoder: "tiny", classCount: 7, detailHeight: detail.0, detailWidth: detail.1, headWidth: 32, attentionWidth: 32)
  configuration.encoderOptions = EncoderOptions(dropPath: 0)
  configuration.headDropout = 0
  let network = try SegmentationNetwork(configuration, gradientSlots: slots, seed: 0)
  for path in weights.datasets(under: "student") {
    let name = String(path.drop { $0 != "/" }.dropFirst())
    let values = try weights.floats(path).values
    let isKnown =
      network.parameters.load(values, named: name, into: network.parameters.values)
      || network.parameters.loadBuffer(values, named: name)
    guard isKnown else { throw Failure(.badData, "no parameter \(name)") }
  }
  return network
}

/// A context for a batch held by one rank.
public func soloContext(_ samples: Int, tape: Tape? = nil, _ mode: NormalizationMode = .batch) -> ForwardContext {
  ForwardContext(
    tape: tape, normalization: mode, communicator: SoloCommunicator(), globalBatch: samples, firstSample: 0)
}

/// The gradient of a parameter summed over samples, in the official order.
public func officialGradients(_ network: SegmentationNetwork) -> [String: [Float]] {
  guard let slots = network.parameters.gradients else { return [:] }
  let sum = Tensor(zeros: [network.parameters.values.count])
  for sample in 0..<slots.samples {
    for index in 0..<sum.count { sum.pointer[index] += slots.pointer[sample * sum.count + index] }
  }
  return Dictionary(uniqueKeysWithValues: network.parameters.official(of: sum).map { ($0.name, $0.values) })
}

/// ‖actual - expected‖ / ‖expected‖.
public func normError(_ actual: [Float], _ expected: [Float]) -> Double {
  var difference = 0.0
  var norm = 0.0
  for (a, e) in zip(actual, expected) {
    difference += (Double(a) - Double(e)) * (Double(a) - Double(e))
    norm += Double(e) * Double(e)
  }
  return actual.count == expected.count ? (difference / max(norm, 1e-60)).squareRoot() : .infinity
}

/// The frozen encoder of `steps.h5`, from `weights.h5`.
public func fixtureReferenceEncoder() throws -> ReferenceEncoder? {
  guard let weights = try FixtureFile("weights") else { return nil }
  let configuration = NetworkConfiguration(encoder: "tiny", classCount: 7, detailHeight: 64, detailWidth: 64)
  let encoder = try ReferenceEncoder(configuration, seed: 0)
  for path in weights.datasets(under: "frozen_encoder") {
    let name = String(path.drop { $0 != "/" }.dropFirst())
    let values = try weights.floats(path).values
    guard encoder.parameters.load(values, named: name, into: encoder.parameters.values) else {
      throw Failure(.badData, "no parameter \(name)")
    }
  }
  return encoder
}

/// Parameters whose exact gradient is zero, so that Adam turns rounding noise into steps: the key half of every
/// `kv.bias`, and biases whose constant batch norm removes.
public func isNullDirection(_ name: String) -> Bool {
  name.hasSuffix("attn.kv.bias") || (name.contains("scale_attention.embed_layers") && name.hasSuffix("bias"))
}
