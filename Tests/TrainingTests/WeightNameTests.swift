// Names in published files and where they belong.

import Networks
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite struct WeightNameTests {
  /// The names of networks with these encoders, made once.
  private static let networks = Dictionary(
    uniqueKeysWithValues: ["b0", "resnet50", "efficientnet-lite0"].map { encoder in
      let registry = ParameterRegistry()
      _ = EncoderCatalogue.make(encoder, registry, prefix: "backbone", EncoderOptions())
      let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 0)
      let heads = [
        "linear_c.0.proj.weight", "linear_c.3.proj.bias", "linear_fuse.conv.weight", "linear_fuse.bn.weight",
        "linear_pred.weight",
      ]
      return (
        encoder, Set((parameters.slices + parameters.bufferSlices).map(\.name) + heads.map { "decode_head.\($0)" })
      )
    })

  private static func names(_ encoder: String) throws -> Set<String> { try #require(networks[encoder]) }

  @Test(arguments: [
    ("model.backbone.norm1.weight", WeightOwner.student, "backbone.norm1.weight"),
    ("module.model.backbone.norm1.weight", .student, "backbone.norm1.weight"),
    ("state_dict.module.norm1.weight", .student, "norm1.weight"),
    ("ema_model.decode_head.conv_seg.bias", .teacher, "decode_head.conv_seg.bias"),
    ("module.ema_model.module.x", .teacher, "x"), ("imnet_model.backbone.norm4.bias", .frozen, "backbone.norm4.bias"),
    ("backbone.model.x", .student, "backbone.model.x"), ("_orig_mod.module.norm1.weight", .student, "norm1.weight"),
    ("module._orig_mod.backbone._orig_mod.norm1.weight", .student, "backbone.norm1.weight"),
    ("model_state_dict.model.encoder.norm1.weight", .student, "norm1.weight"),
    ("model.model_state_dict.state_dict.module.encoder.x", .student, "x"),
    ("segformer.encoder.layer_norm.0.bias", .student, "layer_norm.0.bias"),
    ("state_dict.ema_model._orig_mod.encoder.x", .teacher, "x"), ("backbone.encoder.x", .student, "backbone.encoder.x"),
  ]) func prefixesTellTheOwner(name: String, owner: WeightOwner, rest: String) {
    let found = WeightNames.owner(of: name)
    #expect(found.owner == owner && found.name == rest)
  }

  @Test(arguments: [
    ("b0", "patch_embed1.proj.weight", "backbone.patch_embed1.proj.weight"),
    ("b0", "block1.0.attn.q.weight", "backbone.block1.0.attn.q.weight"),
    ("b0", "norm1.weight", "backbone.norm1.weight"),
    ("b0", "backbone.layers.0.0.projection.bias", "backbone.patch_embed1.proj.bias"),
    ("b0", "layers.0.0.norm.bias", "backbone.patch_embed1.norm.bias"),
    ("b0", "layers.3.1.1.attn.attn.out_proj.weight", "backbone.block4.1.attn.proj.weight"),
    ("b0", "layers.1.1.0.attn.sr.weight", "backbone.block2.0.attn.sr.weight"),
    ("b0", "layers.1.1.0.ffn.layers.0.weight", "backbone.block2.0.mlp.fc1.weight"),
    ("b0", "layers.1.1.0.ffn.layers.1.bias", "backbone.block2.0.mlp.dwconv.dwconv.bias"),
    ("b0", "layers.1.1.0.ffn.layers.4.weight", "backbone.block2.0.mlp.fc2.weight"),
    ("b0", "layers.2.2.weight", "backbone.norm3.weight"),
    ("b0", "decode_head.linear_c1.proj.weight", "decode_head.linear_c.0.proj.weight"),
    ("b0", "decode_head.linear_c4.proj.bias", "decode_head.linear_c.3.proj.bias"),
    ("b0", "patch_embeddings.0.proj.weight", "backbone.patch_embed1.proj.weight"),
    ("b0", "patch_embeddings.3.layer_norm.bias", "backbone.patch_embed4.norm.bias"),
    ("b0", "block.0.0.layer_norm_1.weight", "backbone.block1.0.norm1.weight"),
    ("b0", "block.3.1.layer_norm_2.bias", "backbone.block4.1.norm2.bias"),
    ("b0", "block.1.0.attention.self.query.bias", "backbone.block2.0.attn.q.bias"),
    ("b0", "block.1.0.attention.self.sr.weight", "backbone.block2.0.attn.sr.weight"),
    ("b0", "block.1.0.attention.self.layer_norm.weight", "backbone.block2.0.attn.norm.weight"),
    ("b0", "block.1.0.attention.output.dense.weight", "backbone.block2.0.attn.proj.weight"),
    ("b0", "block.1.0.mlp.dense1.weight", "backbone.block2.0.mlp.fc1.weight"),
    ("b0", "block.1.0.mlp.dwconv.dwconv.bias", "backbone.block2.0.mlp.dwconv.dwconv.bias"),
    ("b0", "block.1.0.mlp.dense2.bias", "backbone.block2.0.mlp.fc2.bias"),
    ("b0", "layer_norm.3.weight", "backbone.norm4.weight"),
    ("b0", "decode_head.linear_c.3.proj.bias", "decode_head.linear_c.3.proj.bias"),
    ("b0", "decode_head.batch_norm.weight", "decode_head.linear_fuse.bn.weight"),
    ("b0", "decode_head.classifier.weight", "decode_head.linear_pred.weight"),
    ("efficientnet-lite0", "conv_stem.weight", "backbone._conv_stem.weight"),
    ("efficientnet-lite0", "bn1.running_mean", "backbone._bn0.running_mean"),
    ("efficientnet-lite0", "blocks.0.0.conv_dw.weight", "backbone._blocks.0._depthwise_conv.weight"),
    ("efficientnet-lite0", "blocks.0.0.bn1.weight", "backbone._blocks.0._bn1.weight"),
    ("efficientnet-lite0", "blocks.0.0.conv_pw.weight", "backbone._blocks.0._project_conv.weight"),
    ("efficientnet-lite0", "blocks.0.0.bn2.bias", "backbone._blocks.0._bn2.bias"),
    ("efficientnet-lite0", "blocks.1.0.conv_pw.weight", "backbone._blocks.1._expand_conv.weight"),
    ("efficientnet-lite0", "blocks.2.1.bn1.weight", "backbone._blocks.4._bn0.weight"),
    ("efficientnet-lite0", "blocks.3.2.bn2.weight", "backbone._blocks.7._bn1.weight"),
    ("efficientnet-lite0", "blocks.5.3.conv_pwl.weight", "backbone._blocks.14._project_conv.weight"),
    ("efficientnet-lite0", "blocks.6.0.bn3.running_var", "backbone._blocks.15._bn2.running_var"),
    ("efficientnet-lite0", "_conv_stem.weight", "backbone._conv_stem.weight"),
    ("efficientnet-lite0", "_blocks.0._bn1.running_var", "backbone._blocks.0._bn1.running_var"),
    ("resnet50", "layer1.0.downsample.1.running_mean", "backbone.layer1.0.downsample.1.running_mean"),
    ("resnet50", "backbone.stem.0.weight", "backbone.stem.0.weight"),
  ]) func namesOfOtherProjectsAreFound(encoder: String, name: String, ours: String) throws {
    let known = try WeightNameTests.names(encoder)
    #expect(WeightNames.targets(of: name, among: known) == [WeightTarget(ours)])
  }

  @Test func joinedTensorsAreTakenApart() throws {
    let known = try WeightNameTests.names("b0")
    #expect(
      WeightNames.targets(of: "backbone.layers.1.1.0.attn.attn.in_proj_weight", among: known) == [
        WeightTarget("backbone.block2.0.attn.q.weight", .rows(0..<1, of: 3)),
        WeightTarget("backbone.block2.0.attn.kv.weight", .rows(1..<3, of: 3)),
      ])
    #expect(
      WeightNames.targets(
        of: "decode_head.linear_fuse.conv.weight", among: known,
        origin: WeightOrigin(["decode_head.linear_c4.proj.weight"]))
        == [WeightTarget("decode_head.linear_fuse.conv.weight", .reversedInputs(blocks: 4))])
    #expect(!WeightOrigin(["decode_head.linear_c.3.proj.weight"]).concatenatesCoarsestFirst)
    let fuse = "decode_head.linear_fuse.weight"
    #expect(
      WeightNames.targets(of: fuse, among: known, origin: WeightOrigin([fuse]))
        == [WeightTarget("decode_head.linear_fuse.conv.weight", .reversedInputs(blocks: 4))])
    for (part, kind) in ["key", "value"].enumerated() {
      #expect(
        WeightNames.targets(of: "block.1.0.attention.self.\(kind).weight", among: known)
          == [WeightTarget("backbone.block2.0.attn.kv.weight", .part(part, of: 2))])
    }
  }

  /// `bn1` is the last norm of a stem of three convolutions, and that of a 7x7 convolution has no place.
  @Test func theStemOfAResidualNetworkIsTold() throws {
    let known = try WeightNameTests.names("resnet50")
    let deep = WeightOrigin(["conv1.0.weight", "conv1.3.weight", "conv1.6.weight", "bn1.weight"])
    for (name, ours) in [
      ("conv1.0.weight", "stem.0.weight"), ("conv1.4.running_var", "stem.4.running_var"),
      ("conv1.6.weight", "stem.6.weight"), ("bn1.bias", "stem.7.bias"), ("layer1.0.bn1.bias", "layer1.0.bn1.bias"),
    ] {
      #expect(
        WeightNames.targets(of: name, among: known, origin: deep) == [WeightTarget("backbone.\(ours)")], "\(name)")
    }
    let plain = WeightOrigin(["conv1.weight", "bn1.weight"])
    #expect(WeightNames.targets(of: "bn1.weight", among: known, origin: plain).isEmpty)
    #expect(WeightNames.targets(of: "conv1.weight", among: known, origin: plain).isEmpty)
  }

  @Test(arguments: [
    ("b0", "head.weight"), ("efficientnet-lite0", "_fc.bias"), ("efficientnet-lite0", "_bn1.running_mean"),
    ("b0", "classifier.weight"), ("efficientnet-lite0", "conv_head.weight"), ("efficientnet-lite0", "bn2.running_var"),
    ("resnet50", "fc.weight"), ("b0", "auxiliary_head.conv_seg.weight"),
    ("b0", "decode_head.linear_fuse.bn.num_batches_tracked"), ("b0", "decode_head.conv_seg.weight"),
  ]) func whatIsOfNoUseIsIgnored(encoder: String, name: String) throws {
    let known = try WeightNameTests.names(encoder)
    #expect(WeightNames.targets(of: name, among: known).isEmpty)
    #expect(WeightNames.reasonToIgnore(name, among: known) != nil)
  }

  @Test(arguments: [
    "block1.9.norm1.weight", "layers.0", "layers.7.2.weight", "layer1.0.conv1.weight", "", "block.0", "block.0.0",
    "block.4.0.layer_norm_1.weight", "block.0.9.mlp.dense1.bias", "patch_embeddings.-1.proj.weight",
    "layer_norm.x.bias",
    "blocks.1.2.conv_pw.weight",
  ])
  func othersStayUnknown(name: String) throws {
    let known = try WeightNameTests.names("b0")
    #expect(WeightNames.targets(of: name, among: known).isEmpty)
    #expect(WeightNames.reasonToIgnore(name, among: known) == nil)
  }

  /// Values change place with their rows and blocks: [6, 2] as queries, keys and values, [2, 8, 1, 1] as four maps.
  @Test func valuesFollowTheirRowsAndBlocks() throws {
    let registry = ParameterRegistry()
    _ = EncoderCatalogue.make("tiny", registry, prefix: "backbone", EncoderOptions())
    let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 0)
    let width = 16
    let values = (0..<3 * width * width).map(Float.init)
    let joined = StoredWeight("layers.0.1.0.attn.attn.in_proj_weight", [3 * width, width]) { values }
    let match = WeightMatch([(joined.name, joined)], parameters.slices, owner: .student)
    try match.load(into: parameters)
    let official = Dictionary(
      uniqueKeysWithValues: parameters.official(of: parameters.values).map { ($0.name, $0.values) })
    let queries = Array(values[0..<width * width])
    let keysValues = Array(values[(width * width)...])
    #expect(official["backbone.block1.0.attn.q.weight"] == queries)
    #expect(official["backbone.block1.0.attn.kv.weight"] == keysValues)
    #expect(match.lines.count { $0.status == .reshaped } == 2)
  }

  /// Keys and values of a file that keeps them apart, in either order; one of them alone is not enough.
  @Test func keysAndValuesAreJoined() throws {
    let registry = ParameterRegistry()
    _ = EncoderCatalogue.make("tiny", registry, prefix: "backbone", EncoderOptions())
    let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 0)
    let keys = (0..<256).map(Float.init)
    let values = keys.map { -$0 }
    let start = "block.0.0.attention.self"
    let stored = [
      StoredWeight("encoder.\(start).value.weight", [16, 16]) { values },
      StoredWeight("encoder.\(start).key.weight", [16, 16]) { keys },
    ]
    func match(_ weights: [StoredWeight]) -> WeightMatch {
      WeightMatch(
        weights.map { (WeightNames.owner(of: $0.name).name, $0) }, parameters.slices, owner: .student)
    }
    let both = match(stored)
    try both.load(into: parameters)
    let official = Dictionary(
      uniqueKeysWithValues: parameters.official(of: parameters.values).map { ($0.name, $0.values) })
    #expect(official["backbone.block1.0.attn.kv.weight"] == keys + values)
    let line = try #require(both.lines.first { $0.name == "backbone.block1.0.attn.kv.weight" })
    #expect(line.status == .reshaped && line.note == "joined with encoder.\(start).value.weight", "\(line)")
    let half = match([stored[1]]).lines.first { $0.name == line.name }
    #expect(half?.status == .missing && half?.note == "the file has a part of it only")
    #expect(
      match(stored + [stored[1]]).lines.contains { $0.status == .refused && $0.note == "the file gives it twice" })
    let narrow = StoredWeight("\(start).key.weight", [8, 16]) { [] }
    #expect(match([stored[0], narrow]).lines.first { $0.name == line.name }?.status == .refused)
  }
}
