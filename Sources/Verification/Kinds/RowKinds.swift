// Operators on rows of channels: layer norm, GELU, linear map, soft-max. N samples, T tokens, C channels.

import Autograd
import Kernels
import Tensors

/// Layer norm over the last axis; the name ends in its epsilon (`_eps1e-05`).
enum LayerNormKind: Kind {
  static let stems = ["layer_norm"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    guard let epsilon = number(after: "eps", in: group) else { throw fixture.bad(group, "the name gives no epsilon") }
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    let (scale, shift) = (try replay.declare("weight"), try replay.declare("bias"))
    guard scale.count == x.value.channels, shift.count == x.value.channels else {
      throw fixture.bad(group, "\(scale.count) factors for \(x.value.channels) channels")
    }
    try replay.load(samples: x.value.samples)
    let context = replay.context(samples: x.value.samples)
    try replay.compare(
      layerNorm(x, scale: scale, shift: shift, epsilon: Float(epsilon), context), into: &verifier)
  }
}

/// Exact GELU.
enum GELUKind: Kind {
  static let stems = ["gelu"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    try replay.compare(gelu(x, replay.context(samples: x.value.samples)), into: &verifier)
  }
}

/// Affine map of the last axis.
enum LinearKind: Kind {
  static let stems = ["linear"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    let weight = try replay.declare("weight")
    let bias = fixture.contains(replay.path("bias")) ? try replay.declare("bias") : nil
    guard weight.officialShape.count == 2, weight.officialShape[1] == x.value.channels,
      bias.map({ $0.count == weight.officialShape[0] }) ?? true
    else { throw fixture.bad(group, "weight \(weight.officialShape) for input \(x.value.shape)") }
    try replay.load(samples: x.value.samples)
    try replay.compare(linear(x, weight, bias, replay.context(samples: x.value.samples)), into: &verifier)
  }
}

/// Soft-max over the last axis.
enum SoftmaxKind: Kind {
  static let stems = ["softmax"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    let output = softmax(try fixture.tensor("\(group)/input"))
    try verifier.element("\(group)/output", output)
    let upstream = try fixture.tensor("\(group)/grad_output")
    guard upstream.shape == output.shape else { throw fixture.bad(group, "cotangent \(upstream.shape)") }
    try verifier.element("\(group)/grad_input", softmaxGradient(output: output, gradient: upstream))
  }
}
