// One gradient slot per local sample: kernels add each unit's whole contribution once, and the slots are then added
// up a fixed binary tree over samples, so that no sum depends on how samples are spread over ranks or threads.

/// The parts of an arena that gradients may no longer be added to, because their sum over ranks is under way.
///
/// Moved by the training thread between kernels; read by whoever adds.
public final class GradientSeal: @unchecked Sendable {
  /// What is closed, ascending; parts that touch are one.
  private var closed: [Range<Int>] = []

  /// Closes nothing.
  public init() {}

  /// Closes a part of the arena.
  public func close(_ part: Range<Int>) {
    if part.isEmpty { return }
    let place = closed.firstIndex { $0.upperBound >= part.lowerBound } ?? closed.count
    let end = closed.firstIndex { $0.lowerBound > part.upperBound } ?? closed.count
    let joined = closed[place..<end]
    let lower = min(part.lowerBound, joined.first?.lowerBound ?? part.lowerBound)
    let upper = max(part.upperBound, joined.last?.upperBound ?? part.upperBound)
    closed.replaceSubrange(place..<end, with: [lower..<upper])
  }

  /// Opens all of it.
  public func open() { closed.removeAll(keepingCapacity: true) }

  /// Whether no element of a part is closed.
  public func isOpen(_ part: Range<Int>) -> Bool { !closed.contains { $0.overlaps(part) } }
}

/// Where the gradient of one parameter goes: a slice of each sample's gradient arena.
///
/// A kernel computes the contribution of one unit (sample, pass, scale) in scratch and adds it to `pointer(sample)`
/// in one sweep.
public struct GradientSlots: @unchecked Sendable {
  /// All slots, `[samples, parameters of the whole arena]`.
  public let arenas: Tensor
  /// Where the parameter begins in each arena.
  public let offset: Int
  /// Elements of the parameter.
  public let count: Int
  /// Which part of the arenas is closed; nil: none ever is.
  public let seal: GradientSeal?

  /// The slice `offset ..< offset + count` of every sample's arena.
  public init(arenas: Tensor, offset: Int, count: Int, seal: GradientSeal? = nil) {
    precondition(offset + count <= arenas.perSample, "slice \(offset)+\(count) of arenas \(arenas.shape)")
    self.arenas = arenas
    self.offset = offset
    self.count = count
    self.seal = seal
  }

  /// Slots of their own for one parameter, all zero; for tests and small uses.
  public init(zeros count: Int, samples: Int) {
    self.init(arenas: Tensor(zeros: [samples, count]), offset: 0, count: count)
  }

  /// Some neighbouring elements of the parameter.
  public func part(_ first: Int, _ count: Int) -> GradientSlots {
    precondition(first + count <= self.count, "elements \(first)+\(count) of a slot of \(self.count)")
    return GradientSlots(arenas: arenas, offset: offset + first, count: count, seal: seal)
  }

  /// Number of local samples.
  public var samples: Int { arenas.samples }

  /// First element of a sample's slot.
  /// - Precondition: no part of the slot is closed: nothing is added to a sum that is under way.
  public func pointer(_ sample: Int) -> UnsafeMutablePointer<Float> {
    precondition(sample < samples, "slot \(sample) of \(samples)")
    precondition(
      seal?.isOpen(offset..<offset + count) ?? true,
      "a gradient for elements \(offset)+\(count) comes after their sum over ranks has begun")
    return arenas.pointer + sample * arenas.perSample + offset
  }

  /// A copy of a sample's slot.
  public func values(_ sample: Int) -> [Float] { Array(UnsafeBufferPointer(start: pointer(sample), count: count)) }
}
