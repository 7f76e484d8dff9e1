// The perturbed view of DiGA (Shen et al., CVPR 2023): strongly changed colours, blended with the image as it is. N local
// samples, H×W pixels.

import Adaptation
import Kernels
import Support
import Tensors

/// How colours are changed: factors and shares of images.
public struct PerturbedColours: SettingGroup {
  /// Share of images whose brightness, contrast, saturation and hue change, in a random order: 0.5 for GTA, 0.7 for
  /// SYNTHIA.
  public var jitter = 0.5
  /// Half-width of the range of brightness.
  public var brightness = 0.4
  /// Half-width of the range of contrast.
  public var contrast = 0.4
  /// Half-width of the range of saturation.
  public var saturation = 0.2
  /// Half-width of the range of hue, as a part of a turn.
  public var hue = 0.1
  /// Share of images that become grey: 0.3 for GTA, 0.1 for SYNTHIA.
  public var grey = 0.3
  /// Share of images that are blurred.
  public var blur = 0.8

  /// Published values, for GTA as the source.
  public init() {}

  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("jitter", &jitter, .from(0, to: 1))
    try settings.value("brightness", &brightness, .from(0, to: 1))
    try settings.value("contrast", &contrast, .from(0, to: 1))
    try settings.value("saturation", &saturation, .from(0, to: 1))
    try settings.value("hue", &hue, .from(0, to: 0.5))
    try settings.value("grey", &grey, .from(0, to: 1))
    try settings.value("blur", &blur, .from(0, to: 1))
  }

  /// The published window of 3 pixels with a sigma of 2 has this deviation.
  private static let blurSigma: Float = 0.8

  /// One image with other colours.
  func changed(_ image: Tensor, _ stream: inout RandomStream) -> Tensor {
    func factor(_ width: Double) -> Float { stream.nextUniform(in: Float(1 - width)...Float(1 + width)) }
    let jitters = Double(stream.nextUniform()) < jitter
    let change = ColourJitter(
      brightness: factor(brightness), contrast: factor(contrast), saturation: factor(saturation),
      hue: stream.nextUniform(in: Float(-hue)...Float(hue)), order: Array(0..<4).shuffled(using: &stream))
    let greys = Double(stream.nextUniform()) < grey
    let blurs = Double(stream.nextUniform()) < blur
    var image = jitters ? colourJitter(image, [change]) : image
    if greys { image = greyed(image) }
    return blurs ? gaussianBlur(image, sigmas: [Self.blurSigma]) : image
  }

  /// `β · changed + (1 - β) · image`, by draws of each sample.
  ///
  /// Shapes: `image` and result [N, H, W, 3].
  /// - Parameters:
  ///   - image: normalised images.
  ///   - beta: share of the changed image.
  ///   - draw: what is drawn for.
  ///   - objective: who draws.
  ///   - step: gives the streams.
  func perturbed(_ image: Tensor, beta: Double, draw: String, of objective: String, _ step: StepView) -> Tensor {
    let result = Tensor(uninitialized: image.shape)
    for (local, sample) in step.share.samples.enumerated() {
      var stream = step.stream(draw, of: objective, sample: sample)
      result.sample(local).assign(changed(image.sample(local), &stream))
    }
    return blended(result, image, beta: beta)
  }
}

/// `β · changed + (1 - β) · image`.
package func blended(_ changed: Tensor, _ image: Tensor, beta: Double) -> Tensor {
  add(scaled(changed, by: Float(beta)), scaled(image, by: Float(1 - beta)))
}

/// Half of an image's classes, rounded down, by chance, and always 255, so that ignored pixels go with them.
/// - Parameter candidates: the classes of the image, 255 among them where it occurs: it counts.
package func halfWithIgnored(_ candidates: [UInt8], _ stream: inout RandomStream) -> [UInt8] {
  let half = candidates.shuffled(using: &stream).prefix(candidates.count / 2)
  return (half.contains(LabelMap.ignored) ? Array(half) : half + [LabelMap.ignored]).sorted()
}

/// Pixels of half of each image's classes, and those without a label: N·H·W bytes.
func halfMask(_ labels: LabelMap, draw: String, of objective: String, _ step: StepView) throws -> [UInt8] {
  let candidates = try ClassScope.image.candidates(labels, on: step.share.communicator)
  let chosen = zip(step.share.samples, candidates).map { sample, candidates in
    var stream = step.stream(draw, of: objective, sample: sample)
    return halfWithIgnored(candidates, &stream)
  }
  return classMask(labels, chosen: chosen)
}
