// MIC (Hoyer, Dai, Wang, Van Gool, CVPR 2023): the student sees a target image with random blocks hidden and learns the
// teacher's pseudo-label of the whole image, so that it must infer hidden regions from their context.

import Adaptation
import Autograd
import Kernels
import Networks
import Support
import Tensors

/// Options of masked image consistency, `methodOptions` of the method `mic`.
public struct MaskedConsistencyOptions: MethodOptions {
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
    try settings.value("ratio", &ratio, .from(0, to: 1))
    try settings.value("block", &block, .atLeast(1))
    try settings.value("weight", &weight, .atLeast(0))
  }

  /// Labels of target images, also where the host needs none.
  public func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.needsLabels = weight > 0
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

/// The masked pass over target images (MIC, equations 3 to 6).
///
/// The image is jittered and blurred (with draws of its own: one order of colour operations and one blur width for the
/// batch, the factors per sample), then blocks are hidden, all at full resolution and after normalisation: hidden pixels
/// have the mean colour. Labels and weights are the teacher's for the unchanged image; hidden and visible pixels count.
/// The published code multiplies only the fused term by the weight; here the detail term is multiplied too.
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
    let labels = step.pseudoLabels
    var view = View(
      "masked", image: Variable(constant: maskedImage(step.targetSamples.image, drawn)), labels: labels.labels,
      weights: labels.weights, box: drawn.box)
    view.factor = Float(options.weight)
    return view
  }

  /// The image as the student sees it: jittered, blurred, then masked by `drawn.blockUniforms`.
  ///
  /// Shapes: `image` and result [N, H, W, 3].
  public func maskedImage(_ image: Tensor, _ drawn: PassDraws) -> Tensor {
    guard let uniforms = drawn.blockUniforms else { preconditionFailure("a masked pass without a draw of its blocks") }
    let mask = blockMask(uniforms, height: image.shape[1], width: image.shape[2], ratio: Float(options.ratio))
    return masked(strongAugmentation(image, drawn), mask)
  }
}
