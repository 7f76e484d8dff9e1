// What happens to gradients between the passes and the optimizer: how they are walked back, joined and summed.

import Autograd
import DataParallel
import Support
import Tensors

/// Walks the passes of a step back and brings their gradients together, over micro-batches, teams and ranks.
///
/// Gradients that the last pass has completed may travel while it computes others; when they do is chosen for speed and
/// never changes a bit.
final class GradientExchange {
  /// Seconds of this rank in backward passes and the sum, in this step.
  private(set) var backwardSeconds = 0.0
  /// What the run has chosen for itself in this step, in words.
  private(set) var notes: [String] = []
  private let parts: StepParts
  private let norm: GradientNorm
  /// Whether the first step looks for the best size of buckets.
  private var tunesBuckets: Bool
  /// Weight gradients left for the end of the step.
  private let deferred = DeferredGradients()
  private var deferrableBytes = 0
  private var isLastMicroBatch = true

  /// Weight gradients are deferred where what they hold takes at most so much memory, in gradient slots.
  ///
  /// It holds activations, which grow with the crop, while the time that gradients travel grows with the slot: where more
  /// is held, the walk back is long enough without.
  private static let deferredSlots = 3

  /// - Parameters:
  ///   - parts: of the step.
  ///   - tunesBuckets: whether the first step looks for the best size of buckets.
  init(_ parts: StepParts, tunesBuckets: Bool) {
    self.parts = parts
    self.tunesBuckets = tunesBuckets && parts.teamGradients == nil
    norm = GradientNorm(parts.optimizer.slices.map { ($0.name, $0.range) }, shards: parts.shards)
  }

  private var slots: Tensor? { parts.student.parameters.gradients }

  /// Prepares for a step, whose slots hold zeros. Called by all ranks.
  func stepBegins() throws {
    backwardSeconds = 0
    deferrableBytes = 0
    notes = []
    guard tunesBuckets, let slots else { return }
    tunesBuckets = false
    if let note = try parts.reduction.tuneBuckets(slots) { notes.append(note) }
  }

  /// Prepares for the passes over a micro-batch, the step's last one or not.
  func microBatchBegins(isLast: Bool) { isLastMicroBatch = isLast }

  /// A tape for a pass. In the last micro-batch it may leave weight gradients for the end of the step.
  func makeTape() -> Tape {
    Tape(deferring: isLastMicroBatch && parts.overlap.mode == .deferring ? deferred : nil)
  }

  /// Walks a pass back; gradients that are complete by the step's last one may travel at once. Called by all ranks after
  /// every pass, in the same order.
  /// - Parameters:
  ///   - tape: of the pass.
  ///   - isLast: whether it is the last pass of the micro-batch: a function of the step number.
  func walkBack(_ tape: Tape, isLast: Bool) throws {
    let watch = Stopwatch()
    defer {
      backwardSeconds += watch.seconds
      if isLastMicroBatch { deferrableBytes += tape.deferrableBytes }
    }
    if let team = parts.teamGradients {
      try tape.walkBack(divided: { try team.passEnded(slots) })
      return try team.passEnded(slots)
    }
    guard isLastMicroBatch, isLast, let slots else { return tape.walkBack() }
    parts.reduction.begin(slots, seal: parts.student.parameters.gradientSeal)
    guard parts.overlap.mode != .after else { return tape.walkBack() }
    try parts.reduction.whilePolling {
      try tape.walkBack(landed: parts.reduction.landed, passed: parts.reduction.poll)
      try deferred.run(landed: parts.reduction.landed, passed: parts.reduction.poll)
    }
  }

  /// The sum over all passes, samples and ranks, and its norm. Called by all ranks after the last pass.
  func sum() throws -> (sum: Tensor, norm: Double) {
    let watch = Stopwatch()
    let sum = try parts.teamGradients?.sum() ?? parts.reduction.finish()
    backwardSeconds += watch.seconds
    let mayDefer = deferrableBytes > 0 && deferrableBytes <= GradientExchange.deferredSlots * 4 * (slots?.count ?? 0)
    if let note = try parts.overlap.stepEnded(seconds: backwardSeconds, mayDefer: mayDefer) { notes.append(note) }
    return (sum, try norm(of: sum))
  }

  /// Equal on all ranks: what is decided by it must be.
  private func norm(of sum: Tensor) throws -> Double {
    if let shards = parts.shards { return try norm(sum, dealtOut: shards) }
    let own = norm(sum)
    guard parts.reduction.method == .native else { return own }
    // The library may give ranks other last bits. Numbers that are not negative are ordered as their bit patterns.
    let largest = try parts.share.world.allMaximum(Int64(bitPattern: own.magnitude.bitPattern))
    return Double(bitPattern: UInt64(bitPattern: largest))
  }

  /// Tells all ranks the parameters that their owners have advanced. Called by all ranks.
  func gatherParameters() throws {
    let values = parts.student.parameters.values
    if let team = parts.teamGradients { try team.gather(values) } else { try parts.reduction.gather(values) }
  }
}
