// The sections of a recipe that describe the network: encoder, heads, resolutions.
// Defaults are the published ones; docs/recipes.md says what each key means.

import Networks
import Support

extension FusionKind: SettingChoice {}
extension BatchNormTraining: SettingChoice {}
extension FusionOrder: SettingChoice {}

extension Recipe {
  /// The encoder.
  public struct Encoder: SettingGroup {
    /// Name in the catalogue.
    public var name = "b5"
    /// A file of weights to start from; without one the weights are drawn.
    public var weights: String?
    /// Probability of dropping the last block's residual branch; blocks before it grow linearly from 0.
    public var dropPath = 0.1
    /// How batch norms are trained; Mix Transformers have none.
    public var batchNorm = BatchNormTraining.batch

    /// MiT-B5 with drawn weights.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("name", &name)
      try settings.path("weights", &weights)
      try settings.value("dropPath", &dropPath, .from(0, below: 1))
      try settings.value("batchNorm", &batchNorm)
    }
  }

  /// The segmentation head, shared by both scales.
  public struct Head: SettingGroup {
    /// Name in the catalogue. Another name brings that head's published width, dilations and dropout.
    public var name = "daformer" {
      didSet {
        guard name != oldValue, let published = HeadCatalogue.entry(name)?.published else { return }
        (width, dilations, dropout) = (published.width, published.dilations, published.dropout)
      }
    }
    /// How a DAFormer head fuses its embeddings.
    public var fusion = FusionKind.separableASPP
    /// Channels of embedded and fused features.
    public var width = 256
    /// Dilations of the branches; 1 is a 1x1 convolution.
    public var dilations = [1, 6, 12, 18]
    /// Probability of dropping a channel before each classifier.
    public var dropout = 0.1
    /// How a depth-guided head guides.
    public var guidance = DepthGuidance()

    /// The published DAFormer head.
    public init() {}
    /// Shows all settings, the name first.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("name", &name)
      try settings.value("fusion", &fusion)
      try settings.value("width", &width, .from(1, to: 1 << 16))
      try settings.value("dilations", &dilations, .each(.from(1, to: 1 << 16)))
      try settings.value("dropout", &dropout, .from(0, below: 1))
      try settings.value("correlates", &guidance.correlates)
      try settings.value("initialOnTrunk", &guidance.initialOnTrunk)
    }
  }

  /// The scale-attention head.
  public struct Attention: SettingGroup {
    /// Channels of embedded and fused features.
    public var width = 256

    /// 256 channels.
    public init() {}
    /// Shows the setting.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("width", &width, .from(1, to: 1 << 16))
    }
  }

  /// Resolutions and their fusion (HRDA, sections 3.2 to 3.4).
  public struct Network: SettingGroup {
    /// Which crops are seen.
    public enum Resolution: String, SettingChoice {
      /// Both, fused by scale attention.
      case hrda
      /// The whole crop at context scale.
      case contextOnly = "context-only"
      /// The whole crop at full resolution, without a context crop or fusion.
      case detailOnly = "detail-only"
    }

    /// Which crops are seen.
    public var resolution = Resolution.hrda
    /// Size of the context crop as a part of the training crop's.
    public var contextScale = 0.5
    /// Size of the detail crop, in pixels of the training crop.
    public var detailCrop = PixelSize(height: 512, width: 512)
    /// Weight of the detail crop's loss; the fused prediction's is one minus this.
    public var detailWeight = 0.1
    /// Whether detail windows of dense inference advance by half a window, not by a whole one.
    public var detailOverlap = true
    /// What happens first to the context's logits where both crops are fused.
    public var fusionOrder = FusionOrder.dampFirst
    /// A second classifier on an earlier feature map of the encoder.
    public var auxiliary = Auxiliary()

    /// The published resolutions.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("resolution", &resolution)
      try settings.value("contextScale", &contextScale, Limit(": 1, 0.5 or 0.25") { [1, 0.5, 0.25].contains($0) })
      try settings.value("detailCrop", &detailCrop, .multiple(of: 8))
      try settings.value("detailWeight", &detailWeight, .from(0, to: 1))
      try settings.value("detailOverlap", &detailOverlap)
      try settings.value("fusionOrder", &fusionOrder)
      try settings.group("auxiliary", &auxiliary)
    }
  }

  /// A classifier like the network's own on an earlier feature map (Tsai et al., AdaptSegNet, CVPR 2018).
  public struct Auxiliary: SettingGroup {
    /// The last feature map it sees, counted from 1, the finest; every encoder has four.
    public var stage = 3
    /// Weight of its loss; 0 builds no such classifier.
    public var weight = 0.0
    /// Whether predictions are made of the sum of both classifiers' logits.
    public var predicts = false

    /// None; stage 3 is the published one.
    public init() {}
    /// How a recipe asks for a second classifier on the last feature map that predicts too.
    public static let secondClassifier = "{stage: 4, weight: 1, predicts: true}"
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("stage", &stage, .from(1, to: 4))
      try settings.value("weight", &weight, .atLeast(0))
      try settings.value("predicts", &predicts)
    }
  }
}
