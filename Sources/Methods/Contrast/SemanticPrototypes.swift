// SPCL (Xie, Yin, Li, Cheng: semantic prototype-based contrastive learning, arXiv 2111.12358, 2021; its official code):
// every source pixel, by its label, and every target pixel, by its pseudo-label, picks its class among prototypes, which
// are moving averages of source features.
// N samples, h×w cells of the coarsest feature map, C channels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of semantic prototypes, `methodOptions` of the method `spcl`.
public struct SemanticPrototypesOptions: MethodOptions {
  /// The pass whose target features are contrasted.
  public enum Target: String, SettingChoice {
    /// Target images as they are, of host adversarial.
    case target
    /// Mixed images, of hosts that mix.
    case mixed
  }

  /// The pass whose target features are contrasted.
  public var target = Target.target
  /// Temperature of the similarities; the released code has a nearly flat loss.
  public var temperature = 100.0
  /// Weight of the former prototype in the moving average.
  public var momentum = 0.1
  /// Weight of the contrastive terms.
  public var weight = 1.0
  /// What logits are divided by in the cross-entropy of source images.
  public var segmentationTemperature = 1.8
  /// What becomes of classes that a batch does not show.
  public var absentClass = AbsentClass.keep

  /// Published values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("target", &target)
    try settings.value("temperature", &temperature, .above(0))
    try settings.value("momentum", &momentum, .from(0, to: 1))
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("segmentationTemperature", &segmentationTemperature, .above(0))
    try settings.value("absentClass", &absentClass)
  }

  /// Features of source and target, and labels of target images.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.sites = ["source": [.coarsest], target.rawValue: [.coarsest]]
    requirements.passes = ["source", target.rawValue]
    requirements.passOptions = [target.rawValue: "target"]
    requirements.needsSource = true
    requirements.needsLabels = true
    return requirements
  }

  /// The contrast.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    SemanticPrototypes(
      self, classes: setup.configuration.classCount, channels: try setup.configuration.coarsestChannels())
  }
}

/// The contrastive stage of SPCL.
///
///     z_k = ⟨f / ‖f‖, prototype_k⟩ / temperature
///
/// The loss is the mean cross-entropy over source cells whose class the network finds, plus that over labelled target
/// cells; target pixels of weight 0 take no part. Before it, each prototype moves to the mean unit feature of its class's
/// source cells of the whole micro-batch; it is not brought back to length 1, and takes no gradient. First values come
/// from a survey of the source: means over images of the means of each image.
///
/// Differs from the released code: prototypes are the same on all ranks; a class that a batch lacks keeps its prototype
/// (`absentClass`); an empty set of cells has loss 0. With two resolutions the context's features are contrasted.
public final class SemanticPrototypes: Objective {
  /// "spcl".
  public let name = "spcl"
  /// The prototypes, `[K, C]`.
  public let prototypes: Tensor
  private let options: SemanticPrototypesOptions
  /// Labels of the cells in the pass under way, 255 where they take no part.
  private var cells = LabelMap(height: 1, width: 1)

  /// The objective with prototypes of zero.
  public init(_ options: SemanticPrototypesOptions, classes: Int, channels: Int) {
    self.options = options
    prototypes = Tensor(zeros: [classes, channels])
  }

  /// The prototypes.
  public var state: [NamedTensor] { [NamedTensor("prototypes", prototypes)] }

  /// The prototypes' first values, before the first step.
  public var surveys: [Survey] {
    [
      Survey(
        "prototypes", of: .source, width: prototypes.samples * (prototypes.channels + 1), isDue: { $0 == 0 },
        row: { [self] in try meansOfClasses($0) },
        take: { [prototypes] sums, _ in movePrototypes(prototypes, by: sums, keeping: 0, absent: .literal) })
    ]
  }

