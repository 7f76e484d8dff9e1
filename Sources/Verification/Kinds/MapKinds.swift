// Operators on maps: dense and depthwise convolution, bilinear resizing, batch norm. N samples, H×W pixels, C channels.

import Autograd
import Kernels
import Networks
import Tensors

/// Dense convolution; stride by the name (`_stride4`), kernel and padding by the shapes.
enum ConvolutionKind: Kind {
  static let stems = ["conv"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    let weight = try replay.declare("weight")
    let bias = fixture.contains(replay.path("bias")) ? try replay.declare("bias") : nil
    let kernel = weight.officialShape
    guard x.value.shape.rank == 4, kernel.count == 4, kernel[1] == x.value.channels, kernel[2] == kernel[3],
      bias.map({ $0.count == kernel[0] }) ?? true
    else { throw fixture.bad(group, "weight \(kernel) for input \(x.value.shape)") }
    let geometry = try geometry(replay, kernel: kernel[2], input: x.value.shape)
    try replay.load(samples: x.value.samples)
    let context = replay.context(samples: x.value.samples)
    try replay.compare(convolution(x, weight, bias, geometry, context), into: &verifier)
  }

  /// The smallest padding that gives the output's height and width.
  private static func geometry(_ replay: Replay, kernel: Int, input: Shape) throws -> ConvolutionGeometry {
    let stride = min(Int(clamping: number(after: "stride", in: replay.group) ?? 1), 1 << 20)
    let output = try replay.shape("output")
    let candidates = (0...kernel).map { ConvolutionGeometry(kernel: kernel, stride: max(stride, 1), padding: $0) }
    let fitting = candidates.first {
      output.count == 4 && $0.outputExtent(input[1]) == output[2] && $0.outputExtent(input[2]) == output[3]
    }
    guard let fitting else {
      throw replay.fixture.bad(replay.group, "no padding leads from \(input) to \(output) with kernel \(kernel)")
    }
    return fitting
  }
}

/// Depthwise convolution of stride 1 that keeps the size; dilation by the name (`_dilation6`).
enum DepthwiseConvolutionKind: Kind {
  static let stems = ["depthwise"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    let weight = try replay.declare("weight")
    let bias = fixture.contains(replay.path("bias")) ? try replay.declare("bias") : nil
    let dilation = Int(clamping: number(after: "dilation", in: group) ?? 1)
    guard x.value.shape.rank == 4, weight.officialShape == [x.value.channels, 1, 3, 3], (1...1024).contains(dilation),
      bias.map({ $0.count == x.value.channels }) ?? true
    else { throw fixture.bad(group, "weight \(weight.officialShape) for input \(x.value.shape)") }
    try replay.load(samples: x.value.samples)
    let context = replay.context(samples: x.value.samples)
    try replay.compare(depthwiseConvolution(x, weight, bias, dilation: dilation, context), into: &verifier)
  }
}

/// Bilinear resizing; corner alignment by the name (`_align1`), sizes by the shapes.
enum BilinearKind: Kind {
  static let stems = ["bilinear"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    guard let aligned = number(after: "align", in: group) else {
      throw fixture.bad(group, "the name does not say whether corners are aligned")
    }
    let x = try fixture.tensor("\(group)/input")
    let upstream = try fixture.tensor("\(group)/grad_output")
    guard x.shape.rank == 4, upstream.shape.rank == 4, x.channels == upstream.channels, x.samples == upstream.samples
    else { throw fixture.bad(group, "from \(x.shape) to \(upstream.shape)") }
    let output = bilinear(x, height: upstream.shape[1], width: upstream.shape[2], alignCorners: aligned != 0)
    try verifier.element("\(group)/output", output)
    let gradient = bilinearGradient(upstream, height: x.shape[1], width: x.shape[2], alignCorners: aligned != 0)
    try verifier.element("\(group)/grad_input", gradient)
  }
}

/// Batch norm with the batch's own statistics (`_train`) or the running ones (`_eval`).
enum BatchNormKind: Kind {
  static let stems = ["batch_norm"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    guard group.hasSuffix("_train") || group.hasSuffix("_eval") else {
      throw fixture.bad(group, "the name does not say which statistics are used")
    }
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    let state = replay.registry.declareBatchNorm(Replay.layer, channels: x.value.channels)
    try replay.load(samples: x.value.samples)
    for name in ["running_mean", "running_var"] {
      try replay.setStatistics(name, fixture.floats(replay.path("\(name)_before")).values)
    }
    let context = replay.context(
      samples: x.value.samples, normalization: group.hasSuffix("_train") ? .batch : .running)
    let output = try batchNorm(x, state, rectifier: .identity, context)
    context.statistics.apply()
    for name in ["running_mean", "running_var"] {
      try verifier.element(replay.path("\(name)_after"), actual: replay.statistics(name))
    }
    try replay.compare(output, into: &verifier)
  }
}
