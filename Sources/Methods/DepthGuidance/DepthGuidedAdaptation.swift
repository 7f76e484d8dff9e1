// CorDA (Wang, Dai, Hoyer, Van Gool, Fink: Domain adaptive semantic segmentation with self-supervised depth estimation,
// ICCV 2021; its official code): depth is predicted beside classes, and pseudo-labels count less where a source and a
// target classifier of depth disagree. N samples, H×W pixels.

import Adaptation
import Autograd
import Domains
import Kernels
import Networks
import Support
import Tensors

/// Options of depth guidance, `methodOptions` of the method `corda`.
public struct DepthGuidedAdaptationOptions: MethodOptions {
  /// By what a pseudo-label's weight is multiplied.
  public enum Difficulty: String, SettingChoice {
    /// The agreement of the depth classifiers at its pixel over the batch's mean agreement.
    case image
    /// The mean of that over the images of the batch, pixel by pixel, as in the released code, whose shapes broadcast.
    case batch
    /// Nothing.
    case none
  }

  /// Weight of the terms of depth in the source pass.
  public var sourceDepth = 0.01
  /// Weight of the terms of depth in the mixed pass.
  public var mixedDepth = 0.001
  /// Factor on the cross-entropies of mixed images.
  public var consistency = 1.0
  /// By what a pseudo-label's weight is multiplied.
  public var difficulty = Difficulty.image
  /// Share of the schedule, from its beginning, in which pseudo-labels are the first predictions.
  public var initialLabels = 0.0

  /// The published values for SYNTHIA.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("sourceDepth", &sourceDepth, .atLeast(0))
    try settings.value("mixedDepth", &mixedDepth, .atLeast(0))
    try settings.value("consistency", &consistency, .atLeast(0))
    try settings.value("difficulty", &difficulty)
    try settings.value("initialLabels", &initialLabels, .from(0, to: 1))
  }

  /// Depth of both domains, a head that predicts it, and images that are mixed.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    let source = [DepthGuidedHead.initial, DepthGuidedHead.sourceDepth, DepthGuidedHead.initialSourceDepth]
    let mixed = source + [DepthGuidedHead.depth, DepthGuidedHead.initialDepth]
    var requirements = Requirements()
    requirements.sites = [
      "source": Set(source.map { Site(.named($0)) }), "mixed": Set(mixed.map { Site(.named($0)) }),
    ]
    if initialLabels > 0 { requirements.sites[Requirements.labellingPass] = [Site(.named(DepthGuidedHead.initial))] }
    requirements.passes = ["source", "mixed"]
    requirements.needsSource = true
    requirements.needsLabels = true
    requirements.maps = [PixelMap.depth]
    requirements.resolutions = [.contextOnly]
    return requirements
  }

  /// The objective.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    DepthGuidedAdaptation(self, initialSteps: Int((initialLabels * Double(setup.scheduledSteps)).rounded()))
  }
}

/// Depth as a second task, and pseudo-labels weighted by how well depth is known.
///
/// The first prediction of classes learns what the final one learns. Depth is learned at both levels: source pixels teach
/// the source's classifiers, target pixels the target's. In mixed images a pixel's weight, pasted ones included, is
/// multiplied by h over the mean of h in the micro-batch of all ranks, h being `depthAgreement`.
///
/// Differs from the released code: predictions are resized with half-pixel centres, as the teacher's and in evaluation;
/// sums, means and the turning point of the reverse Huber loss are of the global batch; without a pixel of known depth
/// its terms are 0.
public final class DepthGuidedAdaptation: Objective {
  /// "corda".
  public let name = "corda"
  private let options: DepthGuidedAdaptationOptions
  private let initialSteps: Int
  /// Of the pass under way.
  private var depths: DepthPass?
  private var agreement: Tensor?
  private var factors: Tensor?

  /// The objective.
  /// - Parameters:
  ///   - options: its options.
  ///   - initialSteps: steps, from the first, in which pseudo-labels are the teacher's first predictions.
  public init(_ options: DepthGuidedAdaptationOptions, initialSteps: Int = 0) {
    self.options = options
    self.initialSteps = initialSteps
  }

  /// In the first steps, labels of the teacher's first predictions. A collective then.
  public func refine(_ labels: inout PseudoLabels, _ step: StepView) throws {
    guard step.step < initialSteps, let teacher = step.teacher,
      let logits = labels.maps[Site(.named(DepthGuidedHead.initial))]
    else { return }
    labels = try teacher.pseudoLabels(of: logits, step)
  }

