// What a training step tells whoever runs it.

import Adaptation
import Collectives
import DataParallel
import Support

/// What one step reports. Values are those of the global batch, equal on all ranks.
public struct StepRecord {
  /// Steps complete after this one.
  public let completed: Int
  /// Loss terms by name, weighted as they enter the sum: means over micro-batches.
  public let losses: [(name: String, value: Double)]
  /// Learning rate of the encoder.
  public let learningRate: Double
  /// Euclidean norm of the summed gradient.
  public let gradientNorm: Double
  /// Why the optimizer left this step out; nil where it used it.
  public let skipped: String?
  /// Messages of this rank besides those of gradients: statistics, class sets, counts; none where nobody counts.
  public let messages: MessageFigures
  /// Seconds of this rank by phase.
  public var phases: PhaseTimes
  /// Pseudo-labels of this rank's target images in each micro-batch; none without a teacher.
  public let pseudoLabels: [PseudoLabels]
  /// Operations recorded on tapes.
  public let operations: Int
  /// What summing gradients over ranks took.
  public let reduction: ReductionFigures
  /// Seconds of this rank in backward passes and the sum of gradients.
  public let backwardSeconds: Double
  /// What the run has chosen for itself in this step, in words.
  public let notes: [String]

  /// Share of confident pseudo-labels, the mean over micro-batches; nil without a teacher.
  public var confidentShare: Float? {
    pseudoLabels.isEmpty ? nil : pseudoLabels.reduce(0) { $0 + $1.confidentShare } / Float(pseudoLabels.count)
  }

  /// Share of micro-batches whose pseudo-labels an earlier pass of the teacher made; nil without a teacher.
  public var keptShare: Double? {
    pseudoLabels.isEmpty ? nil : Double(pseudoLabels.count { $0.areKept }) / Double(pseudoLabels.count)
  }
}