  /// Softens the cross-entropy of source images.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    guard pass == "source" else { return }
    for index in views.indices { views[index].temperature = Float(options.segmentationTemperature) }
  }

  /// Sums of unit features by class in the source pass, numbers of labelled cells in the target's.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard ["source", options.target.rawValue].contains(pass) else { return asked }
    let (view, output) = (runs[0].view, runs[0].output)
    let feature = runs[0].map(.coarsest).value
    let seesContext = step.student.configuration.resolution != .detailOnly
    func onCells(_ labels: LabelMap?) -> LabelMap {
      guard let labels else { preconditionFailure("\(pass): a view without labels") }
      return nearest(
        seesContext ? labels : labels.cropped(to: view.box), height: feature.shape[1], width: feature.shape[2])
    }
    if pass == "source" {
      cells = foundCells(onCells(view.labels), output)
      let sums = classSums(unitLength(feature, epsilon: 1e-12).output, labels: cells, classes: prototypes.samples)
      asked.sum("classes", sums, samples: feature.samples)
    } else {
      let labels = view.labels ?? step.pseudoLabels.labels
      cells = onCells(labels.without(view.labels == nil ? step.pseudoLabels.weights : view.weights))
      asked.sum(
        "cells", (0..<feature.samples).map { Double(cells.labelledCount($0)) }, samples: feature.samples)
    }
    return asked
  }

  /// The terms `source.spcl` and `target.spcl` or `mixed.spcl`; their gradients go to the features. In the source pass
  /// the prototypes move first.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard ["source", options.target.rawValue].contains(pass) else { return [] }
    let count: Double
    if pass == "source" {
      let sums = totals.sum("classes")
      movePrototypes(prototypes, by: sums, keeping: options.momentum, absent: options.absentClass)
      let columns = prototypes.channels + 1
      count = (0..<prototypes.samples).reduce(0) { $0 + sums[$1 * columns + columns - 1] }
    } else {
      count = totals.sum("cells")[0]
    }
    return [
      pixelPrototypeContrast(
        runs[0].map(.coarsest), prototypes: prototypes, labels: cells, temperature: Float(options.temperature),
        globalCount: Int(count), factor: Float(options.weight), name: "\(pass).\(name)", runs[0].context)
    ]
  }

  /// An image's mean unit feature of each class, and 1 for each class that it shows.
  private func meansOfClasses(_ image: SurveyedImage) throws -> [Double] {
    guard let labels = image.labels else { preconditionFailure("a source image without labels") }
    let output = try image.run(keeping: [.coarsest])
    guard let feature = output.maps[.coarsest]?.value else { preconditionFailure("the coarsest map is missing") }
    let cells = foundCells(nearest(labels, height: feature.shape[1], width: feature.shape[2]), output)
    let sums = classSums(unitLength(feature, epsilon: 1e-12).output, labels: cells, classes: prototypes.samples)
    return meansOfImage(sums, channels: prototypes.channels)
  }

  /// Labels of cells, 255 where the network finds another class.
  private func foundCells(_ labels: LabelMap, _ output: TrainingOutput) -> LabelMap {
    guard let logits = output.context ?? output.detail else { preconditionFailure("a run without logits") }
    let found = nearest(pseudoLabels(logits.value).labels, height: labels.height, width: labels.width)
    return labels.masked { labels.values[$0] == found.values[$0] }
  }
}

extension LabelMap {
  /// The labels where a pixel's weight is not 0, 255 elsewhere.
  /// - Parameter weights: `[N, H, W]`; nil is 1.
  func without(_ weights: Tensor?) -> LabelMap {
    guard let weights = weights?.values else { return self }
    return masked { weights[$0] != 0 }
  }

  /// The labels where a pixel stays, 255 elsewhere.
  func masked(_ stays: (Int) -> Bool) -> LabelMap {
    var values = values
    for place in values.indices where !stays(place) { values[place] = LabelMap.ignored }
    return LabelMap(samples: samples, height: height, width: width, values: values)
  }
}
