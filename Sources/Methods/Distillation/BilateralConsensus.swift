// DiGA (Shen, Gurram, Liu, Wang, Knoll: Distil to Generalize and then Adapt for Domain Adaptive Semantic Segmentation, CVPR
// 2023, and its released code), self-training: labels of an earlier stage count where the nearest class centroid agrees.
// N samples, H×W pixels, h×w cells, C channels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of DiGA's self-training, `methodOptions` of the method `diga`.
public struct BilateralConsensusOptions: MethodOptions {
  /// The symmetric distillation on source images, which goes on.
  public var distillation = SymmetricDistillationOptions()
  /// Whether the nearest centroid must agree with a label.
  public var consensus = true
  /// Share of an image's mean feature in a centroid.
  public var momentum = 1e-4
  /// Cells that a class must have in an image to move its centroid.
  public var leastCells = 5
  /// Images after which the first means of a class no longer grow slower, as in the released code: 3000; nil: none.
  public var countCap: Int?

  /// Published values, for GTA as the source.
  public init() {
    distillation.beta = 0.3
    distillation.weight = 0.25
    distillation.mixture = true
  }

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.group("distillation", &distillation)
    try settings.value("consensus", &consensus)
    try settings.value("momentum", &momentum, .from(0, to: 1))
    try settings.value("leastCells", &leastCells, .atLeast(1))
    try settings.value("countCap", &countCap, .ifGiven(.atLeast(1)))
  }

  /// Makes the mixed images of source images and labelled target images. The teacher must have a map before its classifier.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = distillation.requirements(configuration)
    requirements.passes = ["source", "mixed"]
    requirements.needsLabels = true
    requirements.mixes = true
    // Asked for in a pass that no student has: the teacher is run by the objective itself.
    requirements.sites["teacher"] = [.fused]
    return requirements
  }

  /// The objective.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    BilateralConsensus(
      self, classes: setup.configuration.classCount, channels: setup.configuration.headWidth, seed: setup.seed)
  }
}

/// Self-training on labels that two views of a target image agree on.
///
///     ỹ = ŷ where ŷ = argmax_c softmax(-‖μ_c - f_T(x_t)‖₂), else 255
///     x_m, y_m: half of the source's classes, rounded down, on β · changed(x_t) + (1 - β) · x_t
///     L = CE(S(x), y) + CE(S(x_m), y_m) + distillation of the source
///     μ_c ← (1 - 10⁻⁴) μ_c + 10⁻⁴ v,   v: mean f_T of an image over cells whose label and arg-max of T are c
///
/// ŷ are labels of an earlier stage (`labels.source: cache`), or whoever labels; f is the map before the classifier, of the
/// context or the only crop. Centroids move in the source pass, after target images were labelled: by those, then by
/// perturbed source images, image after image, class after class, which ranks tell each other. Their first values are means
/// over target images of the means of each, by the student's own predictions, by a survey before the first step.
///
/// Differs from the released code: f is taken before dropout; centroids and their order are of the global batch; first
/// values count whole images once; and as `SourceDistillation`.
public final class BilateralConsensus: Objective {
  /// "diga".
  public let name = "diga"
  /// The centroids.
  public let centroids: ClassCentroids
  private let options: BilateralConsensusOptions
  private let source: SourceDistillation
  /// Of the micro-batch: vectors of target images and of perturbed source images, until the source pass has told them.
  private var vectors: (target: [[ClassVector]], source: [[ClassVector]]) = ([], [])

  /// The objective with centroids of nothing.
  /// - Parameters:
  ///   - options: of the method.
  ///   - classes: K.
  ///   - channels: C.
  ///   - seed: the run's, for the dropout of a noisy teacher.
  public init(_ options: BilateralConsensusOptions, classes: Int, channels: Int, seed: UInt64) {
    self.options = options
    centroids = ClassCentroids(classes: classes, channels: channels)
    source = SourceDistillation(options.distillation, of: "diga", seed: seed)
  }

  /// The centroids.
  public var state: [NamedTensor] { [NamedTensor("centroids", centroids.values)] }

  /// Labels where the nearest centroid agrees.
  public func refine(_ labels: inout PseudoLabels, _ step: StepView) throws {
    let image = step.targetSamples.image
    var view = View(
      "target", image: Variable(constant: image),
      box: Box(top: 0, bottom: image.shape[1], left: 0, right: image.shape[2]))
    view.crops = .context
    let taught = try source.teach(view, keeping: [.fused], step)
    let features = features(taught)
    if options.consensus {
      labels.keep(
        agreeingWith: centroids.nearestLabels(features, height: image.shape[1], width: image.shape[2]))
    }
    vectors.target = means(taught, labels: labels.labels)
  }

