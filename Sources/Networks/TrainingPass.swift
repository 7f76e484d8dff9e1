// A pass with gradients over a whole crop at context scale and a detail crop at full resolution. A team shares out the
// two crops. N samples, H×W image, K classes.

import Autograd
import Kernels
import Support
import Tensors

/// Which crops a pass looks at.
public enum Crops: Sendable {
  /// All that the network has.
  case all
  /// The context alone, where the network has two resolutions.
  case context
}

/// What comes of one crop: logits, scale attention and declared maps.
private struct CropSide {
  var logits: Variable?
  var attention: Variable?
  /// Only networks of one resolution have it, whose crop no team shares out.
  var auxiliary: Variable?
  var maps: [Site: Variable] = [:]

  /// What a team tells of it, in an order that all places know.
  var tensors: [Tensor] {
    [logits, attention].compactMap { $0?.value } + maps.keys.sorted().compactMap { maps[$0]?.value }
  }

  /// Takes over what another place computed, as constants.
  mutating func complete(_ told: [Tensor], attends: Bool, _ sites: [Site]) {
    guard logits == nil, !told.isEmpty else { return }
    logits = Variable(constant: told[0])
    if attends { attention = Variable(constant: told[1]) }
    for (site, map) in zip(sites, told.dropFirst(attends ? 2 : 1)) { maps[site] = Variable(constant: map) }
  }
}

extension SegmentationNetwork {
  /// A pass over a whole crop at context scale and one detail crop at full resolution.
  ///
  /// Both sides are walked back side by side, so that the gradients of a block are complete, and can travel, while the
  /// blocks below are walked back; the detail side is computed first, so that the context's gradients are added before
  /// the detail's. Batch statistics enter the running ones in the published order, context before detail.
  /// In a team, place 0 computes the context, place 1 the detail, and all places get the logits and the declared maps of
  /// both. A collective where batch norm uses batch statistics, and in a team.
  /// - Parameters:
  ///   - image: normalised images, `[N, H, W, 3]`.
  ///   - boxes: the detail crop, edges divisible by the grid's `offsetMultiple`: one for all samples of all ranks, or one
  ///     of equal size for each local sample.
  ///   - crops: which crops are seen.
  ///   - sites: maps that are wanted besides the logits.
  ///   - context: sample share, draws and statistics of the pass.
  public func train(
    _ image: Variable, boxes: [Box], crops: Crops = .all, keeping sites: Set<Site> = [], _ context: ForwardContext
  ) throws -> TrainingOutput {
    defer { context.statistics.apply() }
    let seesContext = configuration.resolution != .detailOnly
    let seesDetail = !seesContext || configuration.resolution == .hrda && crops == .all
    let detailUnit: Site.Unit = seesContext ? .detail : .context
    let contextPass = context.with(unit: "context", rank: 0)
    let detailPass = context.with(unit: "detail", rank: 1)
    var (contextSide, detailSide) = (CropSide(), CropSide())
    try context.sideBySide([
      {
        guard seesDetail, (context.team?.rank ?? 1) == 1 else { return }
        detailSide = try self.side(cropped(image, to: boxes, detailPass), detailUnit, sites, detailPass)
      },
      {
        guard seesContext, (context.team?.rank ?? 0) == 0 else { return }
        contextSide = try self.side(self.contextImage(image, contextPass), .context, sites, contextPass)
      },
    ])
    if let team = context.team {
      let told = try team.gatheredTensors(contextSide.tensors + detailSide.tensors)
      contextSide.complete(told[0], attends: scaleAttention != nil, sites.filter { $0.unit == .context }.sorted())
      detailSide.complete(told[1], attends: false, sites.filter { $0.unit == .detail }.sorted())
      try context.statistics.share(among: team, parameters.batchNorms)
    }
    var fused = contextSide.logits
    if let logits = fused, let attention = contextSide.attention, let detail = detailSide.logits {
      fused = SegmentationNetwork.fused(
        context: logits, attention: attention, detail: detail, boxes: boxes,
        height: image.value.shape[1] / grid.stride, width: image.value.shape[2] / grid.stride, grid,
        configuration.fusionOrder, contextPass)
    }
    return TrainingOutput(
      fused: fused, detail: detailSide.logits, auxiliary: contextSide.auxiliary ?? detailSide.auxiliary,
      context: contextSide.logits, attention: contextSide.attention,
      maps: contextSide.maps.merging(detailSide.maps) { own, _ in own })
  }

  /// The same pass with one detail crop for all samples.
  public func train(
    _ image: Variable, box: Box, crops: Crops = .all, keeping sites: Set<Site> = [], _ context: ForwardContext
  ) throws -> TrainingOutput { try train(image, boxes: [box], crops: crops, keeping: sites, context) }

  /// The same pass over images that no gradient flows to.
  public func train(_ image: Tensor, box: Box, keeping sites: Set<Site> = [], _ context: ForwardContext) throws
    -> TrainingOutput
  {
    try train(Variable(constant: image), box: box, keeping: sites, context)
  }

  /// One crop through encoder and heads. The context's features also make the scale attention, if there is one.
  private func side(
    _ image: Variable, _ unit: Site.Unit, _ sites: Set<Site>, _ pass: ForwardContext
  ) throws -> CropSide {
    let features = try encoder(image, pass)
    pass.tape?.mark(headOffset)
    let output = try head(features, pass)
    var side = CropSide(logits: output.logits)
    if unit == .context, let scaleAttention {
      pass.tape?.mark(attentionOffset)
      side.attention = sigmoid(try scaleAttention(features, pass).logits, pass)
    }
    if let auxiliaryHead, let stage = configuration.auxiliary?.stage {
      pass.tape?.mark(auxiliaryOffset)
      side.auxiliary = try auxiliaryHead(Array(features.prefix(stage)), pass).logits
    }
    for site in sites.sorted() where site.unit == unit { side.maps[site] = try map(site, features, output, pass) }
    return side
  }

  /// A declared map of a crop, given what encoder and head made of it.
  func map(
    _ site: Site, _ features: [Variable], _ output: HeadOutput, _ pass: ForwardContext
  ) throws -> Variable {
    switch site.map {
    case .encoder(let level) where level < features.count: return features[features.count - 1 - level]
    case .fused: if let fused = output.fused { return fused }
    case .named(let name): if let made = output.maps[name] { return made }
    case .attached:
      guard let own = attached.first(where: { $0.head.output == site }) else { break }
      pass.tape?.mark(attachedOffset)
      let inputs = try own.head.inputs.map { try map(Site($0, site.unit), features, output, pass) }
      return try own.body(inputs, pass)
    default: break
    }
    preconditionFailure("this network has no map \(site.map)")
  }
}
