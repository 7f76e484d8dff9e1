// A named tensor inside a weight file; its numbers are converted when they are asked for.

import Support

/// A tensor of a weight file, in the official (PyTorch) shape.
///
/// The file must not change while its tensors are read.
public struct WeightTensor: Sendable {
  /// Its full name, such as `backbone.patch_embed1.proj.weight`.
  public let name: String
  /// Sizes as stored; empty for a single number.
  public let shape: [Int]
  /// The type of the stored numbers.
  public let element: ElementKind
  /// How many numbers it has.
  public let count: Int

  private let bytes: WeightBytes
  private let start: Int
  private let strides: [Int]

  /// A view into a file.
  /// - Parameter start: byte of the first number.
  /// - Parameter strides: distances in numbers; nil for row-major order without gaps.
  /// - Parameter room: bytes from `start` that the view may use.
  /// - Throws: `Failure` 65 if the view would leave that room, or holds more numbers than the room has.
  init(
    name: String, shape: [Int], element: ElementKind, bytes: WeightBytes, start: Int, room: Int, strides: [Int]? = nil
  ) throws {
    let place = "tensor \(printable(name))"
    guard shape.count <= 64 else { throw Failure(.badData, "has \(shape.count) axes, 64 are read", at: place) }
    guard let count = checkedProduct(shape) else {
      throw Failure(.badData, "its shape \(brief(shape)) holds more numbers than can be counted", at: place)
    }
    guard start >= 0, room >= 0, saturatingSum(start, room) <= bytes.count else {
      throw Failure(.badData, "its bytes lie outside the file", at: place, remedy: fetchAgain)
    }
    let available = room / element.byteCount
    let strides = strides ?? rowMajorStrides(shape)
    guard strides.count == shape.count else {
      throw Failure(.badData, "\(shape.count) sizes but \(strides.count) strides", at: place)
    }
    guard let last = lastPosition(shape, strides, count), last < available, count <= available else {
      throw Failure(
        .badData, "its shape \(brief(shape)) needs more numbers than the \(available) stored for it", at: place,
        remedy: fetchAgain)
    }
    self.name = name
    self.shape = shape
    self.element = element
    self.count = count
    self.bytes = bytes
    self.start = start
    self.strides = strides
  }

  /// The numbers in row-major order of `shape`, converted to Float32: from float16 and bfloat16 exactly, from the others
  /// rounded to nearest even.
  /// - Throws: `Failure` 65 naming the file, the tensor and the first index that is NaN, infinite or beyond Float32.
  public func floats() throws -> [Float] {
    switch element {
    case .float32: try gather(UInt32.self) { Float(bitPattern: $0) }
    case .float16: try gather(UInt16.self) { Float(Float16(bitPattern: $0)) }
    case .bfloat16: try gather(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
    case .float64: try gather(UInt64.self) { Float(Double(bitPattern: $0)) }
    case .int64: try gather(Int64.self) { Float($0) }
    case .int32: try gather(Int32.self) { Float($0) }
    case .int16: try gather(Int16.self) { Float($0) }
    case .int8: try gather(Int8.self) { Float($0) }
    case .uint64: try gather(UInt64.self) { Float($0) }
    case .uint32: try gather(UInt32.self) { Float($0) }
    case .uint16: try gather(UInt16.self) { Float($0) }
    case .uint8: try gather(UInt8.self) { Float($0) }
    case .bool: try gather(UInt8.self) { $0 == 0 ? 0 : 1 }
    }
  }

  private func gather<Stored: FixedWidthInteger & BitwiseCopyable>(
    _: Stored.Type, _ convert: (Stored) -> Float
  ) throws -> [Float] {
    let span = bytes.data.bytes
    let size = element.byteCount
    let isDense = strides == rowMajorStrides(shape)
    var values: [Float] = []
    values.reserveCapacity(count)
    var index = Array(repeating: 0, count: shape.count)
    var position = 0
    for flat in 0..<count {
      let stored = span.unsafeLoadUnaligned(
        fromByteOffset: start + (isDense ? flat : position) * size, as: Stored.self)
      let value = convert(Stored(littleEndian: stored))
      guard value.isFinite else { throw notFinite(value, at: flat) }
      values.append(value)
      if !isDense { advance(&index, &position) }
    }
    return values
  }

  /// Steps to the next index in row-major order.
  private func advance(_ index: inout [Int], _ position: inout Int) {
    for axis in shape.indices.reversed() {
      index[axis] += 1
      position += strides[axis]
      if index[axis] < shape[axis] { return }
      position -= strides[axis] * shape[axis]
      index[axis] = 0
    }
  }

  private func notFinite(_ value: Float, at flat: Int) -> Failure {
    var index: [Int] = []
    var rest = flat
    for size in shape.reversed() {
      index.append(rest % size)
      rest /= size
    }
    return Failure(
      .badData, "number \(Array(index.reversed())) is \(value) as Float32",
      at: "\(bytes.path): tensor \(printable(name))",
      remedy: "weights must be finite, use another file")
  }
}

/// What to do about a damaged file.
let fetchAgain = "the file is damaged, fetch or save it again"

/// A shape as it may be shown: cut where it is long.
func brief(_ shape: [Int]) -> String {
  "[" + shape.prefix(12).map(String.init).joined(separator: ", ") + (shape.count > 12 ? ", …]" : "]")
}

/// Distances in numbers along each axis without gaps; the product must have been checked.
func rowMajorStrides(_ shape: [Int]) -> [Int] {
  var strides = Array(repeating: 0, count: shape.count)
  var step = 1
  for axis in shape.indices.reversed() {
    strides[axis] = step
    step *= max(1, shape[axis])
  }
  return strides
}

/// The largest position that a view reaches, -1 if it is empty, nil if a stride is negative or the position overflows.
private func lastPosition(_ shape: [Int], _ strides: [Int], _ count: Int) -> Int? {
  guard strides.allSatisfy({ $0 >= 0 }) else { return nil }
  guard count > 0 else { return -1 }
  var last = 0
  for (size, stride) in zip(shape, strides) {
    let (reach, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
    let (sum, overflowToo) = last.addingReportingOverflow(reach)
    guard !overflow, !overflowToo else { return nil }
    last = sum
  }
  return last
}
