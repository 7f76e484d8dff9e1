// MIC (Hoyer, Dai, Wang, Van Gool, CVPR 2023): the student sees an image with random blocks hidden and learns the labels
// of the whole image, a target image's from the teacher, so that it must infer hidden regions from their context.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of masked image consistency, `methodOptions` of the method `mic`.
public struct MaskedConsistencyOptions: MethodOptions {
  /// Whose images are masked.
  public enum Mode: String, SettingChoice {
    /// Target images with the teacher's labels.
    case target
    /// Source images with their own labels.
    case source
    /// The first half of the micro-batch's samples from the source, the others from the target.
    case both
  }

  /// Whose images are masked.
  public var mode = Mode.target
  /// Whether they are jittered and blurred before.
  public var augment = true
  /// Share of blocks that is hidden on average; a block is kept where its uniform number exceeds this.
  public var ratio = 0.7
  /// Side of a block in pixels of the training crop.
  public var block = 64
  /// Factor on both terms of the pass's loss.
  public var weight = 1.0

  /// Published values for HRDA at full resolution.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("mode", &mode)
    try settings.value("augment", &augment)
    try settings.value("ratio", &ratio, .from(0, to: 1))
    try settings.value("block", &block, .atLeast(1))
    try settings.value("weight", &weight, .atLeast(0))
  }

  /// Labels of target images, also where the host needs none; labelled source images where these are masked.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    guard weight > 0 else { return requirements }
    requirements.needsLabels = mode != .source
    if mode != .target { requirements.passes = ["source"] }
    return requirements
  }

  /// The masked pass; none with weight 0.
  public func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { weight > 0 ? MaskedConsistency(self) : nil }

  /// A block larger than the crop would hide all of it or nothing.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? {
    guard block > min(cropHeight, cropWidth) else { return nil }
    return OptionMisfit(
      key: "block", what: "\(block) is larger than a side of crop.size \(cropWidth)x\(cropHeight)",
      remedy: "choose smaller blocks; published are 64 for a crop of 1024 pixels and 32 for 512")
  }
}

/// The masked pass (MIC, equations 3 to 6), on any host.
///
/// The image is jittered and blurred (with draws of its own: one order of colour operations and one blur width for the
/// batch, the factors per sample), then blocks are hidden, all at full resolution and after normalisation: hidden pixels
/// have the mean colour. Labels and weights are those of the unchanged image, a target image's from the teacher, a source
/// image's its own with weight 1; hidden and visible pixels count.
///
/// With `both`, samples of the micro-batch below half of their number, rounded down, are source images, the others target
/// images: of an odd number the middle one is of the target. The published code knows two samples only.
/// It multiplies only the fused term by the weight; here the detail term is multiplied too. A host without a teacher gets
/// one, by the recipe's `teacher`; on others there is one teacher, where the published code may have two.
public final class MaskedConsistency: Objective {
  /// "mic".
  public let name = "mic"
  private let options: MaskedConsistencyOptions

  /// The objective with its options.
  public init(_ options: MaskedConsistencyOptions) { self.options = options }

  /// The pass "masked", whose losses are `masked.fused` and `masked.detail`.
  /// - Precondition: no side of the image is below a block.
  public func passes(at step: Int) -> [Pass] { [Pass("masked") { [self] in [view($0)] }] }

  private func view(_ step: StepView) -> View {
    let drawn = step.draws("masked") { request in
      request.augmentsAlike = true
      request.blockGrid = BlockGrid(height: request.height, width: request.width, block: options.block)
    }
    let seen = labelledImages(step)
    var view = View(
      "masked", image: Variable(constant: maskedImage(seen.image, drawn)), labels: seen.labels, weights: seen.weights,
      box: drawn.box)
    view.factor = Float(options.weight)
    return view
  }

  /// What is masked, with its labels, as `options.mode` says.
  private func labelledImages(_ step: StepView) -> LabelledImages {
    switch options.mode {
    case .source: return source(step)
    case .target: return target(step)
    case .both:
      let (share, labels) = (step.share, step.sourceSamples.labels)
      let mask = share.samples.flatMap { sample in
        [UInt8](
          repeating: sample % share.globalBatch < share.globalBatch / 2 ? 1 : 0, count: labels.height * labels.width)
      }
      return pasted(source(step), onto: target(step), where: mask)
    }
  }

  private func source(_ step: StepView) -> LabelledImages {
    let (image, labels) = step.sourceSamples
    return LabelledImages(image: image, labels: labels)
  }

  private func target(_ step: StepView) -> LabelledImages {
    let pseudo = step.pseudoLabels
    return LabelledImages(image: step.targetSamples.image, labels: pseudo.labels, weights: pseudo.weights)
  }

  /// The image as the student sees it: jittered and blurred unless that is off, then masked by `drawn.blockUniforms`.
  ///
  /// Shapes: `image` and result [N, H, W, 3].
  public func maskedImage(_ image: Tensor, _ drawn: PassDraws) -> Tensor {
    guard let uniforms = drawn.blockUniforms else { preconditionFailure("a masked pass without a draw of its blocks") }
    let mask = blockMask(uniforms, height: image.shape[1], width: image.shape[2], ratio: Float(options.ratio))
    return masked(options.augment ? strongAugmentation(image, drawn) : image, mask)
  }
}
