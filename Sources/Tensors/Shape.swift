// The extents of a tensor, kept inline: no heap.

import Support

/// Up to four extents, outermost first; the last axis is contiguous in memory.
public struct Shape: Hashable, Sendable, CustomStringConvertible, ExpressibleByArrayLiteral {
  private let extents: SIMD4<Int>
  /// Number of axes, 0 to 4; 0 is a scalar.
  public let rank: Int

  /// A shape from its extents.
  /// - Precondition: at most four extents, none negative.
  public init(_ extents: [Int]) {
    precondition(extents.count <= 4, "a shape has at most four axes, not \(extents)")
    precondition(extents.allSatisfy { $0 >= 0 }, "extents must not be negative: \(extents)")
    var inline = SIMD4<Int>(repeating: 1)
    for (axis, extent) in extents.enumerated() { inline[axis] = extent }
    self.extents = inline
    rank = extents.count
  }

  private init(_ extents: SIMD4<Int>, rank: Int) {
    self.extents = extents
    self.rank = rank
  }

  /// A shape from its extents.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// The extent of an axis.
  public subscript(axis: Int) -> Int {
    precondition(axis >= 0 && axis < rank, "axis \(axis) of shape \(self)")
    return extents[axis]
  }

  /// Number of elements.
  public var count: Int { product(from: 0) }
  /// The contiguous extent; 1 for a scalar.
  public var channels: Int { rank == 0 ? 1 : extents[rank - 1] }
  /// Elements of one entry of the first axis.
  public var perSample: Int { rank == 0 ? 1 : product(from: 1) }
  /// Recipes and files may ask for more elements than numbers can count: the job ends then as it does without memory.
  private func product(from first: Int) -> Int {
    var product = 1
    for axis in first..<4 {
      let (next, isTooLarge) = product.multipliedReportingOverflow(by: extents[axis])
      if isTooLarge { endWithoutMemory(nil, for: "a tensor of shape \(self)") }
      product = next
    }
    return product
  }

  /// The extents as an array.
  public var array: [Int] { (0..<rank).map { extents[$0] } }

  /// The same shape with another extent on the last axis.
  public func withChannels(_ channels: Int) -> Shape { with(channels, at: max(rank, 1) - 1) }
  /// The same shape with another extent on the first axis.
  public func withSamples(_ samples: Int) -> Shape { with(samples, at: 0) }

  private func with(_ extent: Int, at axis: Int) -> Shape {
    precondition(extent >= 0, "extents must not be negative: \(extent)")
    var changed = extents
    changed[axis] = extent
    return Shape(changed, rank: max(rank, 1))
  }

  /// Such as `[2, 32, 32, 64]`.
  public var description: String { array.description }
}
