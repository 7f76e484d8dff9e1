// What a head expects of an encoder, and the catalogue of encoders.

import Autograd
import Tensors

/// A network that turns an image into feature maps at several strides.
public protocol Encoder {
  /// Channels of every feature map, finest first.
  var channels: [Int] { get }
  /// Image pixels per pixel of every feature map, finest first; extents are rounded up.
  var strides: [Int] { get }
  /// Feature maps `[N, H/stride, W/stride, channels]` of an image `[N, H, W, 3]`, finest first.
  func callAsFunction(_ image: Variable, _ context: ForwardContext) throws -> [Variable]
}

/// Options that every encoder understands.
public struct EncoderOptions: Sendable, Equatable {
  /// Drop-path rate of the last block; earlier blocks grow linearly up to it.
  public var dropPath: Float

  /// Published default: 0.1.
  public init(dropPath: Float = 0.1) { self.dropPath = dropPath }
}

/// Encoders by the name recipes use. One line per encoder.
public enum EncoderCatalogue {
  /// Name and constructor of every encoder.
  static let entries: [(name: String, make: @Sendable (ParameterRegistry, String, EncoderOptions) -> any Encoder)] =
    MixTransformerVariant.all.map { variant in (variant.name, { MixTransformer($0, $1, variant, $2) }) }

  /// Names in catalogue order.
  public static var names: [String] { entries.map(\.name) }

  /// An encoder whose parameters are declared under `prefix`; nil if no encoder has that name.
  public static func make(
    _ name: String, _ registry: ParameterRegistry, prefix: String, _ options: EncoderOptions
  ) -> (any Encoder)? {
    entries.first { $0.name == name }?.make(registry, prefix, options)
  }
}
