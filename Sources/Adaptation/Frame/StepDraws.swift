// Every random choice of one step but dropout and drop path, so that a step can be replayed from a fixture.

import Domains
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
  /// A uniform number in [0, 1) for every block of each local sample, `[N, h, w]`, for passes that hide blocks.
  public var blockUniforms: Tensor?

  /// Given draws.
  public init(
    box: Box, jitter: [ColourJitter]? = nil, blur: [Float]? = nil, chosen: [[UInt8]] = [], blockUniforms: Tensor? = nil
  ) {
    self.box = box
    self.jitter = jitter
    self.blur = blur
    self.chosen = chosen
    self.blockUniforms = blockUniforms
  }

  /// Equal draws, numbers compared one by one.
  public static func == (first: PassDraws, second: PassDraws) -> Bool {
    first.box == second.box && first.jitter == second.jitter && first.blur == second.blur
      && first.chosen == second.chosen && first.blockUniforms?.shape == second.blockUniforms?.shape
      && first.blockUniforms?.values == second.blockUniforms?.values
  }
}

/// Blocks of an image that are hidden or kept as a whole.
public struct BlockGrid: Sendable, Equatable {
  /// Blocks from top to bottom.
  public let rows: Int
  /// Blocks from left to right.
  public let columns: Int

  /// The grid over an image: its sides divided by the block's, rounded half to even.
  public init(height: Int, width: Int, block: Int) {
    rows = blockCount(side: height, block: block)
    columns = blockCount(side: width, block: block)
  }
}

/// What a pass needs to have drawn.
public struct DrawRequest: Sendable, Equatable {
  /// The pass, "source", "mixed" or the name of an extra pass; passes draw independently.
  public var pass: String
  /// Number of the step, from 0.
  public var step: Int
  /// Number of the micro-batch in the step, from 0: what a batch shares is drawn anew for each.
  public var microBatch: Int
  /// Indices of the local samples in the step.
  public var samples: Range<Int>
  /// Rows of the training crop.
  public var height: Int
  /// Columns of the training crop.
  public var width: Int
  /// Classes that may be pasted, for each local sample, ascending, 255 included where it occurs; none for passes that
  /// do not mix.
  public var candidates: [[UInt8]] = []
  /// Whether all samples have one order of colour operations and one blur width, as where the published code changes a
  /// batch in one call; else each sample has its own, as where it mixes sample by sample.
  public var augmentsAlike = false
  /// Blocks to draw a number for in each sample, for passes that hide blocks.
  public var blockGrid: BlockGrid?

  /// A request of a box, jitter and blur.
  public init(
    pass: String, step: Int, microBatch: Int = 0, samples: Range<Int>, height: Int, width: Int,
    candidates: [[UInt8]] = []
  ) {
    precondition(candidates.isEmpty || candidates.count == samples.count, "\(candidates.count) for \(samples)")
    self.pass = pass
    self.step = step
    self.microBatch = microBatch
    self.samples = samples
    self.height = height
    self.width = width
    self.candidates = candidates
  }
}

extension DrawRequest {
  /// A request of a box, jitter and blur for the samples of a batch, whose images all have one size.
  public init(pass: String, step: Int, of batch: DomainBatch) {
    self.init(
      pass: pass, step: step, microBatch: batch.microBatch, samples: batch.samples, height: batch.height,
      width: batch.width)
  }
}

/// Where a step takes its draws from: a function of the request, so that a step can be replayed.
public protocol DrawSource {
  /// Draws of a pass.
  func draws(_ request: DrawRequest) -> PassDraws
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

/// Draws as a function of (seed, step, global sample, purpose); of (seed, step, micro-batch, purpose), where samples
/// share them.
public struct SeededDraws: DrawSource {
  private let seed: UInt64
  private let configuration: NetworkConfiguration
  private let augmentation: AugmentationOptions
  private let offsetMultiple: Int

  /// The draws of a run.
  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - configuration: shapes of the network, whose units draw.
  ///   - augmentation: how mixed images are changed.
  ///   - offsetMultiple: offsets of detail crops are multiples of it; see `OutputGrid`.
  public init(
    seed: UInt64, configuration: NetworkConfiguration, augmentation: AugmentationOptions, offsetMultiple: Int = 8
  ) {
    self.offsetMultiple = offsetMultiple
    self.seed = seed
    self.configuration = configuration
    self.augmentation = augmentation
  }

