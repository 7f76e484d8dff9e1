// The exponential average of the student, which labels target images.

import Autograd
import Collectives
import Kernels
import Networks
import Tensors

/// What the teacher says about a batch of target images.
public struct PseudoLabels {
  /// Arg-max of the fused logits at image resolution.
  public let labels: LabelMap
  /// Soft-max probability of that class, `[N, H, W]`.
  public let confidence: Tensor
  /// Pseudo-weight of every pixel, `[N, H, W]`: the batch's share of confident pixels, 0 where not valid.
  public let weights: Tensor
  /// Share of pixels of the global batch whose probability reaches the threshold.
  public let confidentShare: Float
  /// The fused logits themselves, at stride 4.
  public let logits: Tensor

  /// From logits `[N, h, w, K]`, resized to the labels.
  ///
  /// A collective: the confident share is that of the global batch.
  /// - Parameters:
  ///   - valid: 1 where a pseudo-label may be trusted, `[N, H, W]`; nil: everywhere.
  ///   - threshold: the probability from which a pixel counts as confident.
  public init(
    _ logits: Tensor, height: Int, width: Int, valid: Tensor?, threshold: Float, _ share: BatchShare
  ) throws {
    self.logits = logits
    (labels, confidence) = Kernels.pseudoLabels(bilinear(logits, height: height, width: width))
    let confident = Kernels.countAtLeast(confidence, threshold).reduce(0, +)
    let total = try share.communicator.sumIntegers([Int64(confident)])[0]
    let pixels = share.globalBatch * labels.height * labels.width
    let ratio = Float(Double(total) / Double(pixels))
    weights = valid.map { scaled($0, by: ratio) } ?? Tensor(repeating: ratio, confidence.shape)
    confidentShare = ratio
  }
}

/// The teacher: same network, parameters averaged, batch statistics its own.
public final class Teacher {
  /// Its network, without gradient slots.
  public let network: SegmentationNetwork
  /// Confidence threshold of pseudo-labels, 0.968 in the published code.
  private let threshold: Float

  /// A teacher that starts from whatever `network` holds; step 0 copies the student.
  public init(_ network: SegmentationNetwork, threshold: Float) {
    self.network = network
    self.threshold = threshold
  }

  /// `teacher = momentum · teacher + (1 - momentum) · student`, parameters only, at the start of a step; momentum 0
  /// copies. Tarvainen and Valpola, NeurIPS 2017; batch-norm statistics are not averaged, as in the published code.
  public func follow(_ student: SegmentationNetwork, momentum: Float) {
    exponentialAverage(network.parameters.values, student.parameters.values, momentum: momentum)
  }

  /// Labels target images `[N, H, W, 3]` by one dense pass.
  ///
  /// Batch norm uses the target batch's own statistics, as in the published code; dropout and drop path are off. A
  /// collective: batch statistics and the confident share are those of the global batch.
  /// - Parameter valid: 1 where a pseudo-label may be trusted, `[N, H, W]`; nil: everywhere.
  public func pseudoLabels(_ target: Tensor, valid: Tensor?, _ share: BatchShare) throws -> PseudoLabels {
    let logits = try network.dense(target, share.context(normalization: .batch)).logits
    return try PseudoLabels(
      logits, height: target.shape[1], width: target.shape[2], valid: valid, threshold: threshold, share)
  }
}
