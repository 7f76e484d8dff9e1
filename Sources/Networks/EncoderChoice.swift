// Which encoder a network has: one of the catalogue by name, or a Mix Transformer of given sizes.

import Support

/// An encoder to build. Recipes name one of the catalogue; files of reference numbers bring sizes of their own.
public enum EncoderChoice: Sendable, Equatable, ExpressibleByStringLiteral {
  /// The catalogue's encoder of that name.
  case named(String)
  /// A Mix Transformer of any sizes.
  case mixTransformer(MixTransformerVariant)

  /// A name in the catalogue.
  public init(stringLiteral name: String) { self = .named(name) }

  /// Builds the encoder; its parameters are declared under `prefix`.
  /// - Throws: `Failure` if no encoder has the name.
  func make(
    _ registry: ParameterRegistry, prefix: String, _ options: EncoderOptions
  ) throws -> any Encoder {
    switch self {
    case .mixTransformer(let variant): return MixTransformer(registry, prefix, variant, options)
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
