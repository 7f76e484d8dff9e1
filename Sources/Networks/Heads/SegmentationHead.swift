// What a network expects of a segmentation head, and the catalogue of heads.

import Autograd

/// Turns an encoder's feature maps into logits.
public protocol SegmentationHead {
  /// Logits `[N, H, W, K]` on the grid that the catalogue says, of feature maps `[N, h, w, C]`, finest first; with them
  /// the map that they classify.
  /// A collective where batch norm uses batch statistics.
  func callAsFunction(_ features: [Variable], _ context: ForwardContext) throws -> HeadOutput
}

/// The feature map whose grid a head's logits have.
public enum HeadGrid: Sendable {
  /// The first one.
  case finest
  /// The last one.
  case coarsest

  /// The stride of that map.
  /// - Parameter strides: those of the encoder's feature maps, finest first; at least one.
  public func stride(of strides: [Int]) -> Int { self == .finest ? strides[0] : strides[strides.count - 1] }
}

/// Options of heads; every head says which ones it has.
public struct HeadOptions: Sendable, Equatable {
  /// How the DAFormer head fuses its embeddings.
  public var fusion: FusionKind
  /// Channels inside the head.
  public var width: Int
  /// Dilations of its branches; 1 is a 1×1 convolution.
  public var dilations: [Int]
  /// Rate of channel dropout before the classifier.
  public var dropout: Double
  /// How a depth-guided head guides.
  public var guidance: DepthGuidance

  /// The given options, defaults for the others.
  public init(
    fusion: FusionKind = .separableASPP, width: Int = 256, dilations: [Int] = [], dropout: Double = 0.1,
    guidance: DepthGuidance = DepthGuidance()
  ) {
    self.fusion = fusion
    self.width = width
    self.dilations = dilations
    self.dropout = dropout
    self.guidance = guidance
  }
}

/// A head that recipes may name.
public struct HeadEntry: Sendable {
  /// Constructor: registry, parameter prefix, channels of the feature maps (finest first), classes, options.
  public typealias Maker =
    @Sendable (
      _ registry: ParameterRegistry, _ name: String, _ channels: [Int], _ classCount: Int, _ options: HeadOptions
    ) -> any SegmentationHead

  /// Its name in recipes.
  public let name: String
  /// The published values of its options, defaults for those it does not have.
  public let published: HeadOptions
  /// The grid of its logits.
  public let grid: HeadGrid
  /// Whether `width` and `dropout` mean something to it.
  public let hasWidth: Bool
  /// Names of what it makes besides logits.
  public let maps: Set<String>
  /// Declares its parameters.
  public let make: Maker

  /// A head of the catalogue, or one that no recipe names.
  public init(
    name: String, published: HeadOptions, grid: HeadGrid, hasWidth: Bool, maps: Set<String> = [], make: @escaping Maker
  ) {
    self.name = name
    self.published = published
    self.grid = grid
    self.hasWidth = hasWidth
    self.maps = maps
    self.make = make
  }

  /// Whether `dilations` mean something to it, given its other options.
  public func hasDilations(_ fusion: FusionKind) -> Bool {
    !published.dilations.isEmpty && (name != "daformer" || fusion.hasDilations)
  }

  /// The scale attention of a network with this head.
  ///
  /// It has the grid of the logits: a DAFormer head with pointwise fusion where that is the finest one; else a second
  /// head of the same kind, as published for DeepLabV2.
  func makeAttention(
    _ registry: ParameterRegistry, _ name: String, channels: [Int], classCount: Int, width: Int, options: HeadOptions
  ) -> any SegmentationHead {
    guard grid == .finest else { return make(registry, name, channels, classCount, options) }
    return ContextAwareHead(
      registry, name, channels: channels, classCount: classCount,
      HeadOptions(fusion: .pointwise, width: width, dropout: options.dropout))
  }
}

extension HeadEntry: Equatable {
  /// Equal names: heads of one name are the same.
  public static func == (first: HeadEntry, second: HeadEntry) -> Bool { first.name == second.name }
}

/// Heads by the name recipes use. One line per head.
public enum HeadCatalogue {
  /// Every head.
  public static let entries: [HeadEntry] = [
    HeadEntry(
      name: "daformer", published: HeadOptions(dilations: [1, 6, 12, 18]), grid: .finest, hasWidth: true,
      make: { ContextAwareHead($0, $1, channels: $2, classCount: $3, $4) }),
    HeadEntry(
      name: "segformer", published: HeadOptions(width: 768), grid: .finest, hasWidth: true,
      make: { SegFormerHead($0, $1, channels: $2, classCount: $3, $4) }),
    HeadEntry(
      name: "deeplabv2", published: HeadOptions(dilations: [6, 12, 18, 24], dropout: 0), grid: .coarsest,
      hasWidth: false, make: { DeepLabHead($0, $1, channels: $2, classCount: $3, $4) }),
    HeadEntry(
      name: "upernet", published: HeadOptions(width: 512), grid: .finest, hasWidth: true,
      make: { UnifiedPerceptualHead($0, $1, channels: $2, classCount: $3, $4) }),
    HeadEntry(
      name: "depth-guided", published: HeadOptions(dilations: [6, 12], dropout: 0), grid: .coarsest, hasWidth: true,
      maps: DepthGuidedHead.maps, make: { DepthGuidedHead($0, $1, channels: $2, classCount: $3, $4) }),
    HeadEntry(
      name: "daformer-depth-guided", published: HeadOptions(dilations: [6, 12], dropout: 0), grid: .finest,
      hasWidth: true, maps: DepthGuidedHead.maps,
      make: { DepthGuidedHead(onFused: $0, $1, channels: $2, classCount: $3, $4) }),
  ]

  /// Names in catalogue order.
  public static var names: [String] { entries.map(\.name) }

  /// The head of that name; nil if there is none.
  public static func entry(_ name: String) -> HeadEntry? { entries.first { $0.name == name } }
}
