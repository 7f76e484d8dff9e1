// Parts of the Mix Transformer: reduced attention, feed-forward, block, patch embedding. The number of heads and the map that
// the tokens came from are in the remark on the input, other sizes in the shapes.

import Autograd
import Kernels
import Networks
import Tensors

/// Self-attention over a strided summary of the map (`_sr8`: stride 8).
enum AttentionKind: Kind {
  static let stems = ["attention"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input", map: fixture.map(in: replay.path("input")))
    let layer = ReducedAttention(
      replay.registry, Replay.layer, channels: x.value.channels,
      heads: try heads(fixture, replay.path("input"), channels: x.value.channels),
      reduction: try reduction(replay, "sr.weight"))
    try replay.load(samples: x.value.samples)
    try replay.compare(layer(x, replay.context(samples: x.value.samples)), into: &verifier)
  }

  /// Heads by the remark, which divide the channels.
  static func heads(_ fixture: Fixture, _ path: String, channels: Int) throws -> Int {
    let heads = try fixture.integer(after: "heads", in: path)
    guard heads > 0, channels % heads == 0 else { throw fixture.bad(path, "\(heads) heads for \(channels) channels") }
    return heads
  }

  /// Stride of the summary, the size of its kernel; 1 without one.
  static func reduction(_ replay: Replay, _ name: String) throws -> Int {
    replay.fixture.contains(replay.path(name)) ? try replay.shape(name).last ?? 1 : 1
  }
}

/// Linear map, depthwise convolution, GELU, linear map.
enum FeedForwardKind: Kind {
  static let stems = ["mix_ffn"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input", map: fixture.map(in: replay.path("input")))
    let layer = MixFeedForward(
      replay.registry, Replay.layer, channels: x.value.channels, hidden: try replay.shape("fc1.bias").first ?? 0)
    try replay.load(samples: x.value.samples)
    try replay.compare(layer(x, replay.context(samples: x.value.samples)), into: &verifier)
  }
}

/// A whole transformer block without drop path.
enum BlockKind: Kind {
  static let stems = ["block"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input", map: fixture.map(in: replay.path("input")))
    let block = Block(
      replay.registry, Replay.layer, channels: x.value.channels,
      heads: try AttentionKind.heads(fixture, replay.path("input"), channels: x.value.channels),
      reduction: try AttentionKind.reduction(replay, "attn.sr.weight"), dropPath: 0)
    try replay.load(samples: x.value.samples)
    try replay.compare(block(x, replay.context(samples: x.value.samples)), into: &verifier)
  }
}

/// Strided convolution with overlapping patches, then layer norm (`_k7s4`: kernel 7, stride 4).
enum PatchEmbeddingKind: Kind {
  static let stems = ["patch_embed"]

  static func verify(group: String, _ fixture: Fixture, into verifier: inout Verifier) throws {
    var replay = Replay(group, fixture)
    let x = try replay.input("input")
    let shape = try replay.shape("proj.weight")
    guard shape.count == 4, let stride = group.firstMatch(of: /_k\d+s(\d+)$/).flatMap({ Int($0.1) }), stride > 0 else {
      throw fixture.bad(group, "the name gives no stride, or the weight has shape \(shape)")
    }
    let layer = PatchEmbedding(
      replay.registry, Replay.layer, inputs: x.value.channels, outputs: shape[0], kernel: shape[2], stride: stride)
    try replay.load(samples: x.value.samples)
    try replay.compare(layer(x, replay.context(samples: x.value.samples)), into: &verifier)
  }
}
