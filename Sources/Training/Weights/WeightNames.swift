// From the names in published weight files to the names of our networks. Names of several projects are understood:
// SegFormer's encoders and heads, mmsegmentation and HRDA, torchvision's ResNet, EfficientNet-Lite0 for PyTorch.

import Support

/// The network that a tensor of a weight file belongs to.
public enum WeightOwner: String, Sendable, CaseIterable, Codable {
  /// The trained network: `model.`, or no prefix.
  case student
  /// Its average: `ema_model.`.
  case teacher
  /// The frozen reference of the feature distance: `imnet_model.`.
  case frozen
}

/// How values of a file become those of one tensor of a network.
public enum WeightChange: Sendable, Equatable {
  /// Taken as they are.
  case none
  /// One part of the rows (the first axis), which are cut into `of` equal parts: queries, keys and values in one tensor.
  case rows(Range<Int>, of: Int)
  /// Equal blocks of the second axis in reversed order: features concatenated from the coarsest to the finest.
  case reversedInputs(blocks: Int)
}

/// A tensor of a network that a tensor of a file gives values to.
public struct WeightTarget: Sendable, Equatable {
  /// Our name, which is the published one.
  public let name: String
  /// What happens to the values on the way.
  public let change: WeightChange

  /// A target.
  public init(_ name: String, _ change: WeightChange = .none) {
    self.name = name
    self.change = change
  }
}

/// Translation of names. Pure: a name and the network's own names decide.
public enum WeightNames {
  private static let owners: [(prefix: String, owner: WeightOwner)] = [
    ("ema_model.", .teacher), ("imnet_model.", .frozen), ("model.", .student),
  ]

  /// The owner of a tensor and its name without the prefixes that wrappers add, such as `module.` and `model.`.
  public static func owner(of name: String) -> (owner: WeightOwner, name: String) {
    var rest = Substring(name)
    var owner = WeightOwner.student
    while true {
      if let wrapper = ["state_dict.", "module."].first(where: rest.hasPrefix) {
        rest = rest.dropFirst(wrapper.count)
      } else if let entry = owners.first(where: { rest.hasPrefix($0.prefix) }) {
        rest = rest.dropFirst(entry.prefix.count)
        if entry.owner != .student { owner = entry.owner }
      } else {
        return (owner, String(rest))
      }
    }
  }

  /// The tensors of a network that a tensor gives values to.
  /// - Parameters:
  ///   - name: a name without the prefixes of wrappers.
  ///   - known: the names of the network.
  ///   - coarsestFirst: whether the file's SegFormer head concatenates the coarsest feature map first.
  /// - Returns: an empty list if none of them is meant.
  public static func targets(
    of name: String, among known: Set<String>, coarsestFirst: Bool = false
  ) -> [WeightTarget] {
    let candidates = [
      headTargets(name, coarsestFirst: coarsestFirst), [WeightTarget(name)], [WeightTarget("backbone.\(name)")],
      stageTargets(name),
    ]
    return candidates.first { !$0.isEmpty && $0.allSatisfy { known.contains($0.name) } } ?? []
  }

  /// Whether a file's SegFormer head concatenates the coarsest feature map first, as SegFormer's own code does; the
  /// names of its embeddings tell it from later code, which begins with the finest.
  public static func concatenatesCoarsestFirst(_ names: some Sequence<String>) -> Bool {
    names.contains { $0.hasPrefix("decode_head.linear_c4.") }
  }

  /// Why a tensor is of no use to any network here; nil if it should have had a place.
  /// - Parameters:
  ///   - name: a name without the prefixes of wrappers.
  ///   - known: all names that networks here have.
  public static func reasonToIgnore(_ name: String, among known: Set<String>) -> String? {
    if name.hasSuffix(".num_batches_tracked") { return "counter of batch norm" }
    if name.hasPrefix("auxiliary_head.") { return "auxiliary head" }
    if ["optimizer.", "optimizer_state", "lr_scheduler.", "meta."].contains(where: name.hasPrefix) {
      return "state of an optimizer"
    }
    let bare = name.hasPrefix("backbone.") ? String(name.dropFirst(9)) : name
    let classifiers = ["head.", "fc.", "_fc.", "_conv_head.", "_bn1."]
    if classifiers.contains(where: bare.hasPrefix) { return "classifier of the encoder" }
    // mmsegmentation gives every head a classifier, and SegFormer's does not use it.
    let isSpare = name.hasPrefix("decode_head.") && name.contains(".conv_seg.")
    return isSpare && known.contains(name.replacing("conv_seg", with: "linear_pred"))
      ? "classifier that is not used" : nil
  }

  /// Mix Transformers as later versions of mmsegmentation name them: `layers.STAGE.0` is the patch embedding,
  /// `layers.STAGE.1.BLOCK` a block, `layers.STAGE.2` the last norm; queries, keys and values lie in one tensor.
  private static func stageTargets(_ name: String) -> [WeightTarget] {
    let bare = name.hasPrefix("backbone.") ? String(name.dropFirst(9)) : name
    let parts = bare.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 4, parts[0] == "layers", let stage = Int(parts[1]), (0..<4).contains(stage) else { return [] }
    let rest = parts.dropFirst(3).joined(separator: ".")
    switch parts[2] {
    case "0": return [WeightTarget("backbone.patch_embed\(stage + 1).\(rest.replacingStart("projection.", "proj."))")]
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
    guard let (old, new) = renamed.first(where: { rest.hasPrefix($0.0) }) else {
      return [WeightTarget("\(block).\(rest)")]
    }
    return [WeightTarget("\(block).\(rest.replacingStart(old, new))")]
  }

  /// SegFormer's published head: one embedding a feature map, `linear_c1` the finest.
  private static func headTargets(_ name: String, coarsestFirst: Bool) -> [WeightTarget] {
    for stage in 1...4 where name.hasPrefix("decode_head.linear_c\(stage).") {
      return [WeightTarget("decode_head.linear_c.\(stage - 1).\(name.dropFirst(22))")]
    }
    guard coarsestFirst, name == "decode_head.linear_fuse.conv.weight" else { return [] }
    return [WeightTarget(name, .reversedInputs(blocks: 4))]
  }
}

extension String {
  /// The text with another beginning, if it begins so.
  fileprivate func replacingStart(_ old: String, _ new: String) -> String {
    hasPrefix(old) ? new + dropFirst(old.count) : self
  }
}

extension WeightChange {
  /// The shape that remains of a stored one, or nil if the change does not fit it.
  func shape(of stored: [Int]) -> [Int]? {
    switch self {
    case .none: return stored
    case .rows(let part, let count):
      guard let rows = stored.first, rows % count == 0 else { return nil }
      return [rows / count * part.count] + stored.dropFirst()
    case .reversedInputs(let blocks):
      return stored.count >= 2 && stored[1] % blocks == 0 ? stored : nil
    }
  }

  /// The values after the change.
  /// - Precondition: `shape(of:)` is not nil for the stored shape.
  func applied(to values: [Float], _ stored: [Int]) -> [Float] {
    switch self {
    case .none: return values
    case .rows(let part, let count):
      let size = values.count / count
      return Array(values[part.lowerBound * size..<part.upperBound * size])
    case .reversedInputs(let blocks):
      let row = values.count / stored[0]
      let size = row / blocks
      var result: [Float] = []
      result.reserveCapacity(values.count)
      for output in 0..<stored[0] {
        for block in (0..<blocks).reversed() {
          let first = output * row + block * size
          result += values[first..<first + size]
        }
      }
      return result
    }
  }
}