  /// Weighs the mixed pass.
  public func before(_ views: inout [View], of pass: String, _ step: StepView) throws {
    guard pass == "mixed" else { return }
    for index in views.indices { views[index].factor *= Float(options.consistency) }
  }

  /// Pixels with labels and with depth, largest errors of depth, and the sum of all agreements.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard ["source", "mixed"].contains(pass) else { return asked }
    let (view, samples) = (runs[0].view, runs[0].view.image.value.samples)
    let depths = predictions(runs[0], ofBothDomains: pass == "mixed")
    self.depths = depths
    (agreement, factors) = (nil, nil)
    depths.ask(&asked)
    if pass == "source", let labels = view.labels {
      asked.sum("labels", (0..<samples).map { Double(labels.labelledCount($0)) }, samples: samples)
    } else if options.difficulty != .none {
      let agreement = depths.agreement()
      self.agreement = agreement
      askAgreement(agreement, &asked, byPixel: options.difficulty == .batch)
    }
    return asked
  }

  /// The difficulty of mixed pixels.
  public func weights(
    _ run: StudentRun, of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> Tensor? {
    guard pass == "mixed", let agreement else { return nil }
    factors = difficultyFactors(agreement, totals, globalBatch: step.share.globalBatch, options.difficulty)
    return factors
  }

  /// The terms `source.initial`, `source.depth`, `source.initial-depth`, and those of the mixed pass.
  public func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard let depths, let labels = runs[0].view.labels, ["source", "mixed"].contains(pass) else { return [] }
    defer { self.depths = nil }
    let (run, isSource) = (runs[0], pass == "source")
    let given = run.view.weights
    let weights = given.map { given in factors.map { Kernels.multiply(given, $0) } ?? given } ?? factors
    let initial = crossEntropy(
      run.map(Site(.named(DepthGuidedHead.initial))), labels: labels, weights: weights,
      valid: isSource ? Int(totals.sum("labels")[0]) : nil, factor: run.view.factor, name: "\(pass).initial",
      run.context)
    let factor = isSource ? options.sourceDepth : options.mixedDepth
    return [initial] + depths.losses(totals, factor: Float(factor), prefix: pass, run.context)
  }

  private func predictions(_ run: StudentRun, ofBothDomains: Bool) -> DepthPass {
    guard let depth = run.view.maps[PixelMap.depth] else {
      preconditionFailure("\(run.view.name): a view without depth")
    }
    func dense(_ name: String) -> Variable {
      bilinear(run.map(Site(.named(name))), height: depth.shape[1], width: depth.shape[2], run.context)
    }
    return DepthPass(
      [
        DepthPass.Level(
          "depth", source: dense(DepthGuidedHead.sourceDepth),
          target: ofBothDomains ? dense(DepthGuidedHead.depth) : nil),
        DepthPass.Level(
          "initial-depth", source: dense(DepthGuidedHead.initialSourceDepth),
          target: ofBothDomains ? dense(DepthGuidedHead.initialDepth) : nil),
      ], depth: depth, mask: run.view.mask ?? (ofBothDomains ? [UInt8](repeating: 0, count: depth.count) : nil))
  }
}

/// Asks for the sum of agreements, and for sums over the samples at each pixel.
///
/// Shape: `agreement` [N, H, W].
public func askAgreement(_ agreement: Tensor, _ asked: inout PassStatistics, byPixel: Bool = true) {
  let (values, pixels) = (agreement.values.map(Double.init), agreement.perSample)
  let sums = (0..<agreement.samples).map { values[$0 * pixels..<($0 + 1) * pixels].reduce(0, +) }
  asked.sum("agreement", sums, samples: agreement.samples)
  if byPixel { asked.sum("agreements", values, samples: agreement.samples) }
}

/// What pixel weights are multiplied by: agreements over their mean in the micro-batch of all ranks.
/// - Parameters:
///   - agreement: of the local samples, [N, H, W].
///   - totals: sums of agreements; `batch` needs them pixel by pixel.
///   - globalBatch: samples of all ranks.
///   - difficulty: whose agreement counts.
public func difficultyFactors(
  _ agreement: Tensor, _ totals: PassTotals, globalBatch: Int, _ difficulty: DepthGuidedAdaptationOptions.Difficulty
) -> Tensor {
  let mean = totals.sum("agreement")[0] / Double(globalBatch * agreement.perSample)
  guard difficulty == .batch else { return Kernels.scaled(agreement, by: Float(1 / mean)) }
  let image = totals.sum("agreements").map { Float($0 / Double(globalBatch) / mean) }
  return Tensor((0..<agreement.samples).flatMap { _ in image }, agreement.shape)
}
