// ProCA (Jiang, Li, Yang, Gao, Wang, Tai, Wang: Prototypical Contrast Adaptation for Domain Adaptive Semantic
// Segmentation, ECCV 2022, and its official code): every pixel of both domains picks its class among means over all pixels
// of both domains ever seen, of features and of outputs. N samples, h×w cells, C channels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of prototypical contrast adaptation, `methodOptions` of the method `proca`.
public struct PrototypeAdaptationOptions: MethodOptions {
  /// The pass whose target pixels are contrasted.
  public enum Target: String, SettingChoice {
    /// Target images as they are, of host adversarial, labelled by the network itself.
    case target
    /// Mixed images, of hosts that mix, with their labels.
    case mixed
  }

  /// What a target pixel's confidence is.
  public enum Confidence: String, SettingChoice {
    /// The largest logit, as released.
    case logit
    /// Its probability.
    case probability
  }

  /// The pass whose target pixels are contrasted.
  public var target = Target.target
  /// From which confidence on the network's own label of a target pixel counts.
  public var threshold = 0.9
  /// What a target pixel's confidence is.
  public var thresholdOn = Confidence.logit
  /// Temperature of the similarities.
  public var temperature = 50.0
  /// Weight of the contrast of features.
  public var weight = 1.0
  /// Weight of the contrast of outputs; 0 leaves it out.
  public var outputWeight = 1.0
  /// Share of a batch's mean in the prototypes; nil: they are means over all that was seen.
  public var momentum: Double?
  /// What counters count with a momentum.
  public var momentumCounts = CountedVectors.own
  /// The Lovász-softmax loss of source images.
  public var lovasz = LovaszOptions()

  /// Published values.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("target", &target)
    try settings.value("threshold", &threshold)
    try settings.value("thresholdOn", &thresholdOn)
    try settings.value("temperature", &temperature, .above(0))
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("outputWeight", &outputWeight, .atLeast(0))
    try settings.value("momentum", &momentum, .ifGiven(.from(0, to: 1)))
    try settings.value("momentumCounts", &momentumCounts)
    try settings.group("lovasz", &lovasz)
  }

  /// Features of both passes of the host; labels of target images where they are mixed.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.sites = ["source": [.coarsest], target.rawValue: [.coarsest]]
    requirements.passes = ["source", target.rawValue]
    requirements.passOptions = [target.rawValue: "target"]
    requirements.needsSource = true
    return requirements
  }

  /// The contrast.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    PrototypeAdaptation(
      self, classes: setup.configuration.classCount, channels: try setup.configuration.coarsestChannels())
  }
}

/// Contrast of features and outputs with running means.
///
///     CE + λ Lovász + contrast(f_s, y_s) + contrast(f_t, ŷ_t) + contrast(o_s, y_s) + contrast(o_t, ŷ_t)
///     contrast(v, y) = mean over labelled cells of the cross-entropy of cos(v, prototype_k) / temperature
///     ŷ_t = argmax o_t where the largest logit reaches the threshold
///
/// f is the coarsest feature map, o the logits, of the context or the only crop. Both passes are one tape: prototypes take
/// in the target's cells, then the source's, of the micro-batch of all ranks, and are constants of the losses then. Their
/// first values are means over the whole source, by a survey. A class that was never seen competes with similarity 0.
///
/// Differs from the released code: prototypes are the same on all ranks; no cell gives 0, not not-a-number; the Lovász loss
/// is of the batch of all ranks, or of images.
public final class PrototypeAdaptation: Objective {
  /// "proca".
  public let name = "proca"
  /// Running means of features.
  public let features: ClassMeans
  /// Running means of outputs.
  public let outputs: ClassMeans
  private let options: PrototypeAdaptationOptions
  /// The source pass of the micro-batch, until the target's has run.
  private var source: Pixels?

  /// A pass of the micro-batch with the labels of its cells, and the sums of all ranks.
  private struct Pixels {
    let run: StudentRun
    let features: LabelMap
    let outputs: LabelMap
    var sums: [String: [Double]] = [:]
  }

  /// What `statistics` was asked for, until `losses` is.
  private var asked: [String: Pixels] = [:]

  /// The objective, which has seen nothing.
  public init(_ options: PrototypeAdaptationOptions, classes: Int, channels: Int) {
    self.options = options
    features = ClassMeans(classes: classes, channels: channels)
    outputs = ClassMeans(classes: classes, channels: classes)
  }

  /// Means and counts.
  public var state: [NamedTensor] {
    [("features", features), ("outputs", outputs)].flatMap { name, means in
      [NamedTensor(name, means.means), NamedTensor("\(name)-counts", means.words)]
    }
  }

  /// Losses need means that both passes have moved.
  public var joinsHostPasses: Bool { true }

