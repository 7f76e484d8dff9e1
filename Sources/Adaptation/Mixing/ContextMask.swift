// Which pixels of a target image go onto a source image: those of classes that belong together and lie where the source
// has them (Zhou et al., CAMix, TCSVT 2022). N samples, H×W pixels, K classes.

import Kernels
import Tensors

/// Classes of a target image, its teacher's probabilities corrected by where the source has a class.
///
/// Shapes: `prior` and `probabilities` [N, H, W, K].
/// Source: Zhou et al., CAMix, TCSVT 2022, spatial prior.
public func contextLabels(prior: Tensor, probabilities: Tensor) -> LabelMap { argMax(multiply(prior, probabilities)) }

/// Classes of Cityscapes that are pasted together, as in CAMix's code.
public enum CompanionClasses {
  private static let (pole, light, sign, rider): (UInt8, UInt8, UInt8, UInt8) = (5, 6, 7, 12)
  private static let (motorcycle, bicycle): (UInt8, UInt8) = (17, 18)

  /// In the order in which they act: a pole that a light has brought brings signs.
  private static let rules: [(chosen: UInt8, brings: [UInt8])] = [
    (light, [pole]), (sign, [pole]), (pole, [light, sign]), (rider, [bicycle, motorcycle]),
  ]

  /// The chosen classes with those that belong to them and are present, ascending.
  public static func extended(_ chosen: [UInt8], among present: [UInt8]) -> [UInt8] {
    var all = Set(chosen)
    for rule in rules where all.contains(rule.chosen) { all.formUnion(rule.brings.filter(present.contains)) }
    return all.sorted()
  }
}

/// Source and target images with what is believed of them, mixed by a mask.
///
/// - Parameters:
///   - source: labelled images, all of weight 1.
///   - target: labelled images with weights, and significance of every pixel, [N, H, W].
///   - mask: N·H·W bytes.
///   - pastesTarget: whether the mask takes target pixels, else source pixels as ClassMix does.
/// - Returns: the mixed images and the significance of their pixels, 1 for source pixels.
public func contextMixed(
  source: LabelledImages, target: (images: LabelledImages, significance: Tensor), mask: [UInt8], pastesTarget: Bool
) -> (images: LabelledImages, significance: Tensor) {
  let images =
    pastesTarget
    ? pasted(target.images, onto: source, where: mask) : pasted(source, onto: target.images, where: mask)
  let ofSource = pastesTarget ? mask.map { 1 - $0 } : mask
  return (images, mix(weights: target.significance, mask: ofSource))
}