  /// See `DrawSource`. Whether to jitter and to blur, and the box, are shared by the batch; all else is per sample
  /// unless the request says otherwise.
  public func draws(_ request: DrawRequest) -> PassDraws {
    var shared = stream(request, "shared", nil)
    let jitter = shared.nextUniform() > augmentation.jitterThreshold
    let blur = shared.nextUniform() > augmentation.blurThreshold
    return PassDraws(
      box: box(request), jitter: jitter ? jitters(request) : nil, blur: blur ? blurs(request) : nil,
      chosen: chosenClasses(request),
      blockUniforms: request.blockGrid.map { blockUniforms(request, $0) })
  }

  private func stream(_ request: DrawRequest, _ draw: String, _ sample: Int?) -> RandomStream {
    // A sample's index tells its micro-batch; the first one draws as the only one of a step does.
    let purpose =
      sample == nil && request.microBatch > 0
      ? Purpose(request.pass, draw, "micro-batch \(request.microBatch)") : Purpose(request.pass, draw)
    return RandomStream(seed: seed, step: request.step, sample: sample, purpose: purpose)
  }

  /// A detail crop at a multiple of some pixels; the last aligned offset is never drawn, as in the published code. Where
  /// the crop is the whole image nothing is drawn.
  private func box(_ request: DrawRequest) -> Box {
    var stream = stream(request, "box", nil)
    func offset(_ extent: Int, _ crop: Int) -> Int {
      let choices = (max(extent - crop, 0) + 1) / offsetMultiple
      return choices > 0 ? stream.nextIndex(below: choices) * offsetMultiple : 0
    }
    let cropHeight = min(request.height, configuration.detailHeight)
    let cropWidth = min(request.width, configuration.detailWidth)
    let top = offset(request.height, cropHeight)
    let left = offset(request.width, cropWidth)
    return Box(top: top, bottom: top + cropHeight, left: left, right: left + cropWidth)
  }

  private func jitters(_ request: DrawRequest) -> [ColourJitter] {
    let strength = augmentation.jitterStrength
    let range = (1 - strength)...(1 + strength)
    var shared = stream(request, "order", nil)
    let order = request.augmentsAlike ? Array(0..<4).shuffled(using: &shared) : nil
    return request.samples.map { sample in
      var own = stream(request, "jitter", sample)
      return ColourJitter(
        brightness: own.nextUniform(in: range), contrast: own.nextUniform(in: range),
        saturation: own.nextUniform(in: range), hue: own.nextUniform(in: -strength...strength),
        order: order ?? Array(0..<4).shuffled(using: &own))
    }
  }

  private func blurs(_ request: DrawRequest) -> [Float] {
    request.samples.map { sample in
      var stream = stream(request, "blur", request.augmentsAlike ? nil : sample)
      return stream.nextUniform(in: augmentation.blurSigma)
    }
  }

  /// Of each sample half of its candidates, rounded up, in ascending order.
  private func chosenClasses(_ request: DrawRequest) -> [[UInt8]] {
    guard !request.candidates.isEmpty else { return request.samples.map { _ in [] } }
    return zip(request.samples, request.candidates).map { sample, candidates in
      var stream = stream(request, "classes", sample)
      return candidates.shuffled(using: &stream).prefix((candidates.count + 1) / 2).sorted()
    }
  }

  /// Number `row · columns + column` of the sample's stream for every block.
  private func blockUniforms(_ request: DrawRequest, _ grid: BlockGrid) -> Tensor {
    let blocks = UInt32(grid.rows * grid.columns)
    let values = request.samples.flatMap { sample in
      let stream = stream(request, "blocks", sample)
      return (0..<blocks).map { stream.uniform(at: $0) }
    }
    return Tensor(values, [request.samples.count, grid.rows, grid.columns])
  }
}

/// The image after jitter, then blur, as drawn.
public func strongAugmentation(_ image: Tensor, _ draws: PassDraws) -> Tensor {
  let jittered = draws.jitter.map { colourJitter(image, $0) } ?? image
  return draws.blur.map { gaussianBlur(jittered, sigmas: $0) } ?? jittered
}
