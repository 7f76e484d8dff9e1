// Who says what target images show.

import Networks
import Support
import Tensors

/// Who labels target images.
public enum LabelSource: String, SettingChoice {
  /// The exponential average of the student.
  case teacher
  /// The student itself, with running batch-norm statistics and without dropout.
  case student
  /// An earlier stage, whose labels come with the images.
  case cache
}

extension Teacher {
  /// Labels the target images of a micro-batch as the recipe says. A collective: the confident share is that of the
  /// micro-batch of all ranks.
  /// - Parameters:
  ///   - step: the micro-batch. With `.cache`, its target images have labels.
  ///   - source: who labels them.
  ///   - kept: what was said before and serves again; nil asks `source`.
  ///   - sites: maps of the teacher that are kept besides; only where it is the teacher who is asked.
  public func pseudoLabels(
    _ step: StepView, from source: LabelSource, kept: KeptPseudoLabels?, keeping sites: Set<Site> = []
  ) throws -> PseudoLabels {
    let target = step.targetSamples
    if let kept { return try pseudoLabels(kept: kept, valid: target.validMask, step.share) }
    switch source {
    case .teacher: return try pseudoLabels(target.image, valid: target.validMask, keeping: sites, step.share)
    case .student:
      // Statistics of its own would move the student's running ones once more in every step.
      let logits = try step.student.dense(target.image, step.share.context(normalization: .running)).logits
      return try PseudoLabels(
        logits, size: (target.image.shape[1], target.image.shape[2]), valid: target.validMask, threshold: threshold,
        scope: confidence, step.share)
    case .cache:
      guard let labels = target.labels else { preconditionFailure("cached labels that nobody has read") }
      return try PseudoLabels(given: labels, valid: target.validMask, scope: confidence, step.share)
    }
  }
}
