// Weight gradients that wait until the rest of a step's backward passes is done, so that there is work left behind which
// the gradients of the encoder, the last ones that a walk completes, can travel between ranks.

import Tensors

/// Weight gradients left for the end of a step.
///
/// A decode head is walked back before the encoder but takes most of the time; when the encoder's gradients are complete
/// nothing is left to hide them behind. What a weight needs of a walk, its layer's input and the gradient of its output,
/// can be kept, and the sum over both computed after the encoder. One object serves the last passes of a step. Each
/// gradient still gets the contributions of these passes in their order, so no bit changes, as long as passes that
/// compute theirs at once come before all that defer.
///
/// Not thread safe.
public final class DeferredGradients {
  private struct Work {
    let range: Range<Int>
    let compute: () -> Void
  }

  private var works: [Work] = []

  /// Nothing deferred.
  public init() {}

  /// Leaves what adds to these slots for later.
  func add(_ slots: GradientSlots, _ compute: @escaping () -> Void) {
    works.append(Work(range: slots.offset..<slots.offset + slots.count, compute: compute))
  }

  /// The parts of a stretch of the arena that nothing deferred adds to, descending.
  func complete(of range: Range<Int>) -> [Range<Int>] {
    var (parts, end) = ([Range<Int>](), range.upperBound)
    for waiting in Set(works.map(\.range)).sorted(by: { $0.lowerBound > $1.lowerBound }) {
      let waiting = waiting.clamped(to: range)
      if waiting.isEmpty { continue }
      if waiting.upperBound < end { parts.append(waiting.upperBound..<end) }
      end = waiting.lowerBound
    }
    if range.lowerBound < end { parts.append(range.lowerBound..<end) }
    return parts
  }

  /// Computes all that was left, gradients at the end of the arena first, and forgets it.
  /// - Parameters:
  ///   - landed: called with a part of the arena once nothing more is added to it.
  ///   - passed: called after every contribution.
  public func run(landed: (_ part: Range<Int>) throws -> Void, passed: () throws -> Void) rethrows {
    let order = works.indices.sorted { (-works[$0].range.lowerBound, $0) < (-works[$1].range.lowerBound, $1) }
    var rest = order.map { works[$0] }.reversed() as [Work]
    works = []
    while let work = rest.popLast() {
      work.compute()
      try passed()
      if rest.last?.range != work.range { try landed(work.range) }
    }
  }
}

extension ForwardContext {
  /// Adds to a weight's gradient now or, where the tape leaves such work for later, at the end of the step.
  ///
  /// For weights with much work for few bytes: those of 1×1 convolutions on large maps.
  /// - Parameters:
  ///   - slots: where the gradient goes; nil: nowhere.
  ///   - bytes: memory that is held until then, and would not be otherwise.
  ///   - compute: adds each sample's contribution once.
  func deferrable(_ slots: GradientSlots?, holding bytes: Int, _ compute: @escaping (GradientSlots) -> Void) {
    guard let slots else { return }
    tape?.deferrableBytes += bytes
    guard let deferred = tape?.deferred else { return compute(slots) }
    deferred.add(slots) { compute(slots) }
  }
}
