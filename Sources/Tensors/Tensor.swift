// Dense Float32 tensors, channels last. A tensor is a shape, a buffer and an offset: slices of the first axis and
// other shapes of the same elements are views, everything else is contiguous.

/// Dense, contiguous, row-major Float32 values; the last axis (channels) runs fastest.
///
/// Copies share their values. A tensor is written by the function that makes it and read from then on; only
/// parameters, gradient slots, moments and statistics are written in place, by the code that owns them.
public struct Tensor: @unchecked Sendable, CustomStringConvertible {
  /// Extents, outermost first.
  public let shape: Shape
  /// The block that holds the values, perhaps shared.
  public let buffer: Buffer
  /// Index of the first element in the buffer.
  public let offset: Int

  /// A view of part of a buffer.
  /// - Precondition: the buffer holds that many elements from `offset` on.
  public init(shape: Shape, buffer: Buffer, offset: Int = 0) {
    precondition(offset >= 0 && offset + shape.count <= buffer.count, "\(shape) at \(offset) in \(buffer.count) floats")
    self.shape = shape
    self.buffer = buffer
    self.offset = offset
  }

  /// New values from the pool, undefined until written.
  public init(uninitialized shape: Shape) {
    self.init(shape: shape, buffer: BufferPool.shared.take(shape.count))
  }

  /// Zeros.
  public init(zeros shape: Shape) { self.init(repeating: 0, shape) }

  /// One value everywhere.
  public init(repeating value: Float, _ shape: Shape) {
    self.init(uninitialized: shape)
    pointer.update(repeating: value, count: count)
  }

  /// Given values, row-major.
  /// - Precondition: there are as many as the shape has elements.
  public init(_ values: [Float], _ shape: Shape) {
    precondition(values.count == shape.count, "\(values.count) values for shape \(shape)")
    self.init(uninitialized: shape)
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pointer.update(from: base, count: values.count) }
    }
  }

  /// Number of elements.
  public var count: Int { shape.count }
  /// Elements of one entry of the first axis.
  public var perSample: Int { shape.perSample }
  /// Entries of the first axis.
  public var samples: Int { shape[0] }
  /// Extent of the last axis.
  public var channels: Int { shape.channels }
  /// First element. Valid while this tensor, or another that shares its buffer, lives.
  public var pointer: UnsafeMutablePointer<Float> { buffer.base + offset }
  /// A copy of the values, row-major.
  public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
  /// The only value of a one-element tensor.
  public var scalar: Float {
    precondition(count == 1, "a scalar has one element, not shape \(shape)")
    return pointer[0]
  }

  /// The same elements in another shape.
  /// - Precondition: the element counts agree.
  public func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == count, "cannot view \(self.shape) as \(shape)")
    return Tensor(shape: shape, buffer: buffer, offset: offset)
  }

  /// A view of a range of the first axis.
  public func samples(_ range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "samples \(range) of shape \(shape)")
    return Tensor(
      shape: shape.withSamples(range.count), buffer: buffer, offset: offset + range.lowerBound * perSample)
  }

  /// A view of one entry of the first axis, which stays as an axis of extent 1.
  public func sample(_ index: Int) -> Tensor { samples(index..<index + 1) }

  /// A copy with a buffer of its own.
  public func copy() -> Tensor {
    let copy = Tensor(uninitialized: shape)
    copy.pointer.update(from: pointer, count: count)
    return copy
  }

  /// Overwrites these values with another tensor's.
  /// - Precondition: the element counts agree.
  public func assign(_ other: Tensor) {
    precondition(other.count == count, "cannot assign \(other.shape) to \(shape)")
    pointer.update(from: other.pointer, count: count)
  }

  /// Overwrites these values with one value.
  public func fill(_ value: Float) { pointer.update(repeating: value, count: count) }

  /// Shape and the first few values.
  public var description: String {
    "Tensor\(shape) \(UnsafeBufferPointer(start: pointer, count: min(count, 8)).map { $0 })"
  }
}
