// From the names in published weight files to the names of our networks. Names of several projects are understood:
// SegFormer's encoders and heads, mmsegmentation and HRDA, Hugging Face's SegFormer, the ResNets of torchvision and timm,
// EfficientNet-Lite0 for PyTorch and in timm. What each project calls a tensor stands in WeightNamesOfProjects.swift.

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
  /// One of `of` equal parts of the target's rows: keys and values that the file keeps apart.
  case part(Int, of: Int)
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

/// What all names of a file say together, where a single one leaves its meaning open.
public struct WeightOrigin: Sendable, Equatable {
  /// Whether its SegFormer head concatenates the coarsest feature map first, as SegFormer's own code and Hugging Face's
  /// do; later code begins with the finest. The names of the head's other layers tell.
  public let concatenatesCoarsestFirst: Bool
  /// Whether `conv1` is a stem of three convolutions, as timm calls that of a residual network v1c; `bn1` is then the
  /// stem's last norm.
  public let hasDeepStem: Bool

  /// - Parameter names: the names of the file, without the prefixes of wrappers.
  public init(_ names: some Sequence<String>) {
    let names = Set(names)
    concatenatesCoarsestFirst = names.contains {
      $0.hasPrefix("decode_head.linear_c4.") || $0 == "decode_head.linear_fuse.weight"
    }
    hasDeepStem = names.contains("conv1.6.weight")
  }
}

/// Translation of names. Pure: a name, the network's own names and the file's names decide.
public enum WeightNames {
  private static let owners: [(prefix: String, owner: WeightOwner)] = [
    ("ema_model.", .teacher), ("imnet_model.", .frozen), ("model.", .student),
  ]

  /// What wrappers put in front of names: dictionaries around the weights, modules that hold a network as a part.
  private static let wrappers = [
    "state_dict.", "model_state_dict.", "model_state.", "module.", "segformer.", "encoder.",
  ]

  /// The owner of a tensor and its name without the prefixes that wrappers add, such as `module.` and `model.`, in any
  /// order, and without the `_orig_mod.` of compiled modules.
  public static func owner(of name: String) -> (owner: WeightOwner, name: String) {
    var rest = name.replacing("_orig_mod.", with: "")[...]
    var owner = WeightOwner.student
    while true {
      if let wrapper = wrappers.first(where: rest.hasPrefix) {
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
  ///   - origin: what the file's names say together.
  /// - Returns: an empty list if none of them is meant.
  public static func targets(
    of name: String, among known: Set<String>, origin: WeightOrigin = WeightOrigin([])
  ) -> [WeightTarget] {
    let bare = name.hasPrefix("backbone.") ? String(name.dropFirst(9)) : name
    let candidates = [
      headTargets(name, origin), [WeightTarget(name)], [WeightTarget("backbone.\(name)")], stageTargets(bare),
      huggingFaceTargets(bare), timmTargets(bare, origin),
    ]
    return candidates.first { !$0.isEmpty && $0.allSatisfy { known.contains($0.name) } } ?? []
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
    let classifiers = ["head.", "fc.", "classifier.", "_fc.", "_conv_head.", "_bn1.", "conv_head.", "bn2."]
    if classifiers.contains(where: bare.hasPrefix) { return "classifier of the encoder" }
    // mmsegmentation gives every head a classifier, and SegFormer's does not use it.
    let isSpare = name.hasPrefix("decode_head.") && name.contains(".conv_seg.")
    return isSpare && known.contains(name.replacing("conv_seg", with: "linear_pred"))
      ? "classifier that is not used" : nil
  }
}

extension WeightChange {
  /// The shape of the target that a stored one belongs to, or nil if the change does not fit it.
  func shape(of stored: [Int]) -> [Int]? {
    switch self {
    case .none: return stored
    case .rows(let part, let count):
      guard let rows = stored.first, rows % count == 0 else { return nil }
      return [rows / count * part.count] + stored.dropFirst()
    case .part(_, let count): return stored.isEmpty ? nil : [stored[0] * count] + stored.dropFirst()
    case .reversedInputs(let blocks):
      return stored.count >= 2 && stored[1] % blocks == 0 ? stored : nil
    }
  }

  /// The values after the change.
  /// - Precondition: `shape(of:)` is not nil for the stored shape.
  func applied(to values: [Float], _ stored: [Int]) -> [Float] {
    switch self {
    case .none, .part: return values
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