  /// First means, over the source.
  public var surveys: [Survey] {
    let width = [features, outputs].reduce(0) { $0 + $1.means.samples * ($1.means.channels + 1) }
    return [
      Survey(
        "means", of: .source, width: width, isDue: { $0 == 0 }, row: { [self] in try sums(ofImage: $0) },
        take: { [features, outputs] sums, _ in
          let split = features.means.samples * (features.means.channels + 1)
          features.move(by: Array(sums[..<split]))
          outputs.move(by: Array(sums[split...]))
        })
    ]
  }

  private func sums(ofImage image: SurveyedImage) throws -> [Double] {
    guard let labels = image.labels else { preconditionFailure("a source image without labels") }
    let output = try image.run(keeping: [.coarsest])
    guard let feature = output.maps[.coarsest]?.value else { preconditionFailure("the coarsest map is missing") }
    return [feature, logits(output).value].flatMap {
      classSums($0, labels: labels.onCells(of: $0), classes: outputs.means.samples)
    }
  }

  /// Logits of the context or the only crop.
  private func logits(_ output: TrainingOutput) -> Variable {
    guard let logits = output.context ?? output.detail else { preconditionFailure("a run without logits") }
    return logits
  }

  /// Sums of features and outputs by class.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var statistics = PassStatistics()
    guard ["source", options.target.rawValue].contains(pass) else { return statistics }
    let pixels = labelled(runs[0], step)
    asked[pass] = pixels
    for (key, map, labels) in [
      ("features", runs[0].map(.coarsest).value, pixels.features),
      ("outputs", logits(runs[0].output).value, pixels.outputs),
    ] {
      statistics.sum(key, classSums(map, labels: labels, classes: outputs.means.samples), samples: map.samples)
    }
    return statistics
  }

  /// The labels of a run's cells: given ones, or those the network is sure of.
  private func labelled(_ run: StudentRun, _ step: StepView) -> Pixels {
    let (view, logits) = (run.view, logits(run.output).value)
    let feature = run.map(.coarsest).value
    guard let labels = view.labels else {
      let own = confidentLabels(logits, threshold: options.threshold, on: options.thresholdOn)
      return Pixels(run: run, features: own.onCells(of: feature), outputs: own)
    }
    let sure = labels.without(view.weights)
    let seen = step.student.configuration.resolution == .detailOnly ? sure.cropped(to: view.box) : sure
    return Pixels(run: run, features: seen.onCells(of: feature), outputs: seen.onCells(of: logits))
  }

  /// The terms `source.lovasz`, and after the target's pass `source.features`, `source.outputs`, `target.features` and
  /// `target.outputs`, or `mixed.…`. Means move before.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard var pixels = asked.removeValue(forKey: pass) else { return [] }
    for key in ["features", "outputs"] { pixels.sums[key] = totals.sum(key) }
    guard pass == options.target.rawValue else {
      source = pixels
      return try options.lovasz.terms(pixels.run)
    }
    guard let source else { preconditionFailure("a target pass without a source pass") }
    self.source = nil
    for sums in [pixels.sums, source.sums] {
      for (key, means) in [("features", features), ("outputs", outputs)] {
        means.move(by: sums[key] ?? [], momentum: options.momentum, counting: options.momentumCounts)
      }
    }
    return contrasts(source, "source") + contrasts(pixels, pass)
  }

  private func contrasts(_ pixels: Pixels, _ pass: String) -> [LossTerm] {
    let levels = [
      ("features", pixels.run.map(.coarsest), pixels.features, features, options.weight),
      ("outputs", logits(pixels.run.output), pixels.outputs, outputs, options.outputWeight),
    ]
    return levels.filter { $0.4 > 0 }.map { key, map, labels, means, weight in
      let (sums, columns) = (pixels.sums[key] ?? [], means.means.channels + 1)
      let count = (0..<means.means.samples).reduce(0.0) { $0 + sums[$1 * columns + columns - 1] }
      return pixelPrototypeContrast(
        map, prototypes: Kernels.unitLength(means.means, epsilon: 1e-12).output, labels: labels,
        temperature: Float(options.temperature), globalCount: Int(count), factor: Float(weight),
        name: "\(pass).\(key)", pixels.run.context)
    }
  }
}

/// The network's own labels where it is sure of them, 255 elsewhere.
///
/// Shapes: `logits` [N, h, w, K]; result [N, h, w].
/// - Parameters:
///   - logits: of the network.
///   - threshold: from which confidence on a label counts.
///   - confidence: what that is: the logit or the probability of the label.
public func confidentLabels(
  _ logits: Tensor, threshold: Double, on confidence: PrototypeAdaptationOptions.Confidence
) -> LabelMap {
  let (labels, probabilities) = pseudoLabels(logits)
  let classes = logits.channels
  let numbers = confidence == .logit ? logits.values : probabilities.values
  return labels.masked { cell in
    Double(confidence == .logit ? numbers[cell * classes + Int(labels.values[cell])] : numbers[cell]) >= threshold
  }
}

extension LabelMap {
  /// The labels at the nearest pixels of a map's cells.
  fileprivate func onCells(of map: Tensor) -> LabelMap { nearest(self, height: map.shape[1], width: map.shape[2]) }
}
