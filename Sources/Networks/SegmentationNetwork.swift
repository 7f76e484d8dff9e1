// The segmentation network: an encoder and heads, at one or two resolutions. HRDA (Hoyer et al., ECCV 2022) sees a
// large context crop at half resolution and a small detail crop at full resolution with the same encoder and head, and
// trusts one or the other by a learned scale attention. N samples, H×W image, K classes.

import Autograd
import Kernels
import Support
import Tensors

/// What the network looks at.
public enum Resolution: String, Sendable, Equatable, CaseIterable, Codable {
  /// Context and detail, fused by scale attention.
  case hrda
  /// The whole crop at the context scale only.
  case contextOnly = "context-only"
  /// Detail crops at full resolution only.
  case detailOnly = "detail-only"
}

/// A second classifier on an earlier feature map of the encoder, as methods before DAFormer train one.
///
/// It is a head of the same kind and options as the network's own, and trains the encoder; predictions do without it,
/// unless it `predicts`.
public struct AuxiliaryHead: Sendable, Equatable {
  /// The last feature map it sees, counted from 1, the finest.
  public var stage: Int
  /// Whether predictions are made of the sum of both heads' logits.
  public var predicts: Bool

  /// A classifier on the feature maps up to one.
  public init(stage: Int, predicts: Bool = false) {
    self.stage = stage
    self.predicts = predicts
  }
}

/// What happens first to context logits where they are fused: the two differ at the edges of detail crops.
public enum FusionOrder: String, Sendable, CaseIterable {
  /// They are damped by the scale attention, then resized, as in HRDA's code.
  case dampFirst = "damp-first"
  /// They and the scale attention are resized, then they are damped, as in CLUDA's.
  case resizeFirst = "resize-first"
}

/// Everything that decides the shapes of a network.
public struct NetworkConfiguration: Sendable, Equatable {
  /// The encoder, by name or by sizes.
  public var encoder: EncoderChoice
  /// Options of the encoder.
  public var encoderOptions: EncoderOptions
  /// Number of classes.
  public var classCount: Int
  /// Resolutions in use.
  public var resolution: Resolution
  /// Name in the head catalogue.
  public var head: String
  /// A head that no recipe names; nil is the catalogue's.
  public var ownHead: HeadEntry?
  /// How a DAFormer head fuses its embeddings.
  public var fusion: FusionKind
  /// Width of the segmentation head.
  public var headWidth: Int
  /// Width of the scale-attention head.
  public var attentionWidth: Int
  /// Dilations of the head's branches, where it has some.
  public var dilations: [Int]
  /// Channel dropout before each classifier.
  public var headDropout: Float
  /// How a depth-guided head guides.
  public var guidance = DepthGuidance()
  /// A second classifier on an earlier feature map; nil without one. For networks of one resolution.
  public var auxiliary: AuxiliaryHead?
  /// Image pixels per context pixel, along one side.
  public var contextReduction: Int
  /// Rows and columns of the detail crop.
  public var detailHeight: Int, detailWidth: Int
  /// Detail windows of dense passes advance by half a window rather than a whole one.
  public var detailOverlap: Bool
  /// What happens first to context logits where they are fused.
  public var fusionOrder = FusionOrder.dampFirst

  /// HRDA's published values but for the sizes that depend on the data.
  public init(
    encoder: EncoderChoice, classCount: Int, detailHeight: Int, detailWidth: Int, headWidth: Int = 256,
    attentionWidth: Int = 256
  ) {
    self.encoder = encoder
    encoderOptions = EncoderOptions()
    self.classCount = classCount
    resolution = .hrda
    head = "daformer"
    fusion = .separableASPP
    self.headWidth = headWidth
    self.attentionWidth = attentionWidth
    dilations = [1, 6, 12, 18]
    headDropout = 0.1
    contextReduction = 2
    self.detailHeight = detailHeight
    self.detailWidth = detailWidth
    detailOverlap = true
  }
}

/// What a training pass yields. Maps are at the network's stride of what they look at.
///
/// In a team, gradients flow to the maps of the crop that this rank computed; the other's are constants.
public struct TrainingOutput {
  /// Logits to train with on the whole crop; nil without a context.
  public let fused: Variable?
  /// Logits of the detail crop; nil without one.
  public let detail: Variable?
  /// Logits of the auxiliary head, at the stride of its feature map; nil without one.
  public let auxiliary: Variable?
  /// Logits of the context before gating, nil without one.
  public let context: Variable?
  /// Scale attention in 0...1 before it is cut to the detail crop; nil without one.
  public let attention: Variable?
  /// The declared maps. In a team, those of the other rank's crop are constants here.
  public let maps: [Site: Variable]
}

