// Every random choice of one step but dropout and drop path, so that a step can be replayed from a fixture.

import Kernels
import Networks
import Support
import Tensors

/// What was drawn for the images of one pass.
public struct PassDraws: Sendable, Equatable {
  /// The detail crop, one for all samples.
  public var box: Box
  /// Colour jitter of each local sample; nil: none in this step.
  public var jitter: [ColourJitter]?
  /// Blur width of each local sample, in pixels; nil: none in this step.
  public var blur: [Float]?
  /// Pasted classes of each local sample, for passes that mix.
  public var chosen: [[UInt8]]

  /// Given draws.
  public init(box: Box, jitter: [ColourJitter]? = nil, blur: [Float]? = nil, chosen: [[UInt8]] = []) {
    self.box = box
    self.jitter = jitter
    self.blur = blur
    self.chosen = chosen
  }
}

/// Where a step takes its draws from.
public protocol DrawSource {
  /// Draws of a pass ("source", "mixed").
  ///
  /// - Parameters:
  ///   - samples: global indices of the local samples.
  ///   - height: rows of the training crop. `width` likewise.
  ///   - present: classes in the labels of the whole global batch, ascending, 255 included where it occurs; empty for
  ///     passes that do not mix.
  func draws(pass: String, step: Int, samples: Range<Int>, height: Int, width: Int, present: [UInt8]) -> PassDraws
}

/// How strongly images are changed.
public struct AugmentationOptions: Sendable, Equatable {
  /// Jitter happens in a step if a uniform number exceeds this.
  public var jitterThreshold: Float
  /// Half-width of every jitter factor's range.
  public var jitterStrength: Float
  /// Blur happens in a step if a uniform number exceeds this.
  public var blurThreshold: Float
  /// Range of the blur's width in pixels.
  public var blurSigma: ClosedRange<Float>

  /// DACS's values as HRDA uses them.
  public init() {
    jitterThreshold = 0.2
    jitterStrength = 0.2
    blurThreshold = 0.5
    blurSigma = 0.15...1.15
  }
}

/// Draws as a function of (seed, step, global sample, purpose).
public struct SeededDraws: DrawSource {
  private let seed: UInt64
  private let configuration: NetworkConfiguration
  private let augmentation: AugmentationOptions
  private let offsetMultiple: Int

  /// The draws of a run.
  /// - Parameter offsetMultiple: offsets of detail crops are multiples of it; see `OutputGrid`.
  public init(
    seed: UInt64, configuration: NetworkConfiguration, augmentation: AugmentationOptions, offsetMultiple: Int = 8
  ) {
    self.offsetMultiple = offsetMultiple
    self.seed = seed
    self.configuration = configuration
    self.augmentation = augmentation
  }

  /// See `DrawSource`. Whether to jitter and to blur, and the box, are shared by the batch; all else is per sample.
  public func draws(
    pass: String, step: Int, samples: Range<Int>, height: Int, width: Int, present: [UInt8]
  ) -> PassDraws {
    var shared = stream(pass, "shared", step, nil)
    let jitter = shared.nextUniform() > augmentation.jitterThreshold
    let blur = shared.nextUniform() > augmentation.blurThreshold
    return PassDraws(
      box: box(pass: pass, step: step, height: height, width: width),
      jitter: jitter ? samples.map { jitterFactors(pass, step, $0) } : nil,
      blur: blur
        ? samples.map {
          var own = stream(pass, "blur", step, $0)
          return own.nextUniform(in: augmentation.blurSigma)
        } : nil,
      chosen: samples.map { chosenClasses(pass, step, $0, present) })
  }

  private func stream(_ pass: String, _ draw: String, _ step: Int, _ sample: Int?) -> RandomStream {
    RandomStream(seed: seed, step: step, sample: sample, purpose: Purpose(pass, draw))
  }

  /// A detail crop at a multiple of so many pixels; the last aligned offset is never drawn, as in the published code.
  private func box(pass: String, step: Int, height: Int, width: Int) -> Box {
    var stream = stream(pass, "box", step, nil)
    func offset(_ extent: Int, _ crop: Int) -> Int {
      let choices = (max(extent - crop, 0) + 1) / offsetMultiple
      return choices > 0 ? stream.nextIndex(below: choices) * offsetMultiple : 0
    }
    let cropHeight = min(height, configuration.detailHeight)
    let cropWidth = min(width, configuration.detailWidth)
    let top = offset(height, cropHeight)
    let left = offset(width, cropWidth)
    return Box(top: top, bottom: top + cropHeight, left: left, right: left + cropWidth)
  }

  private func jitterFactors(_ pass: String, _ step: Int, _ sample: Int) -> ColourJitter {
    var stream = stream(pass, "jitter", step, sample)
    let strength = augmentation.jitterStrength
    let range = (1 - strength)...(1 + strength)
    return ColourJitter(
      brightness: stream.nextUniform(in: range), contrast: stream.nextUniform(in: range),
      saturation: stream.nextUniform(in: range), hue: stream.nextUniform(in: -strength...strength),
      order: Array(0..<4).shuffled(using: &stream))
  }

  /// Half of the present classes, rounded up, in ascending order.
  private func chosenClasses(_ pass: String, _ step: Int, _ sample: Int, _ present: [UInt8]) -> [UInt8] {
    var stream = stream(pass, "classes", step, sample)
    return present.shuffled(using: &stream).prefix((present.count + 1) / 2).sorted()
  }
}

/// The image after jitter, then blur, as drawn.
public func strongAugmentation(_ image: Tensor, _ draws: PassDraws) -> Tensor {
  let jittered = draws.jitter.map { colourJitter(image, $0) } ?? image
  return draws.blur.map { gaussianBlur(jittered, sigmas: $0) } ?? jittered
}
