// The exponential average of the student, which labels target images.

import Autograd
import Collectives
import Kernels
import Networks
import Support
import Tensors

/// What the teacher says about a batch of target images.
public struct PseudoLabels {
  /// Arg-max of the fused logits at image resolution.
  public internal(set) var labels: LabelMap
  /// Soft-max probability of that class, `[N, H, W]`.
  public let confidence: Tensor
  /// Pseudo-weight of every pixel, `[N, H, W]`, as the `ConfidenceScope` says; 0 where not valid.
  public let weights: Tensor
  /// Share of pixels of the (micro-)batch of all ranks whose probability reaches the threshold.
  public let confidentShare: Float
  /// Pixels of the (micro-)batch of all ranks whose probability is not-a-number. They are not confident, so that no loss
  /// tells of them.
  public let brokenPixels: Int
  /// The logits they come from, as coarse as they were; nil for labels that were kept.
  public let logits: Tensor?
  /// Maps that the teacher was asked to keep; none where it was not asked.
  public internal(set) var maps: [Site: Tensor] = [:]
  /// Whether an earlier pass of the teacher made them.
  public var areKept: Bool { logits == nil }

  /// From logits `[N, h, w, K]`, resized bilinearly to the image's `size` first; nil: they have it.
  ///
  /// A collective: the batch's confident share is that of the global batch.
  /// - Parameters:
  ///   - logits: the teacher's prediction.
  ///   - size: rows and columns of the images.
  ///   - valid: 1 where a pseudo-label may be trusted, `[N, H, W]`; nil: everywhere.
  ///   - threshold: the probability from which a pixel counts as confident.
  ///   - scope: whose confident share is the weight.
  ///   - share: this rank's samples in the global batch.
  public init(
    _ logits: Tensor, size: (height: Int, width: Int)? = nil, valid: Tensor?, threshold: Float,
    scope: ConfidenceScope = .batch, _ share: BatchShare
  ) throws {
    self.logits = logits
    (labels, confidence) = Kernels.pseudoLabels(
      size.map { bilinear(logits, height: $0.height, width: $0.width) } ?? logits)
    let shares = try confidentShares(confidence, threshold: threshold, share)
    let probabilities = confidence
    weights = scope.weights(shares, labels, valid: valid) {
      probabilities.values.map { $0 >= threshold ? 1 : 0 }
    }
    confidentShare = shares.batch
    brokenPixels = shares.broken
  }

  /// Leaves the labels with which others agree; the rest is 255.
  public mutating func keep(agreeingWith others: LabelMap) { labels = labels.agreeing(with: others) }

  /// From labels that were kept; otherwise as above, with the confident pixels counted when the labels were made.
  init(_ kept: KeptPseudoLabels, valid: Tensor?, scope: ConfidenceScope, _ share: BatchShare) throws {
    logits = nil
    labels = kept.labels
    confidence = kept.confidence
    let shares = try confidentShares(counts: kept.confidentPixels, pixels: confidence.perSample, share)
    weights = scope.weights(shares, labels, valid: valid) { kept.confident.map(Float.init) }
    confidentShare = shares.batch
    brokenPixels = shares.broken
  }

  /// From labels that came with the images: a pixel is confident, with probability 1, where it has one.
  init(given labels: LabelMap, valid: Tensor?, scope: ConfidenceScope, _ share: BatchShare) throws {
    try self.init(
      KeptPseudoLabels(
        labels: labels,
        confidence: Tensor(
          labels.values.map { $0 == LabelMap.ignored ? 0 : 1 }, [labels.samples, labels.height, labels.width]),
        confident: labels.values.map { $0 == LabelMap.ignored ? 0 : 1 }),
      valid: valid, scope: scope, share)
  }
}

/// What an earlier pass of the teacher said about a batch of target images.
public struct KeptPseudoLabels {
  /// Classes `[N, H, W]`; 255 where there is none.
  public let labels: LabelMap
  /// Their probabilities as they were kept, `[N, H, W]`.
  public let confidence: Tensor
  /// 1 for each pixel whose probability reached the threshold when it was made, else 0; N·H·W of them.
  public let confident: [UInt8]

  /// From its parts.
  public init(labels: LabelMap, confidence: Tensor, confident: [UInt8]) {
    precondition(
      confidence.shape == [labels.samples, labels.height, labels.width] && confident.count == confidence.count,
      "\(labels.samples) label maps, confidence \(confidence.shape), \(confident.count) marks")
    self.labels = labels
    self.confidence = confidence
    self.confident = confident
  }

  /// Confident pixels of each image.
  public var confidentPixels: [Int] {
    let pixels = confidence.perSample
    return (0..<labels.samples).map { confident[$0 * pixels..<($0 + 1) * pixels].count { $0 == 1 } }
  }
}

/// What a pseudo-label weighs.
public enum ConfidenceScope: String, SettingChoice {
  /// The confident share of the whole global batch: every image has the same weight, as in the published code.
  case batch
  /// That of the image: each has its own weight, as in the papers.
  case image
  /// 1 where the pixel itself is confident, else 0.
  case pixel
  /// 1 everywhere.
  case none

