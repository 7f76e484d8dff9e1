// EHTDI (Li et al., Exploring High-quality Target Domain Information, ACM MM 2022; its released code): confident regions of
// target images are pasted onto source images, so that boundaries of target objects have labels that can be trusted; and
// two views of a target image find each other, class by class and cell by cell.
// N samples, V×V views, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Target regions on source images, and the contrast of views.
///
///     pass "mixed": the strong view of target images with pasted source classes, and the weak view of the same
///     pass "recut": C · x^s + (1-C) · x_s^s with C where the weak view's probability exceeds the limit
///
/// Views are cut from the images of the batch, which should be whole ones. The recipe says who labels target images
/// (`labels.source: student`, `teacher.threshold: 0`, published) and how the source learns. All cross-entropies here are
/// means over the labelled pixels of the micro-batch of all ranks; contrasts are formed within an image and sent nowhere.
/// The teacher is an average for evaluation; its running statistics are the student's from before the step.
///
/// Differs from the released code: who labels, and the weak view without paste, run with running statistics and without
/// dropout; each image is jittered (nine tenths to eleven tenths and the like), greyed and blurred by draws of its own, with
/// another blur window; the average begins with a warm-up. Its defects are options.
public final class TargetInformation: Objective {
  /// "ehtdi".
  public let name = "ehtdi"
  private let options: TargetInformationOptions
  private var current: Current?
  private static let weak = "mixed.weak"

  /// What the passes of a micro-batch tell each other.
  private struct Current {
    let views: TargetViews
    /// What is said of the weak view without pasted source; with `edges` only.
    var clean: WeakLabels?
    var found: WeakLabels?
    var recut: Recut?
    var targets: [RegionTarget] = []
  }

  /// The objective with its options.
  public init(_ options: TargetInformationOptions) { self.options = options }

  /// Running statistics of the evaluated average.
  public func prepare(_ step: inout StepView) throws {
    step.teacher?.network.parameters.buffers.assign(step.student.parameters.buffers)
  }

  /// The strong view.
  /// - Throws: `Failure` 65 where a detail crop is larger than a view.
  public func mixed(_ step: StepView) throws -> LabelledImages? {
    let (side, network) = (side(step), step.student.configuration)
    let detail = max(network.detailHeight, network.detailWidth)
    guard network.resolution != .hrda || detail <= side else {
      throw Failure(
        .badData, "views of \(side) pixels are smaller than the detail crop of \(detail)", at: "methodOptions.view",
        remedy: "use a smaller network.detailCrop, or larger views and images")
    }
    let views = TargetViews(step, options, side: side, of: name)
    current = Current(views: views)
    return LabelledImages(image: views.strong, labels: views.labels)
  }

  /// Rows and columns of a view.
  private func side(_ step: StepView) -> Int { min(options.view, step.batch.height, step.batch.width) }