/// Encoder and heads of one network, with its parameters.
public final class SegmentationNetwork {
  /// What decides the shapes.
  public let configuration: NetworkConfiguration
  /// Arenas of parameters, statistics and gradient slots.
  public let parameters: NetworkParameters
  /// Where the logits lie on the image.
  public let grid: OutputGrid
  let encoder: any Encoder
  let head: any SegmentationHead
  let scaleAttention: (any SegmentationHead)?
  let auxiliaryHead: (any SegmentationHead)?
  /// Small heads that objectives train on maps, with what runs them.
  let attached: [(head: AttachedHead, body: AttachedHead.Body)]
  /// Where the heads' parameters begin in the arena.
  let headOffset: Int, attentionOffset: Int, auxiliaryOffset: Int, attachedOffset: Int

  /// Builds the network and draws its parameters from `seed`.
  /// - Parameters:
  ///   - configuration: encoder, heads and shapes.
  ///   - heads: small networks that objectives train on maps; their parameters come last.
  ///   - gradientSlots: local samples whose gradients are kept; 0 for a network that is not trained.
  ///   - seed: the run's seed.
  /// - Throws: `Failure` if no encoder or no head has the configured name.
  public init(
    _ configuration: NetworkConfiguration, attaching heads: [AttachedHead] = [], gradientSlots: Int, seed: UInt64
  ) throws {
    self.configuration = configuration
    let registry = ParameterRegistry()
    encoder = try configuration.encoder.make(registry, prefix: "backbone", configuration.encoderOptions)
    let entry = try configuration.headEntry()
    grid = OutputGrid(configuration, strides: encoder.strides, entry)
    let fused = configuration.resolution == .hrda
    let options = HeadOptions(
      fusion: configuration.fusion, width: configuration.headWidth, dilations: configuration.dilations,
      dropout: Double(configuration.headDropout), guidance: configuration.guidance)
    headOffset = registry.elements
    head = entry.make(
      registry, fused ? "decode_head.head" : "decode_head", encoder.channels, configuration.classCount, options)
    attentionOffset = registry.elements
    scaleAttention =
      fused
      ? entry.makeAttention(
        registry, "decode_head.scale_attention", channels: encoder.channels, classCount: configuration.classCount,
        width: configuration.attentionWidth, options: options) : nil
    auxiliaryOffset = registry.elements
    let maps = encoder.channels
    auxiliaryHead = configuration.auxiliary.map { auxiliary in
      precondition(!fused && 1...maps.count ~= auxiliary.stage, "\(auxiliary) of \(configuration.resolution)")
      precondition(!auxiliary.predicts || auxiliary.stage == maps.count, "logits of two sizes do not add up")
      return entry.make(
        registry, "auxiliary_head", Array(maps.prefix(auxiliary.stage)), configuration.classCount, options)
    }
    attachedOffset = registry.elements
    precondition(Set(heads.map(\.name)).count == heads.count, "attached heads \(heads.map(\.name))")
    var widths = Dictionary(
      uniqueKeysWithValues: encoder.channels.reversed().enumerated().map { (Site.Map.encoder(fromCoarsest: $0), $1) })
    widths[.fused] = entry.hasWidth ? configuration.headWidth : nil
    attached = heads.map { [widths] head in (head, head.declared(in: registry, widths)) }
    parameters = NetworkParameters(registry, gradientSlots: gradientSlots, seed: seed)
  }

  /// Parameters of the segmentation head, and of the auxiliary head where there is one.
  public var headParameters: (main: [Parameter], auxiliary: [Parameter]) {
    func between(_ first: Int, _ end: Int) -> [Parameter] {
      zip(parameters.parameters, parameters.slices).filter { first..<end ~= $1.range.lowerBound }.map(\.0)
    }
    return (between(headOffset, attentionOffset), between(auxiliaryOffset, attachedOffset))
  }

  /// Logits to predict with, of feature maps: those of the head, or of both heads together.
  func predictedLogits(_ features: [Variable], _ pass: ForwardContext) throws -> Tensor {
    try predictedLogits(try head(features, pass), features, pass)
  }

