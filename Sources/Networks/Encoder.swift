// What a head expects of an encoder, and the catalogue of encoders.

import Autograd
import Tensors

/// A network that turns an image into feature maps at several strides.
public protocol Encoder {
  /// Channels of every feature map, finest first.
  var channels: [Int] { get }
  /// Image pixels per pixel of every feature map, finest first; extents are rounded up.
  var strides: [Int] { get }
  /// Feature maps `[N, H/stride, W/stride, channels]` of an image `[N, H, W, 3]`, finest first. The context may restyle
  /// the finest before coarser ones are made of it.
  ///
  /// Every encoder takes images in `InputNormalisation.imageNet`; one that was trained on another changes it first.
  /// - Parameters:
  ///   - image: the image.
  ///   - count: how many maps are wanted; coarser ones are not computed.
  ///   - context: sample share, draws and statistics of the pass.
  func callAsFunction(_ image: Variable, maps count: Int, _ context: ForwardContext) throws -> [Variable]
}

extension Encoder {
  /// All feature maps.
  public func callAsFunction(_ image: Variable, _ context: ForwardContext) throws -> [Variable] {
    try self(image, maps: channels.count, context)
  }
}

/// Options that encoders understand.
public struct EncoderOptions: Sendable, Equatable {
  /// Drop-path rate of the last block of a Mix Transformer; earlier blocks grow linearly up to it. Convolutional
  /// encoders have none.
  public var dropPath: Float
  /// How batch norms are trained. Mix Transformers have none.
  public var batchNorm: BatchNormTraining

  /// The given options; drop path has the published default.
  public init(dropPath: Float = 0.1, batchNorm: BatchNormTraining = .batch) {
    self.dropPath = dropPath
    self.batchNorm = batchNorm
  }
}

/// What a training pass does with the batch norms of an encoder.
public enum BatchNormTraining: String, Sendable, CaseIterable {
  /// Statistics of the global batch; scale and shift are trained.
  case batch
  /// Statistics of the global batch; scale and shift stay: what the code of AdaptSegNet and its relatives does.
  case fixedScale = "fixed-scale"
  /// Running statistics as they are; scale and shift stay.
  case frozen
}

/// Encoders by the name recipes use. One line per encoder.
public enum EncoderCatalogue {
  /// Name and constructor of an encoder.
  typealias Entry = (name: String, make: @Sendable (ParameterRegistry, String, EncoderOptions) -> any Encoder)

  /// Every encoder.
  static let entries: [Entry] = transformers + residual + efficient

  private static let transformers: [Entry] = MixTransformerVariant.all.map { variant in
    (variant.name, { MixTransformer($0, $1, variant, $2) })
  }
  private static let efficient: [Entry] = [
    ("efficientnet-lite0", { registry, prefix, _ in EfficientNetLite(registry, prefix) })
  ]
  private static let residual: [Entry] = ResNetVariant.all.map { variant in
    (variant.name, { ResNet($0, $1, variant, $2) })
  }

  /// Names in catalogue order.
  public static var names: [String] { entries.map(\.name) }

  /// An encoder whose parameters are declared under `prefix`; nil if no encoder has that name.
  public static func make(
    _ name: String, _ registry: ParameterRegistry, prefix: String, _ options: EncoderOptions
  ) -> (any Encoder)? {
    registry.batchNorm = options.batchNorm
    defer { registry.batchNorm = .batch }
    return entries.first { $0.name == name }?.make(registry, prefix, options)
  }

  /// Whether the encoder of that name has batch norms.
  public static func hasBatchNorms(_ name: String) -> Bool {
    let registry = ParameterRegistry()
    _ = make(name, registry, prefix: "", EncoderOptions())
    return !registry.batchNorms.isEmpty
  }
}
