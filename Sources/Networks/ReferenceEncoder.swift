// The encoder that stays as it was when training began.

import Autograd
import Kernels
import Support
import Tensors

/// A frozen encoder that the feature distance compares with.
public final class ReferenceEncoder {
  /// Its parameters.
  public let parameters: NetworkParameters
  private let encoder: any Encoder

  /// Builds the encoder; parameters are drawn from `seed` until loaded.
  /// - Throws: `Failure` if no encoder has the configured name.
  public init(_ configuration: NetworkConfiguration, seed: UInt64) throws {
    let registry = ParameterRegistry()
    encoder = try configuration.encoder.make(registry, prefix: "backbone", configuration.encoderOptions)
    parameters = NetworkParameters(registry, gradientSlots: 0, seed: seed)
  }

  /// The coarsest feature map of an image `[N, H, W, 3]`, in evaluation mode.
  public func coarsestFeature(_ image: Tensor, _ context: ForwardContext) throws -> Tensor {
    var pass = context
    pass.tape = nil
    pass.draws = nil
    pass.normalization = .running
    let maps = try encoder(Variable(constant: image), pass)
    return maps[maps.count - 1].value
  }
}
