// The sections of a recipe that describe the batch, the optimizer and the method's shared parts.
// Defaults are the published ones; docs/recipes.md says what each key means.

import Adaptation
import Kernels
import Optimization
import Support

extension ConvolutionMethod: SettingChoice {}

extension Recipe {
  /// Samples of a step.
  public struct Batch: SettingGroup {
    /// Source images of a step over all ranks; as many target images. The unit of every loss and statistic.
    public var global = 2
    /// Equal parts of these images that go through the networks one after the other before the optimizer moves; each is
    /// the unit of losses and statistics then.
    public var accumulate = 1
    /// Ranks that share the same samples and deal out crops among them.
    public var cropShards = 1

    /// Two images at once, no sharding of crops.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("global", &global, .atLeast(1))
      try settings.value("accumulate", &accumulate, .atLeast(1))
      try settings.value("cropShards", &cropShards, .atLeast(1))
    }
  }

  /// The training crop.
  public struct Crop: SettingGroup {
    /// Size in pixels of the resized image.
    public var size = PixelSize(height: 1024, width: 1024)
    /// Probability of a horizontal flip; source and target are flipped independently.
    public var flip = 0.5
    /// A source crop is drawn again while one class has more than this share of its labelled pixels.
    public var maximumShare = 0.75
    /// Draws at most: of a source crop by that rule, and of one with enough pixels of the rare class.
    public var tries = 10

    /// The published crop.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("size", &size, .multiple(of: 8))
      try settings.value("flip", &flip, .from(0, to: 1))
      try settings.value("maximumShare", &maximumShare, .from(0, to: 1))
      try settings.value("tries", &tries, .atLeast(1))
    }
  }

  /// The optimizer.
  public struct Optimizer: SettingGroup {
    /// Which one.
    public enum Name: String, SettingChoice {
      /// AdamW (Loshchilov and Hutter, ICLR 2019).
      case adamw
      /// Stochastic gradient descent with momentum.
      case sgd
    }

    /// Which one.
    public var name = Name.adamw
    /// Learning rate of the encoder at its highest.
    public var learningRate = 6e-5
    /// How the learning rate follows the global batch.
    public var batchRule = BatchRule.none
    /// The global batch that learning rate and teacher momentum are meant for.
    public var referenceBatch = 2
    /// Factor on the learning rate of everything under the heads.
    public var headFactor = 10.0
    /// Weight decay of all parameters but the encoder's norms; AdamW decouples it from the gradient.
    public var weightDecay = 0.01
    /// SGD: share of the velocity that is kept.
    public var momentum = 0.9
    /// AdamW: decay of the first and the second moment.
    public var betas = [0.9, 0.999]
    /// AdamW: added to the root of the second moment.
    public var epsilon = 1e-8
    /// Whether each rank keeps its share of the moments only. Changes no result with `reproducible`.
    public var shardMoments = false

    /// The published values.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("name", &name)
      try settings.value("learningRate", &learningRate, .from(0, to: 1))
      try settings.value("batchRule", &batchRule)
      try settings.value("referenceBatch", &referenceBatch, .atLeast(1))
      try settings.value("headFactor", &headFactor, .atLeast(0))
      try settings.value("weightDecay", &weightDecay, .from(0, to: 1))
      try settings.value("momentum", &momentum, .from(0, below: 1))
      try settings.value("betas", &betas, .each(.from(0, below: 1), count: 2))
      try settings.value("epsilon", &epsilon, .above(0))
      try settings.value("shardMoments", &shardMoments)
    }
  }

  /// Learning rate over the run: polynomial decay to 0 times linear warm-up.
  public struct Schedule: SettingGroup {
    /// Steps of the whole run.
    public var steps = 40_000
    /// Steps after which the learning rate would be 0; nil: `steps`.
    public var decaySteps: Int?
    /// Steps of warm-up.
    public var warmUpSteps = 1500
    /// Warm-up factor at step 0.
    public var warmUpRatio = 1e-6
    /// The rate that the warm-up factor is of.
    public var warmUpTo = WarmUpTo.decayed
    /// Power of the decay.
    public var power = 1.0

    /// The published schedule.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("steps", &steps, .atLeast(1))
      try settings.value("decaySteps", &decaySteps, .ifGiven(.atLeast(1)))
      try settings.value("warmUpSteps", &warmUpSteps, .atLeast(0))
      try settings.value("warmUpRatio", &warmUpRatio, .from(0, to: 1))
      try settings.value("warmUpTo", &warmUpTo)
      try settings.value("power", &power, .atLeast(0))
    }
  }

  /// The exponential average that makes pseudo-labels.
  public struct Teacher: SettingGroup {
    /// Momentum a of the average; min(1 - 1/(step + 1), a) acts.
    public var momentum = 0.999
    /// How the momentum follows the global batch.
    public var momentumRule = MomentumRule.none
    /// The step whose momentum takes in the student as it is when a step begins.
    public var average = TeacherAverage.early
    /// Confidence from which a pixel counts as certain; the certain share of pixels is the pseudo-weight.
    public var threshold = 0.968
    /// The pixels that this share is of.
    public var confidence = ConfidenceScope.batch
    /// Whether the newest pseudo-labels of every target image are kept in the run directory.
    public var cache = true
    /// Visits of a target image for which its kept pseudo-labels serve before the teacher makes new ones; 0: none.
    public var refresh = 0

    /// The published values.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("momentum", &momentum, .from(0, to: 1))
      try settings.value("momentumRule", &momentumRule)
      try settings.value("average", &average)
      try settings.value("threshold", &threshold, .from(0, to: 1))
      try settings.value("confidence", &confidence)
      try settings.value("cache", &cache)
      try settings.value("refresh", &refresh, .atLeast(0))
    }
  }

  /// Strong augmentation of mixed images (DACS, Tranheden et al., WACV 2021). It happens where a uniform draw of the
  /// step exceeds the threshold, as in the published code.
  public struct Mix: SettingGroup {
    /// The labels whose classes may be pasted onto a target image.
    public var classes = ClassScope.batch
    /// Strength of brightness, contrast, saturation and hue.
    public var jitterStrength = 0.2
    /// Jitter happens in one minus this of the steps.
    public var jitterThreshold = 0.2
    /// Blur happens in one minus this of the steps.
    public var blurThreshold = 0.5
    /// Least and greatest standard deviation of the blur, in pixels.
    public var blurSigma = [0.15, 1.15]

    /// The published values.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("classes", &classes)
      try settings.value("jitterStrength", &jitterStrength, .from(0, to: 1))
      try settings.value("jitterThreshold", &jitterThreshold, .from(0, to: 1))
      try settings.value("blurThreshold", &blurThreshold, .from(0, to: 1))
      try settings.value("blurSigma", &blurSigma, .each(.above(0), count: 2))
    }
  }

  /// Which source images are drawn how often (DAFormer, section 3.3).
  public struct RareClassSampling: SettingGroup {
    /// Whether a class is drawn first, then an image that has it; else images are drawn uniformly.
    public var enabled = true
    /// Temperature T of the class probabilities, softmax((1 - share) / T).
    public var temperature = 0.01
    /// Pixels of the class that an image needs, in the label file's resolution.
    public var minimumPixels = 3000
    /// Pixels of the class that the crop should have.
    public var minimumCropPixels = 6000

    /// The published values.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("enabled", &enabled)
      try settings.value("temperature", &temperature, .above(0))
      try settings.value("minimumPixels", &minimumPixels, .atLeast(0))
      try settings.value("minimumCropPixels", &minimumCropPixels, .atLeast(0))
    }
  }
}
