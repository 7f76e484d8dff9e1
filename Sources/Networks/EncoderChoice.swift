// Which encoder a network has: one of the catalogue by name, a Mix Transformer of given sizes, or one that is built by
// whoever asks for it.

import Autograd
import Support

/// An encoder to build. Recipes name one of the catalogue; files of reference numbers bring sizes of their own.
public enum EncoderChoice: Sendable, Equatable, ExpressibleByStringLiteral {
  /// The catalogue's encoder of that name.
  case named(String)
  /// A Mix Transformer of any sizes.
  case mixTransformer(MixTransformerVariant)
  /// An encoder that no recipe names.
  case built(EncoderBuilder)

  /// A name in the catalogue.
  public init(stringLiteral name: String) { self = .named(name) }

  /// Builds the encoder; its parameters are declared under `prefix`.
  /// - Throws: `Failure` if no encoder has the name.
  func make(
    _ registry: ParameterRegistry, prefix: String, _ options: EncoderOptions
  ) throws -> any Encoder {
    switch self {
    case .mixTransformer(let variant): return MixTransformer(registry, prefix, variant, options)
    case .built(let builder): return builder.make(registry, prefix)
    case .named(let name):
      guard let encoder = EncoderCatalogue.make(name, registry, prefix: prefix, options) else {
        throw Failure(
          .badData, "unknown encoder \"\(name)\"", at: "encoder.name",
          remedy: "use one of \(EncoderCatalogue.names.joined(separator: ", "))")
      }
      return encoder
    }
  }
}

extension NetworkConfiguration {
  /// Channels of the encoder's coarsest feature map.
  /// - Throws: `Failure` if no encoder has the name.
  public func coarsestChannels() throws -> Int {
    let encoder = try encoder.make(ParameterRegistry(), prefix: "backbone", encoderOptions)
    return encoder.channels[encoder.channels.count - 1]
  }

  /// Channels of the encoder's finest feature map.
  /// - Throws: `Failure` if no encoder has the name.
  public func finestChannels() throws -> Int {
    try encoder.make(ParameterRegistry(), prefix: "backbone", encoderOptions).channels[0]
  }
}

/// Builds an encoder that is in no catalogue: of files of reference numbers, and of tests.
public struct EncoderBuilder: Sendable, Equatable {
  /// What it is called; builders of one name build the same.
  public let name: String
  /// Declares the encoder's parameters under a prefix.
  let make: @Sendable (_ registry: ParameterRegistry, _ prefix: String) -> any Encoder

  /// A builder by that name.
  public init(_ name: String, make: @escaping @Sendable (ParameterRegistry, String) -> any Encoder) {
    self.name = name
    self.make = make
  }

  /// Equal names.
  public static func == (first: EncoderBuilder, second: EncoderBuilder) -> Bool { first.name == second.name }
}
