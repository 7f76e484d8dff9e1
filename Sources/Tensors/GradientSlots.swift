// One gradient slot per local sample: kernels add each unit's whole contribution once, and the slots are then added
// up a fixed binary tree over samples, so that no sum depends on how samples are spread over ranks or threads.

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

  /// The slice `offset ..< offset + count` of every sample's arena.
  public init(arenas: Tensor, offset: Int, count: Int) {
    precondition(offset + count <= arenas.perSample, "slice \(offset)+\(count) of arenas \(arenas.shape)")
    self.arenas = arenas
    self.offset = offset
    self.count = count
  }

  /// Slots of their own for one parameter, all zero; for tests and small uses.
  public init(zeros count: Int, samples: Int) {
    self.init(arenas: Tensor(zeros: [samples, count]), offset: 0, count: count)
  }

  /// Some neighbouring elements of the parameter.
  public func part(_ first: Int, _ count: Int) -> GradientSlots {
    precondition(first + count <= self.count, "elements \(first)+\(count) of a slot of \(self.count)")
    return GradientSlots(arenas: arenas, offset: offset + first, count: count)
  }

  /// Number of local samples.
  public var samples: Int { arenas.samples }

  /// First element of a sample's slot.
  public func pointer(_ sample: Int) -> UnsafeMutablePointer<Float> {
    precondition(sample < samples, "slot \(sample) of \(samples)")
    return arenas.pointer + sample * arenas.perSample + offset
  }

  /// A copy of a sample's slot.
  public func values(_ sample: Int) -> [Float] { Array(UnsafeBufferPointer(start: pointer(sample), count: count)) }
}
