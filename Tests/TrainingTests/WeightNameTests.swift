// Names in published files and where they belong.

import Networks
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite struct WeightNameTests {
  private static func names(_ encoder: String, head: String = "") throws -> Set<String> {
    let registry = ParameterRegistry()
    _ = EncoderCatalogue.make(encoder, registry, prefix: "backbone", EncoderOptions())
    let parameters = NetworkParameters(registry, gradientSlots: 0, seed: 0)
    let heads = ["linear_c.0.proj.weight", "linear_c.3.proj.bias", "linear_fuse.conv.weight", "linear_pred.weight"]
    return Set((parameters.slices + parameters.bufferSlices).map(\.name) + heads.map { "decode_head.\($0)" })
  }

  @Test(arguments: [
    ("model.backbone.norm1.weight", WeightOwner.student, "backbone.norm1.weight"),
    ("module.model.backbone.norm1.weight", .student, "backbone.norm1.weight"),
    ("state_dict.module.norm1.weight", .student, "norm1.weight"),
    ("ema_model.decode_head.conv_seg.bias", .teacher, "decode_head.conv_seg.bias"),
    ("module.ema_model.module.x", .teacher, "x"), ("imnet_model.backbone.norm4.bias", .frozen, "backbone.norm4.bias"),
    ("backbone.model.x", .student, "backbone.model.x"),
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
      WeightNames.targets(of: "decode_head.linear_fuse.conv.weight", among: known, coarsestFirst: true)
        == [WeightTarget("decode_head.linear_fuse.conv.weight", .reversedInputs(blocks: 4))])
    #expect(WeightNames.concatenatesCoarsestFirst(["decode_head.linear_c4.proj.weight"]))
    #expect(!WeightNames.concatenatesCoarsestFirst(["decode_head.linear_c.3.proj.weight"]))
  }

  @Test(arguments: [
    ("b0", "head.weight"), ("efficientnet-lite0", "_fc.bias"), ("efficientnet-lite0", "_bn1.running_mean"),
    ("resnet50", "fc.weight"), ("b0", "auxiliary_head.conv_seg.weight"),
    ("b0", "decode_head.linear_fuse.bn.num_batches_tracked"), ("b0", "decode_head.conv_seg.weight"),
  ]) func whatIsOfNoUseIsIgnored(encoder: String, name: String) throws {
    let known = try WeightNameTests.names(encoder)
    #expect(WeightNames.targets(of: name, among: known).isEmpty)
    #expect(WeightNames.reasonToIgnore(name, among: known) != nil)
  }

  @Test(arguments: ["block1.9.norm1.weight", "layers.0", "layers.7.2.weight", "layer1.0.conv1.weight", ""])
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
}