  /// Adds the weak view. Labels of both are ours: one of them comes from the other.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    guard pass == "mixed", let own = current?.views else { return }
    views[0].labels = nil
    let side = side(step)
    let box = step.draws(pass) { ($0.height, $0.width) = (side, side) }.box
    views[0].box = box
    views.append(View(Self.weak, image: Variable(constant: own.weak), box: box))
    guard options.edges else { return }
    let logits = try step.student.dense(own.weakTarget, step.share.context(normalization: .running)).logits
    current?.clean = WeakLabels(
      logits, auxiliary: nil, height: side, width: side, limit: Float(options.limit))
  }

  /// The pass of target regions on source images.
  public func passes(at step: Int) -> [Pass] {
    [
      Pass("recut") { [self] step in
        guard let recut = current?.recut else { preconditionFailure("target regions before their views") }
        let side = side(step)
        let box = step.draws("recut") { ($0.height, $0.width) = (side, side) }.box
        return [View("recut", image: Variable(constant: recut.image), box: box)]
      }
    ]
  }

  /// Numbers of labelled pixels, and of images without a border.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard ["mixed", "recut"].contains(pass) else { return asked }
    let targets = (pass == "mixed" ? viewTargets(runs) : recutTargets(step)).filter {
      $0.output == .main || runs[0].output.auxiliary != nil
    }
    current?.targets = targets
    for target in targets {
      let lacking = target.lacksBorder
      let rows: [Double] = lacking.indices.flatMap { sample in
        [Double(target.labels.labelledCount(sample)), lacking[sample] ? 1 : 0]
      }
      asked.sum(target.name, rows, samples: target.labels.samples)
    }
    return asked
  }

  private func viewTargets(_ runs: [StudentRun]) -> [RegionTarget] {
    guard let views = current?.views, let weak = runs.first(where: { $0.view.name == Self.weak })?.output else {
      preconditionFailure("a pass without its weak view")
    }
    let found = WeakLabels(
      logits(weak).value, auxiliary: weak.auxiliary?.value, height: views.labels.height, width: views.labels.width,
      limit: Float(options.limit))
    let clean = current?.clean ?? found
    let region = options.edges ? zip(views.pasted, clean.region).map { max($0, $1) } : found.region
    current?.found = found
    current?.recut = Recut(
      region, of: views.strong, onto: views.source, found: clean.main, pasted: views.pasted,
      predicted: options.predictedPaste && !options.edges)
    return options.viewTargets(views.labels, both: found.both, pasted: views.pasted)
  }

  private func recutTargets(_ step: StepView) -> [RegionTarget] {
    guard let current, let recut = current.recut, let found = current.found else {
      preconditionFailure("target regions before their views")
    }
    let views = current.views
    let auxiliary = Recut(
      recut.region, of: views.strong, onto: views.source, found: found.both, pasted: views.pasted)
    return options.recutTargets(
      recut, auxiliary: auxiliary.labels, region: (current.clean ?? found).region, pasted: views.pasted,
      counts: samples(step, firstOnly: options.firstImageRecut))
  }

  /// Which local samples count: all, or the first of the micro-batch.
  private func samples(_ step: StepView, firstOnly: Bool) -> [Bool] {
    step.share.samples.map { !firstOnly || $0.isMultiple(of: step.share.globalBatch) }
  }

  /// The terms `mixed.main`, `mixed.auxiliary`, `mixed.prototypes`, `mixed.pixels`, `recut.main`, and those of edges.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard ["mixed", "recut"].contains(pass), let current else { return [] }
    let output = runs[0].output
    let terms = current.targets.map { target in
      let (labelled, empty) = (totals.sum(target.name)[0], totals.sum(target.name)[1])
      return crossEntropy(
        target.output == .main ? logits(output) : output.auxiliary ?? logits(output), labels: target.labels,
        weights: nil, valid: empty > 0 ? 0 : Int(labelled), alignCorners: true, factor: Float(target.factor),
        name: "\(pass).\(target.name)", runs[0].context)
    }
    return terms + (pass == "mixed" && options.contrastWeight > 0 ? contrasts(runs, current, step) : [])
  }

  private func contrasts(_ runs: [StudentRun], _ current: Current, _ step: StepView) -> [LossTerm] {
    guard let weak = runs.first(where: { $0.view.name == Self.weak }), let found = current.clean ?? current.found else {
      preconditionFailure("a contrast of one view")
    }
    let (first, second) = (logits(runs[0].output), logits(weak.output))
    let (height, width) = (first.value.shape[1], first.value.shape[2])
    let labels = found.prototypes(
      pasted: current.views.pasted, truth: current.views.source.labels, height: height, width: width)
    let counts = samples(step, firstOnly: options.firstImagePrototypes).flatMap {
      [UInt8](repeating: $0 ? 1 : 0, count: height * width)
    }
    let weight = Float(options.contrastWeight)
    return [
      instanceMatching(
        first, second, labels: labels.only(where: counts), scale: Float(options.prototypeScale), factor: weight,
        name: "mixed.prototypes", runs[0].context),
      instanceMatching(
        first, second, scale: Float(options.pixelScale), factor: weight, name: "mixed.pixels", runs[0].context),
    ]
  }

  private func logits(_ output: TrainingOutput) -> Variable {
    guard let logits = output.fused ?? output.detail else { preconditionFailure("a run without logits") }
    return logits
  }
}
