// What everybody who takes part in a step may see of it.

import Autograd
import Domains
import Networks
import Support
import Tensors

/// A step, or one of its micro-batches, as hosts and objectives see it.
public struct StepView {
  /// Number of the step, from 0.
  public let step: Int
  /// This rank's images. Whoever prepares the step may change them.
  public var batch: DomainBatch
  /// Which samples these are, and whom they are shared with.
  public let share: BatchShare
  /// The trained network.
  public let student: SegmentationNetwork
  /// Its average; nil for methods without.
  public let teacher: Teacher?
  /// What is believed of the target images; nil where nobody asks, and before they are labelled.
  public var labels: PseudoLabels?
  private let seed: UInt64
  private let source: any DrawSource

  /// A micro-batch of a step.
  /// - Parameters:
  ///   - step: its number, from 0.
  ///   - batch: this rank's images.
  ///   - share: this rank's samples of the micro-batch.
  ///   - student: the trained network.
  ///   - teacher: its average.
  ///   - seed: of draws that objectives make for themselves.
  ///   - draws: where the passes' random choices come from.
  public init(
    step: Int, batch: DomainBatch, share: BatchShare, student: SegmentationNetwork, teacher: Teacher?, seed: UInt64,
    draws: any DrawSource
  ) {
    precondition(batch.samples == share.samples, "\(batch.samples) for \(share.samples)")
    self.step = step
    self.batch = batch
    self.share = share
    self.student = student
    self.teacher = teacher
    self.seed = seed
    source = draws
  }

  /// The draws of a pass; `change` says what it needs beyond a box, jitter and blur for each sample.
  public func draws(_ pass: String, _ change: (inout DrawRequest) -> Void = { _ in }) -> PassDraws {
    var request = DrawRequest(pass: pass, step: step, of: batch)
    change(&request)
    return source.draws(request)
  }

  /// Random numbers of an objective's own: a function of seed, step, sample and name.
  /// - Parameters:
  ///   - draw: what is drawn.
  ///   - objective: who draws.
  ///   - sample: index in the step; nil for what the micro-batch shares, drawn anew for each.
  public func stream(_ draw: String, of objective: String, sample: Int?) -> RandomStream {
    let purpose =
      sample == nil && batch.microBatch > 0
      ? Purpose(objective, draw, "micro-batch \(batch.microBatch)") : Purpose(objective, draw)
    return RandomStream(seed: seed, step: step, sample: sample, purpose: purpose)
  }

  /// The labelled images.
  /// - Precondition: the method has a source.
  public var sourceSamples: (image: Tensor, labels: LabelMap) {
    guard let source = batch.source, let labels = source.labels else {
      preconditionFailure("no labelled source images")
    }
    return (source.image, labels)
  }

  /// A few labelled images of the target domain.
  /// - Precondition: an objective requires them.
  public var fewShotSamples: (image: Tensor, labels: LabelMap) {
    guard let few = batch.fewShot, let labels = few.labels else { preconditionFailure("no few-shot images") }
    return (few.image, labels)
  }

  /// The images to adapt to.
  /// - Precondition: the method has a target.
  public var targetSamples: DomainSamples {
    guard let target = batch.target else { preconditionFailure("no target images") }
    return target
  }

  /// What is believed of the target images.
  /// - Precondition: they were labelled.
  public var pseudoLabels: PseudoLabels {
    guard let labels else { preconditionFailure("target images without labels") }
    return labels
  }
}
