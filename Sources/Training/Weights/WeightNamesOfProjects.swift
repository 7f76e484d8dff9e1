// What other projects call the tensors of our networks; names come without the prefixes of wrappers and `backbone.`.

import Networks

extension WeightNames {
  /// Mix Transformers as later versions of mmsegmentation name them: `layers.STAGE.0` is the patch embedding,
  /// `layers.STAGE.1.BLOCK` a block, `layers.STAGE.2` the last norm; queries, keys and values lie in one tensor.
  static func stageTargets(_ name: String) -> [WeightTarget] {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 4, parts[0] == "layers", let stage = Int(parts[1]), (0..<4).contains(stage) else { return [] }
    let rest = parts.dropFirst(3).joined(separator: ".")
    switch parts[2] {
    case "0": return [WeightTarget("backbone.patch_embed\(stage + 1).\(rest.renamed([("projection.", "proj.")]))")]
    case "1": return blockTargets("backbone.block\(stage + 1).\(parts[3])", parts.dropFirst(4).joined(separator: "."))
    case "2": return [WeightTarget("backbone.norm\(stage + 1).\(rest)")]
    default: return []
    }
  }

  private static func blockTargets(_ block: String, _ rest: String) -> [WeightTarget] {
    let input = "attn.attn.in_proj_"
    if rest.hasPrefix(input) {
      let kind = rest.dropFirst(input.count)
      return [
        WeightTarget("\(block).attn.q.\(kind)", .rows(0..<1, of: 3)),
        WeightTarget("\(block).attn.kv.\(kind)", .rows(1..<3, of: 3)),
      ]
    }
    let renamed = [
      ("attn.attn.out_proj.", "attn.proj."), ("ffn.layers.0.", "mlp.fc1."),
      ("ffn.layers.1.", "mlp.dwconv.dwconv."), ("ffn.layers.4.", "mlp.fc2."),
    ]
    return [WeightTarget("\(block).\(rest.renamed(renamed))")]
  }

  /// SegFormer's published head, with one embedding a feature map, `linear_c1` the finest; and the same head at Hugging
  /// Face.
  static func headTargets(_ name: String, _ origin: WeightOrigin) -> [WeightTarget] {
    for stage in 1...4 where name.hasPrefix("decode_head.linear_c\(stage).") {
      return [WeightTarget("decode_head.linear_c.\(stage - 1).\(name.dropFirst(22))")]
    }
    let ours = name.renamed([
      ("decode_head.linear_fuse.weight", "decode_head.linear_fuse.conv.weight"),
      ("decode_head.batch_norm.", "decode_head.linear_fuse.bn."),
      ("decode_head.classifier.", "decode_head.linear_pred."),
    ])
    if origin.concatenatesCoarsestFirst, ours == "decode_head.linear_fuse.conv.weight" {
      return [WeightTarget(ours, .reversedInputs(blocks: 4))]
    }
    return ours == name ? [] : [WeightTarget(ours)]
  }

  /// Mix Transformers at Hugging Face: `patch_embeddings.STAGE`, `block.STAGE.BLOCK`, `layer_norm.STAGE`; queries, keys
  /// and values lie in a tensor each.
  static func huggingFaceTargets(_ name: String) -> [WeightTarget] {
    let parts = name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, let stage = Int(parts[1]), (0..<4).contains(stage) else { return [] }
    switch parts[0] {
    case "patch_embeddings":
      return [WeightTarget("backbone.patch_embed\(stage + 1).\(parts[2].renamed([("layer_norm.", "norm.")]))")]
    case "layer_norm": return [WeightTarget("backbone.norm\(stage + 1).\(parts[2])")]
    case "block":
      let inner = parts[2].split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard inner.count == 2 else { return [] }
      return huggingFaceBlockTargets("backbone.block\(stage + 1).\(inner[0])", inner[1])
    default: return []
    }
  }

  private static func huggingFaceBlockTargets(_ block: String, _ rest: String) -> [WeightTarget] {
    for (part, kind) in ["key", "value"].enumerated() {
      let start = "attention.self.\(kind)."
      guard rest.hasPrefix(start) else { continue }
      return [WeightTarget("\(block).attn.kv.\(rest.dropFirst(start.count))", .part(part, of: 2))]
    }
    let ours = rest.renamed([
      ("layer_norm_1.", "norm1."), ("layer_norm_2.", "norm2."), ("attention.self.query.", "attn.q."),
      ("attention.self.sr.", "attn.sr."), ("attention.self.layer_norm.", "attn.norm."),
      ("attention.output.dense.", "attn.proj."), ("mlp.dense1.", "mlp.fc1."), ("mlp.dense2.", "mlp.fc2."),
    ])
    return [WeightTarget("\(block).\(ours)")]
  }

  /// timm's residual networks v1c (`resnet50c`, `resnet101c`), whose stem alone has other names, and its EfficientNet-Lite0.
  static func timmTargets(_ name: String, _ origin: WeightOrigin) -> [WeightTarget] {
    if origin.hasDeepStem {
      let ours = name.renamed([("conv1.", "stem."), ("bn1.", "stem.7.")])
      if ours != name { return [WeightTarget("backbone.\(ours)")] }
    }
    let outside = name.renamed([("conv_stem.", "_conv_stem."), ("bn1.", "_bn0.")])
    if outside != name { return [WeightTarget("backbone.\(outside)")] }
    let parts = name.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 4, parts[0] == "blocks", let stage = Int(parts[1]), let block = Int(parts[2]),
      let index = EfficientNetLite.blockIndex(stage: stage, block: block)
    else { return [] }
    // The first stage does not expand: its pointwise convolution is the projection.
    let renamed =
      stage == 0
      ? [("conv_dw.", "_depthwise_conv."), ("bn1.", "_bn1."), ("conv_pw.", "_project_conv."), ("bn2.", "_bn2.")]
      : [
        ("conv_pw.", "_expand_conv."), ("bn1.", "_bn0."), ("conv_dw.", "_depthwise_conv."), ("bn2.", "_bn1."),
        ("conv_pwl.", "_project_conv."), ("bn3.", "_bn2."),
      ]
    return [WeightTarget("backbone._blocks.\(index).\(parts[3].renamed(renamed))")]
  }
}

extension String {
  /// The text with another beginning, by the first pair whose old beginning it has.
  fileprivate func renamed(_ pairs: [(old: String, new: String)]) -> String {
    guard let pair = pairs.first(where: { hasPrefix($0.old) }) else { return self }
    return pair.new + dropFirst(pair.old.count)
  }
}
