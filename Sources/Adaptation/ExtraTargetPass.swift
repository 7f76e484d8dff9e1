// Where methods add to a step: further passes of the student over target images, after the mixed pass. Each has a name,
// a tape and draws of its own; its gradients join those of the other passes.

import Autograd
import Domains
import Networks
import Support
import Tensors

/// A pass of the student over target images that a method adds to a step (masked images, further views, …).
///
/// The step calls it once for every micro-batch, after the mixed pass and before gradients are summed, on all ranks; it
/// needs a teacher.
/// Whether a collective is reached may depend on the step number or on reduced values only, and random choices come
/// from `TargetPass.draws` or from streams keyed by the global sample.
public protocol ExtraTargetPass: Sendable {
  /// Name of the pass, such as "masked": the phase it is timed as, the prefix of its losses and the purpose of its
  /// draws. No two passes of a step share one; "source" and "mixed" are taken.
  var name: String { get }

  /// Runs the student and returns the loss terms. Losses put their gradients into the pass's tape, which the step walks
  /// back afterwards.
  /// - Throws: what communication throws.
  func losses(_ pass: TargetPass) throws -> [LossTerm]
}

/// What an extra pass works with: the step's batch and pseudo-labels, before anything was mixed, and the student.
public struct TargetPass {
  /// Name of the pass.
  public let name: String
  /// Number of the step, from 0.
  public let step: Int
  /// The images of the step, or of one micro-batch.
  public let batch: DomainBatch
  /// What the teacher says about the unchanged target images.
  public let pseudo: PseudoLabels
  /// The trained network.
  public let student: SegmentationNetwork
  /// Weight of the detail loss in the composite loss.
  public let detailWeight: Float
  /// Tape, dropout and batch statistics of this pass.
  public let context: ForwardContext
  private let source: any DrawSource
  private let observer: (any StepObserver)?

  /// A pass of one step.
  /// - Parameters:
  ///   - name: prefix of the terms' names.
  ///   - step: number of the step, from 0.
  ///   - batch: this rank's samples.
  ///   - pseudo: what to believe of the target images.
  ///   - student: the network that is trained.
  ///   - detailWeight: weight λ of the detail crop's own loss.
  ///   - context: sample share, draws and statistics of the pass.
  ///   - draws: where random choices come from.
  ///   - observer: told what the pass saw and made.
  public init(
    name: String, step: Int, batch: DomainBatch, pseudo: PseudoLabels, student: SegmentationNetwork,
    detailWeight: Float, context: ForwardContext, draws: any DrawSource, observer: (any StepObserver)? = nil
  ) {
    self.name = name
    self.step = step
    self.batch = batch
    self.pseudo = pseudo
    self.student = student
    self.detailWeight = detailWeight
    self.context = context
    source = draws
    self.observer = observer
  }

  /// The pass's own draws; `change` says what it needs beyond a box, jitter and blur for each sample.
  public func draws(_ change: (inout DrawRequest) -> Void = { _ in }) -> PassDraws {
    var request = DrawRequest(pass: name, step: step, of: batch)
    change(&request)
    return source.draws(request)
  }

  /// The composite loss of the student on `image` against the pseudo-labels and their weights, times `factor`.
  public func consistency(_ image: Tensor, box: Box, factor: Float) throws -> [LossTerm] {
    let output = try student.train(image, box: box, context)
    observer?.passed(
      ObservedPass(name: name, image: image, labels: pseudo.labels, weights: pseudo.weights, output: output))
    return segmentationLosses(
      output, pass: name, labels: pseudo.labels, weights: pseudo.weights, box: box, detailWeight: detailWeight,
      factor: factor, context)
  }
}

extension DrawRequest {
  /// A request of a box, jitter and blur for the samples of a batch, whose images all have the size of its labels.
  public init(pass: String, step: Int, of batch: DomainBatch, present: [UInt8] = []) {
    self.init(
      pass: pass, step: step, microBatch: batch.microBatch, samples: batch.samples, height: batch.sourceLabels.height,
      width: batch.sourceLabels.width, present: present)
  }
}

/// The options of a method, and with them what it adds to a step of its host. One type is one method.
public protocol MethodOptions: SettingGroup {
  /// Passes after the mixed one, in this order.
  var extraTargetPasses: [any ExtraTargetPass] { get }

  /// What is wrong with the options for a training crop; nil where they fit. Single values are limited by `visit`.
  func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit?
}

extension MethodOptions {
  /// None.
  public var extraTargetPasses: [any ExtraTargetPass] { [] }
  /// Fits every crop.
  public func misfit(cropHeight: Int, cropWidth: Int) -> OptionMisfit? { nil }
}

/// Why an option of a method does not fit the rest of a recipe.
public struct OptionMisfit: Sendable, Equatable {
  /// Key within `methodOptions`.
  public let key: String
  /// The rest of a sentence that starts with the key.
  public let what: String
  /// What to do about it.
  public let remedy: String

  /// A complaint.
  public init(key: String, what: String, remedy: String) {
    self.key = key
    self.what = what
    self.remedy = remedy
  }
}

/// The options of a method that has none of its own and adds nothing to its host.
public struct NoOptions: MethodOptions {
  /// Nothing.
  public init() {}
  /// Shows nothing.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {}
}
