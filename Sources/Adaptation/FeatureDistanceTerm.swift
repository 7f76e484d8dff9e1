// Thing-class feature distance to a frozen ImageNet encoder (Hoyer et al., DAFormer, CVPR 2022, section 3.3).

import Autograd
import Collectives
import Kernels
import Networks
import Support
import Tensors

/// Options of the feature distance.
public struct FeatureDistanceOptions: Sendable, Equatable {
  /// Weight of the term; 0 switches it off.
  public var weight: Float
  /// Classes whose cells count.
  public var classes: [UInt8]
  /// Share of a cell's pixels that its class must reach.
  public var minimumShare: Float

  /// Published values for the Cityscapes classes.
  public init() {
    weight = 0.005
    classes = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]
    minimumShare = 0.75
  }
}

/// Keeps the coarsest source feature near that of a frozen encoder, in cells of thing classes.
public final class FeatureDistanceTerm {
  private let reference: ReferenceEncoder
  private let options: FeatureDistanceOptions
  private let classCount: Int

  /// The term with its frozen encoder.
  public init(_ reference: ReferenceEncoder, _ options: FeatureDistanceOptions, classCount: Int) {
    self.reference = reference
    self.options = options
    self.classCount = classCount
  }

  /// What the frozen encoder says about the source images, on the rank of a team that computes it; nil elsewhere, and
  /// without a team.
  ///
  /// That is place 2, or 1 in a pair, where it is work beside the context's scale attention.
  public func beforeSource(
    image: Tensor, box: Box, network: SegmentationNetwork, _ context: ForwardContext
  ) throws -> Tensor? {
    guard let team = context.team, team.rank == min(2, team.worldSize - 1) else { return nil }
    return try reference.coarsestFeature(network.contextImage(image), context)
  }

  /// The term for a source pass; gradients go to the feature at once.
  ///
  /// Context features are compared at context scale; a network without a context compares its detail crop. A
  /// collective: the mean runs over the thing cells of the global batch.
  /// - Parameters:
  ///   - output: what the source pass made.
  ///   - image: the source images, `[N, H, W, 3]`.
  ///   - labels: their labels, at the images' size.
  ///   - box: the detail crop.
  ///   - network: the network that is trained.
  ///   - prepared: what `beforeSource` returned.
  ///   - context: sample share, draws and statistics of the pass.
  public func afterSource(
    _ output: TrainingOutput, image: Tensor, labels: LabelMap, box: Box, network: SegmentationNetwork,
    prepared: Tensor? = nil, _ context: ForwardContext
  ) throws -> LossTerm? {
    let target = try context.team?.gatheredTensors(prepared.map { [$0] } ?? []).joined().first
    let own = try localTerm(
      output, image: image, labels: labels, box: box, network: network, target: target, context)
    guard let team = context.team else { return own }
    return LossTerm(name: FeatureDistanceTerm.name, perSample: try team.gathered(own?.perSample ?? [])[0])
  }

  private static let name = "source.feature-distance"

  /// The term on a rank that has the features.
  private func localTerm(
    _ output: TrainingOutput, image: Tensor, labels: LabelMap, box: Box, network: SegmentationNetwork,
    target: Tensor?, _ context: ForwardContext
  ) throws -> LossTerm? {
    let usesContext = output.context != nil
    guard let feature = usesContext ? output.contextFeatures.last : output.detailFeatures.last else { return nil }
    let seen = usesContext ? labels : labels.cropped(to: box)
    let factor = seen.width / feature.value.shape[2]
    let cells = dominantLabels(
      seen, factor: factor, minimumShare: options.minimumShare, classCount: classCount)
    precondition(
      cells.height == feature.value.shape[1] && cells.width == feature.value.shape[2],
      "labels of \(seen.height)x\(seen.width) do not divide into cells of feature \(feature.value.shape)")
    let things = Set(options.classes)
    let marks = cells.values.map { things.contains($0) ? UInt8(1) : 0 }
    let count = try context.communicator.sumIntegers([Int64(marks.reduce(0) { $0 + Int($1) })])[0]
    let input = usesContext ? network.contextImage(image) : cropped(image, to: box)
    return featureDistance(
      feature, reference: try target ?? reference.coarsestFeature(input, context), cells: marks,
      globalCells: Int(count), microBatches: context.microBatches, factor: options.weight,
      name: FeatureDistanceTerm.name)
  }
}
