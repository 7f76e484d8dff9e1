// Options of EHTDI (Li et al., ACM MM 2022), and which labels they make of regions.

import Adaptation
import Kernels
import Networks
import Support
import Tensors

/// Options of EHTDI, `methodOptions` of the method `ehtdi`.
public struct TargetInformationOptions: MethodOptions {
  /// Rows and columns of views, at most those of the images.
  public var view = 512
  /// Least and greatest share of the image that a view shows.
  public var area = [0.2, 1]
  /// Classes above this id may be pasted onto target images.
  public var pasteAbove = 4
  /// Probability that a target region must exceed to be pasted onto a source image.
  public var limit = 0.95
  /// Weight of the cross-entropy of target views.
  public var weight = 0.1
  /// Weight of the auxiliary head's cross-entropy beside the network's, where there is one.
  public var auxiliaryWeight = 0.1
  /// Weight of the cross-entropy of target regions on source images.
  public var recutWeight = 0.1
  /// Weight of both contrasts.
  public var contrastWeight = 0.01
  /// What products of class means are multiplied by.
  public var prototypeScale = 7.0
  /// What products of cells are multiplied by.
  public var pixelScale = 20.0
  /// The edge-enhanced variant: regions come from the weak view without pasted source, and borders count once more.
  public var edges = false
  /// As released: classes to paste are picked one place too low.
  public var shiftedPick = false
  /// As released: of target regions on source images only the first image of the batch learns.
  public var firstImageRecut = false
  /// As released: class means are compared in the first image of the batch only.
  public var firstImagePrototypes = false
  /// As released, without `edges`: pasted source in a target region is labelled by the network.
  public var predictedPaste = false

  /// Published values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("view", &view, .from(32, to: 65536))
    try settings.value("area", &area, .each(.from(0.01, to: 1), count: 2))
    try settings.value("pasteAbove", &pasteAbove, .from(-1, to: 254))
    try settings.value("limit", &limit, .from(0, to: 1))
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("auxiliaryWeight", &auxiliaryWeight, .atLeast(0))
    try settings.value("recutWeight", &recutWeight, .atLeast(0))
    try settings.value("contrastWeight", &contrastWeight, .atLeast(0))
    try settings.value("prototypeScale", &prototypeScale, .from(0, to: 80))
    try settings.value("pixelScale", &pixelScale, .from(0, to: 80))
    try settings.value("edges", &edges)
    try settings.value("shiftedPick", &shiftedPick)
    try settings.value("firstImageRecut", &firstImageRecut)
    try settings.value("firstImagePrototypes", &firstImagePrototypes)
    try settings.value("predictedPaste", &predictedPaste)
  }

  /// Makes the mixed images of source images and labelled target images.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["source", "mixed"]
    requirements.needsSource = true
    requirements.needsLabels = true
    requirements.mixes = true
    return requirements
  }

  /// The objective.
  /// - Throws: `Failure` 65 where the network sees a part of a view only.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    let network = setup.configuration
    if network.resolution == .detailOnly {
      throw Failure(
        .badData, "ehtdi labels whole views, of which this network sees a detail crop", at: "network.resolution",
        remedy: "use context-only with network.contextScale: 1, or hrda")
    }
    return TargetInformation(self)
  }

  /// Views have to fit any network's grid, and shares an order.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    guard view.isMultiple(of: 32) else {
      return OptionMisfit(
        key: "view", what: "\(view) is not a multiple of 32, which networks need", remedy: "use \(view / 32 * 32)")
    }
    guard area[0] > area[1] else { return nil }
    return OptionMisfit(key: "area", what: "has its least share after its greatest", remedy: "exchange them")
  }

  // MARK: What is learned

  /// Labels of the strong view.
  /// - Parameters:
  ///   - labels: ground truth on pasted pixels, elsewhere what was said of the whole target image.
  ///   - both: what both heads say of the weak view.
  ///   - pasted: where source was pasted.
  package func viewTargets(_ labels: LabelMap, both: LabelMap, pasted: [UInt8]) -> [RegionTarget] {
    var targets = [
      RegionTarget("main", .main, labels, factor: weight),
      RegionTarget("auxiliary", .auxiliary, both, factor: weight * auxiliaryWeight),
    ]
    guard edges else { return targets }
    let border = maskBorders(pasted, height: labels.height, width: labels.width)
    targets.append(RegionTarget("edge.main", .main, labels, along: border, factor: weight))
    targets.append(
      RegionTarget("edge.auxiliary", .auxiliary, both, along: border, factor: weight * auxiliaryWeight))
    return targets
  }

  /// Labels of target regions on source images.
  /// - Parameters:
  ///   - recut: the images with labels for the network.
  ///   - auxiliary: labels for the auxiliary head, which learns with `edges` only.
  ///   - region: where the network was confident.
  ///   - pasted: where the target's view shows source.
  ///   - counts: samples that learn.
  package func recutTargets(
    _ recut: Recut, auxiliary: LabelMap, region: [UInt8], pasted: [UInt8], counts: [Bool]
  ) -> [RegionTarget] {
    let pixels = auxiliary.height * auxiliary.width
    let counted = counts.flatMap { [UInt8](repeating: $0 ? 1 : 0, count: pixels) }
    let labels = recut.labels.only(where: counted)
    var targets = [RegionTarget("main", .main, labels, factor: recutWeight)]
    guard edges else { return targets }
    let border = zip(maskBorders(region, height: auxiliary.height, width: auxiliary.width), pasted).map {
      $1 == 1 ? 0 : $0
    }
    targets.append(
      RegionTarget(
        "auxiliary", .auxiliary, auxiliary.only(where: counted), factor: recutWeight * weight * auxiliaryWeight))
    targets.append(RegionTarget("edge.main", .main, labels, along: border, factor: recutWeight * recutWeight))
    return targets
  }
}
