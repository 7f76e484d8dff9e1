// CAMix (Zhou et al.: Context-Aware Mixup for Domain Adaptive Semantic Segmentation, TCSVT 2022, and its official code):
// target pixels of classes that belong together, where the source has them too, are pasted onto source images; pixels of
// which the teacher is certain under noise count more. N samples, H×W pixels, K classes.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of context-aware mixing, `methodOptions` of the method `camix`.
public struct ContextMixingOptions: MethodOptions {
  /// Share of the schedule in which source classes are pasted onto target images, as ClassMix does: 0.44 for GTA, 0.16
  /// for SYNTHIA.
  public var warmUp = 0.44
  /// Share of the schedule after which every pixel that is not wholly uncertain is significant: 0.52 for GTA, 0.04 for
  /// SYNTHIA.
  public var ramp = 0.52
  /// Rows and columns of the spatial prior.
  public var priorSize = PixelSize(height: 128, width: 256)
  /// Whether classes of Cityscapes that belong together are pasted together.
  public var companions = true
  /// Noisy copies of a target image that the teacher sees.
  public var copies = 8
  /// Standard deviation of the noise, in units of 8-bit pixels.
  public var noise = 0.1
  /// Largest size of the noise.
  public var noiseLimit = 0.2
  /// Whether noise is meant for pixels in 0...1, which makes it 255 times as large.
  public var noiseInUnitRange = false
  /// Whether copies are the image less `noiseLimit`, all the same, as in the released code, whose limits are exchanged.
  public var literalNoise = false
  /// Whether significance has no effect on the loss, as in the released code.
  public var literalLoss = false

  /// Published values, for GTA as the source.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("warmUp", &warmUp, .from(0, to: 1))
    try settings.value("ramp", &ramp, .from(0, to: 1))
    try settings.value("priorSize", &priorSize, .multiple(of: 1))
    try settings.value("companions", &companions)
    try settings.value("copies", &copies, .from(1, to: 64))
    try settings.value("noise", &noise, .atLeast(0))
    try settings.value("noiseLimit", &noiseLimit, .atLeast(0))
    try settings.value("noiseInUnitRange", &noiseInUnitRange)
    try settings.value("literalNoise", &literalNoise)
    try settings.value("literalLoss", &literalLoss)
  }

  /// Makes the mixed images, of labelled source images and the teacher's probabilities at every visit.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.passes = ["mixed"]
    requirements.needsSource = true
    requirements.needsLabels = true
    requirements.mixes = true
    requirements.sites[Requirements.labellingPass] = []
    return requirements
  }

  /// The mixing.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? {
    ContextMixing(self, classes: setup.configuration.classCount, steps: setup.scheduledSteps)
  }
}

/// Mixing by context, and a loss over significance.
///
///     y' = argmax_c prior_c · P_c,  m = pixels of half of the classes of y', rounded up, and of their companions
///     x_m = m · x_t + (1 - m) · x_s,  U_m = m · U_t + (1 - m),  U_t = 1[entropy of the mean of T(x_t + noise) < H(t)]
///     L = Σ U_m w CE / Σ U_m over the pixels of all ranks
///
/// During the warm-up m is of the source's classes and takes source pixels. The prior is surveyed before the first step
/// from labels of the whole source; images are filled up to multiples of 8 pixels for it.
///
/// Differs from the released code: its loss loses U, and its noise is one number for all copies (`literalLoss`,
/// `literalNoise`). The teacher sees noisy copies with running statistics, which stay as they are. Where a network has two
/// resolutions, copies are seen by the context alone, y' comes from the fused prediction, and the detail's loss is divided
/// by the whole image's significance.
public final class ContextMixing: Objective {
  /// "camix".
  public let name = "camix"
  /// The spatial prior, `[h, w, K]`.
  public let prior: Tensor
  private let options: ContextMixingOptions
  private let warmUpSteps: Int
  private let rampSteps: Int
  /// Significance of the mixed images of this micro-batch, `[N, H, W]`.
  private var significance: Tensor?

  /// The objective with a prior of zeros.
  /// - Parameters:
  ///   - options: of the method.
  ///   - classes: K.
  ///   - steps: of the schedule.
  public init(_ options: ContextMixingOptions, classes: Int, steps: Int) {
    self.options = options
    prior = Tensor(zeros: [options.priorSize.height, options.priorSize.width, classes])
    warmUpSteps = Int((options.warmUp * Double(steps)).rounded())
    rampSteps = Int((options.ramp * Double(steps)).rounded())
  }

  /// The prior.
  public var state: [NamedTensor] { [NamedTensor("prior", prior)] }