  /// Half of the source's classes on perturbed target images.
  public func mixed(_ step: StepView) throws -> LabelledImages? {
    let (image, labels) = step.sourceSamples
    let target = step.targetSamples
    let perturbed = options.distillation.colours.perturbed(
      target.image, beta: options.distillation.beta, draw: "target colours", of: name, step)
    let believed = step.pseudoLabels.labels.without(target.validMask)
    return pasted(
      LabelledImages(image: image, labels: labels, maps: step.batch.source?.maps ?? [:]),
      onto: LabelledImages(image: perturbed, labels: believed, maps: target.maps),
      where: try halfMask(labels, draw: "classes", of: name, step))
  }

  /// Adds the perturbed view of source images; the teacher looks at both.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    if pass == "mixed" { views[0].hardPixels = options.distillation.hardPixels }
    guard pass == "source" else { return }
    let taught = try source.perturb(&views, keeping: [.fused], step)
    let labels = views[0].labels ?? step.sourceSamples.labels
    let seesAll = step.student.configuration.resolution != .detailOnly
    vectors.source = means(taught, labels: seesAll ? labels : labels.cropped(to: views[0].detailCrops))
  }

  /// Vectors of the classes of all images.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard pass == "source" else { return asked }
    asked.rows("target", vectors.target.map(\.row))
    asked.rows("source", vectors.source.map(\.row))
    return asked
  }

  /// The terms `source.diga` and `source.diga.second`. Centroids move.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "source" else { return [] }
    vectors = ([], [])
    for row in totals.rows("target") + totals.rows("source") {
      centroids.move(
        by: [ClassVector](row: row, channels: centroids.values.channels), momentum: options.momentum)
    }
    return source.terms(runs)
  }

  /// Mean features of the classes that labels and teacher agree on.
  private func means(_ taught: TrainingOutput, labels: LabelMap) -> [[ClassVector]] {
    let features = features(taught)
    return classVectors(
      features, logits: logits(taught),
      labels: nearest(labels, height: features.shape[1], width: features.shape[2]), least: options.leastCells)
  }

  private func features(_ output: TrainingOutput) -> Tensor {
    guard let map = output.maps[.fused] else { preconditionFailure("the map before the classifier is missing") }
    return map.value
  }

  /// Logits of the context or the only crop.
  private func logits(_ output: TrainingOutput) -> Tensor {
    guard let logits = output.context ?? output.detail else { preconditionFailure("a run without logits") }
    return logits.value
  }
}

extension BilateralConsensus {
  /// First centroids, over all target images.
  public var surveys: [Survey] {
    let (classes, channels) = (centroids.values.samples, centroids.values.channels)
    let columns = channels + 1
    func survey(_ outcome: Survey.Outcome) -> [Survey] {
      [
        Survey(
          "centroids", of: .target, width: classes * columns, isDue: { $0 == 0 },
          row: { [self] in try row(ofImage: $0) }, outcome)
      ]
    }
    // Without a cap means are sums over counts, and no row of an image has to be kept.
    guard let cap = options.countCap else {
      return survey(.sums { [centroids] sums, _ in movePrototypes(centroids.values, by: sums, keeping: 0) })
    }
    return survey(
      .rows { [centroids] rows, _ in
        var counts = [Int](repeating: 0, count: classes)
        let numbers = rows.values
        let all = (0..<rows.samples * classes).filter { numbers[($0 + 1) * columns - 1] > 0 }.map {
          ClassVector(label: $0 % classes, values: Array(numbers[$0 * columns..<$0 * columns + channels]))
        }
        centroids.average(all, counts: &counts, cap: cap)
      })
  }

  /// An image's mean feature of each class that the student predicts, and 1 for each.
  private func row(ofImage image: SurveyedImage) throws -> [Double] {
    let output = try image.run(keeping: [.fused])
    let found = classVectors(features(output), logits: logits(output), least: options.leastCells)[0]
    let columns = centroids.values.channels + 1
    var row = [Double](repeating: 0, count: centroids.values.samples * columns)
    for vector in found where vector.values.reduce(0, +) != 0 {
      for (channel, value) in vector.values.enumerated() { row[vector.label * columns + channel] = Double(value) }
      row[(vector.label + 1) * columns - 1] = 1
    }
    return row
  }
}
