// One gradient slot per local sample: kernels add each unit's whole contribution once, and the slots are then added
// up a fixed binary tree over samples, so that no sum depends on how samples are spread over ranks or threads.

/// The end of an arena that gradients may no longer be added to, because its sum over ranks is under way.
///
/// Moved by the training thread between kernels; read by whoever adds.
public final class GradientSeal: @unchecked Sendable {
  /// Elements of the arena from this one on are closed.
  public private(set) var first = Int.max

  /// Closes nothing.
  public init() {}

  /// Closes the arena from an element on.
  public func close(from element: Int) { first = element }

  /// Opens all of it.
  public func open() { first = Int.max }
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
  /// - Precondition: the slot is not closed: nothing is added to a sum that is under way.
  public func pointer(_ sample: Int) -> UnsafeMutablePointer<Float> {
    precondition(sample < samples, "slot \(sample) of \(samples)")
    precondition(
      offset + count <= seal?.first ?? Int.max,
      "a gradient for elements \(offset)+\(count) comes after their sum over ranks has begun")
    return arenas.pointer + sample * arenas.perSample + offset
  }

  /// A copy of a sample's slot.
  public func values(_ sample: Int) -> [Float] { Array(UnsafeBufferPointer(start: pointer(sample), count: count)) }
}
