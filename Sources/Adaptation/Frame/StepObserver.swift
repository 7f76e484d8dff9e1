// A window into a step: what its passes saw and made, for comparisons with a reference.

import Networks
import Tensors

/// Watches a step from inside. Runs have none; watching changes nothing.
public protocol StepObserver: AnyObject {
  /// A pass of the student has its output; its tape has not been walked back.
  func passed(_ pass: ObservedPass)

  /// Gradients are summed over samples and ranks, `[parameters]` as in the arena; the optimizer has not moved.
  func summed(_ gradient: Tensor)
}

/// A training pass as an observer sees it. N local samples, H×W crop.
public struct ObservedPass {
  /// "source", "mixed" or the name of an extra pass.
  public let name: String
  /// What the student saw, `[N, H, W, 3]`.
  public let image: Tensor
  /// What it learned from; nil where objectives alone say what is learned.
  public let labels: LabelMap?
  /// Weight of every pixel, `[N, H, W]`; nil: 1.
  public let weights: Tensor?
  /// What it answered.
  public let output: TrainingOutput

  /// A pass.
  public init(name: String, image: Tensor, labels: LabelMap?, weights: Tensor?, output: TrainingOutput) {
    self.name = name
    self.image = image
    self.labels = labels
    self.weights = weights
    self.output = output
  }
}