  /// The prior's values, before the first step.
  public var surveys: [Survey] {
    let shape = prior.shape
    return [
      Survey(
        "prior", of: .source, width: prior.count, isDue: { $0 == 0 },
        row: { image in
          guard let labels = image.labels else { preconditionFailure("a source image without labels") }
          return classCells(labels, height: shape[0], width: shape[1], classes: shape[2])
        },
        take: { [prior] sums, images in prior.assign(spatialPrior(sums, images: images, shape: shape)) })
    ]
  }

  /// The mixed images, jittered and blurred.
  public func mixed(_ step: StepView) throws -> LabelledImages? {
    let (image, labels) = step.sourceSamples
    let (target, believed) = (step.targetSamples, step.pseudoLabels)
    let pastesTarget = step.step >= warmUpSteps
    let shown = pastesTarget ? try contextLabels(step) : labels
    let present = try ClassScope.image.candidates(shown, on: step.share.communicator)
    let drawn = step.draws("mixed") { $0.candidates = present }
    let chosen =
      pastesTarget && options.companions
      ? zip(drawn.chosen, present).map { CompanionClasses.extended($0, among: $1) } : drawn.chosen
    var mixed = contextMixed(
      source: LabelledImages(image: image, labels: labels),
      target: (
        LabelledImages(image: target.image, labels: believed.labels, weights: believed.weights),
        try targetSignificance(step)
      ), mask: classMask(shown, chosen: chosen), pastesTarget: pastesTarget)
    significance = mixed.significance
    mixed.images.image = strongAugmentation(mixed.images.image, drawn)
    return mixed.images
  }

  /// The significance of all mixed images.
  public func statistics(_ runs: [StudentRun], of pass: String, _ step: StepView) throws -> PassStatistics {
    var asked = PassStatistics()
    guard runs.contains(where: { $0.view.name == "mixed" }), let significance else { return asked }
    let rows = (0..<significance.samples).map { sample in
      significance.sample(sample).values.reduce(0.0) { $0 + Double($1) }
    }
    asked.sum("significance", rows, samples: rows.count)
    return asked
  }

  /// Significance, over its mean.
  public func weights(_ run: StudentRun, of pass: String, _ totals: PassTotals, _ step: StepView) throws -> Tensor? {
    guard run.view.name == "mixed", let significance else { return nil }
    return significanceFactors(
      significance, total: totals.sum("significance")[0], pixels: step.share.globalBatch * significance.perSample,
      isLiteral: options.literalLoss)
  }

  /// Classes of the target images, by the teacher's probabilities and the prior.
  private func contextLabels(_ step: StepView) throws -> LabelMap {
    guard let logits = step.pseudoLabels.logits else { preconditionFailure("labels without probabilities") }
    let image = step.targetSamples.image
    let probabilities = softmax(bilinear(logits, height: image.shape[1], width: image.shape[2]))
    return Adaptation.contextLabels(
      prior: croppedPrior(prior, to: step.targetSamples.provenance), probabilities: probabilities)
  }

  /// Significance of the target images, `[N, H, W]`.
  private func targetSignificance(_ step: StepView) throws -> Tensor {
    guard let teacher = step.teacher else { preconditionFailure("mixing without a teacher") }
    let image = step.targetSamples.image
    let whole = Box(top: 0, bottom: image.shape[1], left: 0, right: image.shape[2])
    let logits = try copies(of: image, step).map { copy in
      let output = try teacher.network.train(
        Variable(constant: copy), box: whole, crops: .context, step.share.context(normalization: .running))
      guard let logits = output.context ?? output.detail else { preconditionFailure("a network without logits") }
      return logits.value
    }
    let limit = significanceLimit(at: step.step, ramp: rampSteps, classes: prior.shape[2])
    return Adaptation.significance(
      uncertainty(ofCopies: logits), limit: limit, height: image.shape[1], width: image.shape[2])
  }

  /// Noisy copies of target images; the released code's are all the same, of which one is enough.
  private func copies(of image: Tensor, _ step: StepView) -> [Tensor] {
    let units = pixelDeviation.map { (options.noiseInUnitRange ? 255 : 1) / $0 }
    guard !options.literalNoise else {
      return [shifted(image, by: pixelDeviation.map { -Float(options.noiseLimit) / $0 })]
    }
    return (0..<options.copies).map { copy in
      let streams = step.share.samples.map { step.stream("noise \(copy)", of: name, sample: $0) }
      return withNoise(
        image, normals: normals(image.shape, streams: streams), scale: Float(options.noise),
        limit: Float(options.noiseLimit), units: units)
    }
  }
}