  /// The same, given what the head made of the feature maps.
  func predictedLogits(
    _ output: HeadOutput, _ features: [Variable], _ pass: ForwardContext
  ) throws -> Tensor {
    let logits = output.logits.value
    guard let auxiliaryHead, let auxiliary = configuration.auxiliary, auxiliary.predicts else { return logits }
    let others = try auxiliaryHead(Array(features.prefix(auxiliary.stage)), pass).logits.value
    return Kernels.add(logits, others)
  }

  /// The image at context scale, bilinear without antialiasing.
  public func contextImage(_ image: Tensor) -> Tensor {
    let reduction = configuration.contextReduction
    return Kernels.bilinear(image, height: image.shape[1] / reduction, width: image.shape[2] / reduction)
  }

  /// The same, recorded where a gradient flows to the image.
  func contextImage(_ image: Variable, _ context: ForwardContext) -> Variable {
    let reduction = configuration.contextReduction
    let shape = image.value.shape
    return bilinear(image, height: shape[1] / reduction, width: shape[2] / reduction, context)
  }

  /// The encoder's feature maps of a crop, finest first.
  public func encoderSites(_ unit: Site.Unit) -> [Site] {
    encoder.channels.indices.reversed().map { Site(.encoder(fromCoarsest: $0), unit) }
  }

  /// The encoder's feature maps of an image, without gradients into the image.
  public func features(_ image: Variable, _ context: ForwardContext) throws -> [Variable] {
    try encoder(image, context)
  }

  /// The finest of them alone, of the context where the network has one: of an image in evaluation mode.
  public func finestMap(_ image: Tensor, _ context: ForwardContext) throws -> Tensor {
    let seen = configuration.resolution == .detailOnly ? image : contextImage(image)
    return try encoder(Variable(constant: seen), maps: 1, context)[0].value
  }

  /// Context and detail logits blended by scale attention, which counts inside the detail crop only (Hoyer et al., HRDA,
  /// ECCV 2022, section 3.2).
  ///
  /// Shapes: `context`, `attention` [N, h, w, K] at context scale; `detail` on the crop's grid; result
  /// [N, height, width, K], on the image's.
  package static func fused(
    context logits: Variable, attention: Variable, detail: Variable, boxes: [Box], height: Int, width: Int,
    _ grid: OutputGrid, _ order: FusionOrder, _ context: ForwardContext
  ) -> Variable {
    blended(
      gate: maskOutside(attention, boxes.map(grid.onContext), context), context: logits,
      detail: padded(detail, into: boxes.map(grid.onDetail), height: height, width: width, context), order, context)
  }

  /// Detail logits, where the gate trusts them, and context logits elsewhere, on the grid of the detail's.
  static func blended(
    gate: Variable, context logits: Variable, detail: Variable, _ order: FusionOrder, _ context: ForwardContext
  ) -> Variable {
    let (height, width) = (detail.value.shape[1], detail.value.shape[2])
    func resized(_ x: Variable) -> Variable { bilinear(x, height: height, width: width, context) }
    let trust = resized(gate)
    let damped =
      switch order {
      case .dampFirst: resized(gatedContext(gate: gate, logits: logits, context))
      case .resizeFirst: gatedContext(gate: trust, logits: resized(logits), context)
      }
    return fuse(gate: trust, detail: detail, damped: damped, context)
  }

  /// Dense logits `[N, H, W, K]` at image resolution.
  public func logits(_ image: Tensor, _ context: ForwardContext) throws -> Tensor {
    Kernels.bilinear(try dense(image, context).logits, height: image.shape[1], width: image.shape[2])
  }

  /// Overlapping crops of a whole test image, each densely predicted, their logits averaged at image resolution.
  public func slidingLogits(
    _ image: Tensor, crop: (height: Int, width: Int), stride: (height: Int, width: Int), _ context: ForwardContext
  ) throws -> Tensor {
    let boxes = slidingWindows(height: image.shape[1], width: image.shape[2], crop: crop, stride: stride)
    let tiles = try boxes.map { try logits(cropped(image, to: $0), context) }
    return slidingMean(tiles, boxes, height: image.shape[1], width: image.shape[2])
  }

  /// The logits of crops put together: their mean where crops overlap.
  public func slidingMean(_ tiles: [Tensor], _ boxes: [Box], height: Int, width: Int) -> Tensor {
    stitched(concatenatedSamples(tiles), boxes, samples: tiles[0].samples, height: height, width: width)
  }
}