  /// Weights `[N, H, W]`, 0 where not valid.
  /// - Parameter confident: 1 for each confident pixel, else 0; asked for by `pixel` only.
  fileprivate func weights(
    _ shares: (batch: Float, images: [Float], broken: Int), _ labels: LabelMap, valid: Tensor?,
    confident: () -> [Float]
  ) -> Tensor {
    func ofImages(_ weights: [Float]) -> Tensor {
      pseudoWeights(weights, height: labels.height, width: labels.width, valid: valid)
    }
    switch self {
    case .batch: return ofImages([Float](repeating: shares.batch, count: labels.samples))
    case .image: return ofImages(shares.images)
    case .none: return ofImages([Float](repeating: 1, count: labels.samples))
    case .pixel:
      let weights = Tensor(confident(), [labels.samples, labels.height, labels.width])
      return valid.map { multiply(weights, $0) } ?? weights
    }
  }
}

/// The teacher: same network, parameters averaged, batch statistics its own.
public final class Teacher {
  /// Its network, without gradient slots.
  public let network: SegmentationNetwork
  /// Confidence threshold of pseudo-labels, 0.968 in the published code.
  let threshold: Float
  /// What a pseudo-label weighs.
  let confidence: ConfidenceScope

  /// A teacher that starts from whatever `network` holds; step 0 copies the student.
  public init(_ network: SegmentationNetwork, threshold: Float, confidence: ConfidenceScope = .batch) {
    self.network = network
    self.threshold = threshold
    self.confidence = confidence
  }

  /// `teacher = momentum · teacher + (1 - momentum) · student`, parameters only, at the start of a step; momentum 0
  /// copies. Tarvainen and Valpola, NeurIPS 2017; batch-norm statistics are not averaged, as in the published code.
  public func follow(_ student: SegmentationNetwork, momentum: Float) {
    exponentialAverage(network.parameters.values, student.parameters.values, momentum: momentum)
  }

  /// Labels target images `[N, H, W, 3]` by one dense pass.
  ///
  /// Batch norm uses the target batch's own statistics, as in the published code; dropout and drop path are off, unless
  /// draws are given. A collective: batch statistics and the confident share are those of the global batch.
  /// - Parameters:
  ///   - target: normalised images.
  ///   - valid: 1 where a pseudo-label may be trusted, `[N, H, W]`; nil: everywhere.
  ///   - share: this rank's samples in the global batch.
  ///   - sites: maps that are kept besides.
  ///   - draws: of dropout and drop path; nil: both are off.
  public func pseudoLabels(
    _ target: Tensor, valid: Tensor?, keeping sites: Set<Site> = [], _ share: BatchShare,
    draws: StochasticDraws? = nil
  ) throws -> PseudoLabels {
    let output = try network.dense(target, keeping: sites, share.context(normalization: .batch, draws: draws))
    var labels = try PseudoLabels(
      output.logits, size: (target.shape[1], target.shape[2]), valid: valid, threshold: threshold, scope: confidence,
      share)
    labels.maps = output.maps
    return labels
  }

  /// What other logits than the prediction's say of a step's target images. A collective, as `pseudoLabels` is.
  public func pseudoLabels(of logits: Tensor, _ step: StepView) throws -> PseudoLabels {
    let target = step.targetSamples
    return try PseudoLabels(
      logits, size: (target.image.shape[1], target.image.shape[2]), valid: target.validMask, threshold: threshold,
      scope: confidence, step.share)
  }
}

extension Teacher {
  /// Labels that were kept, weighted as if the teacher had said them now. A collective, as `pseudoLabels` is.
  public func pseudoLabels(kept: KeptPseudoLabels, valid: Tensor?, _ share: BatchShare) throws -> PseudoLabels {
    try PseudoLabels(kept, valid: valid, scope: confidence, share)
  }
}

/// Shares of pixels whose probability reaches the threshold: of the global batch, and of each local image; and how many
/// pixels of the global batch have not-a-number for a probability.
///
/// Shape: `probability` [N, H, W]. A collective: called by all ranks.
public func confidentShares(
  _ probability: Tensor, threshold: Float, _ share: BatchShare
) throws -> (batch: Float, images: [Float], broken: Int) {
  // Everything but not-a-number is at least minus infinity.
  let numbers = Kernels.countAtLeast(probability, -.infinity).reduce(0, +)
  return try confidentShares(
    counts: Kernels.countAtLeast(probability, threshold), broken: probability.count - numbers,
    pixels: probability.perSample, share)
}

private func confidentShares(
  counts: [Int], broken: Int = 0, pixels: Int, _ share: BatchShare
) throws -> (batch: Float, images: [Float], broken: Int) {
  let totals = try share.communicator.sumIntegers([Int64(counts.reduce(0, +)), Int64(broken)])
  return (
    Float(Double(totals[0]) / Double(share.globalBatch * pixels)),
    counts.map { Float(Double($0) / Double(pixels)) }, Int(totals[1])
  )
}

/// Pseudo-weights [N, height, width]: an image's weight at its pixels, times `valid` where that is given.
/// - Parameters:
///   - imageWeights: a weight for each of N images.
///   - height: rows of an image.
///   - width: columns of an image.
///   - valid: 1 where a pseudo-label may be trusted, else 0, [N, height, width]; nil: everywhere.
public func pseudoWeights(_ imageWeights: [Float], height: Int, width: Int, valid: Tensor?) -> Tensor {
  let result = Tensor(uninitialized: [imageWeights.count, height, width])
  precondition(valid == nil || valid?.shape == result.shape, "valid pixels \(valid?.shape ?? []) of \(result.shape)")
  for (sample, weight) in imageWeights.enumerated() {
    let part = result.samples(sample..<sample + 1)
    if let valid {
      part.assign(scaled(valid.samples(sample..<sample + 1), by: weight))
    } else {
      part.fill(weight)
    }
  }
  return result
}
