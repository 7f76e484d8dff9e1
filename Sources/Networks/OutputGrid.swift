// Where a network's logits lie on the image, which decides what crops fit.

import Support
import Tensors

/// The grids of logits: of the detail, and of the context at its own scale.
public struct OutputGrid: Sendable, Equatable {
  /// Image pixels per pixel of the detail's logits, and context pixels per pixel of the context's.
  public let stride: Int
  /// Stride of the coarsest feature map, whose cells the feature distance compares.
  public let coarsestStride: Int
  /// Image pixels per context pixel.
  public let contextReduction: Int

  /// Offsets of detail crops are multiples of this many pixels: 8 as published, more only where the logits are coarser.
  public var offsetMultiple: Int { max(8, stride) }

  /// The grid of a network as configured.
  /// - Throws: `Failure` if no encoder or no head has the configured name.
  public init(_ configuration: NetworkConfiguration) throws {
    let encoder = try configuration.encoder.make(ParameterRegistry(), prefix: "", configuration.encoderOptions)
    self.init(configuration, strides: encoder.strides, try configuration.headEntry())
  }

  /// A grid of those sizes.
  package init(stride: Int, coarsestStride: Int, contextReduction: Int) {
    self.stride = stride
    self.coarsestStride = coarsestStride
    self.contextReduction = contextReduction
  }

  /// The grid of a head on feature maps of those strides, finest first.
  init(_ configuration: NetworkConfiguration, strides: [Int], _ head: HeadEntry) {
    stride = head.grid.stride(of: strides)
    coarsestStride = strides[strides.count - 1]
    contextReduction = configuration.contextReduction
  }

  /// A detail crop on the grid of its logits.
  public func onDetail(_ box: Box) -> Box { box.divided(by: stride) }

  /// A detail crop on the grid of the context's logits, edges rounded towards zero as in the published code.
  public func onContext(_ box: Box) -> Box { box.divided(by: stride * contextReduction) }
}

extension NetworkConfiguration {
  /// The configured head.
  /// - Throws: `Failure` if no head has the name.
  func headEntry() throws -> HeadEntry {
    guard let entry = ownHead ?? HeadCatalogue.entry(head) else {
      throw Failure(
        .badData, "unknown head \"\(head)\"", at: "head.name",
        remedy: "use one of \(HeadCatalogue.names.joined(separator: ", "))")
    }
    return entry
  }
}
