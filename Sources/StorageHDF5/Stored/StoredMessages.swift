// What an object header says, in the few forms that this program's files have (HDF5 file format 3.0, IV.A.2).

import Support

/// Kinds of elements and attribute values.
enum StoredType: Equatable {
  case float32, float64, int64, uint8, uint16
  /// Fixed length in bytes, padded with zeros.
  case text(Int)

  /// Bytes of one element.
  var size: Int {
    switch self {
    case .float32: 4
    case .float64, .int64: 8
    case .uint8: 1
    case .uint16: 2
    case .text(let count): count
    }
  }

  /// From a datatype message.
  init(_ fields: inout StoredFields) throws {
    let start = try Array(fields.take(8))
    let size = start[4...].reversed().reduce(0) { $0 << 8 | Int($1) }
    // The version, in the high four bits, changes nothing for these classes.
    switch (start[0] & 0x0f, Array(start[1...3])) {
    case (3, [0x11, 0, 0]) where size > 0: self = .text(size)
    case (1, [0x20, 0x1f, 0]) where size == 4:
      try fields.expect([0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0], "IEEE float32")
      self = .float32
    case (1, [0x20, 0x3f, 0]) where size == 8:
      try fields.expect([0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0], "IEEE float64")
      self = .float64
    case (0, [0x08, 0, 0]) where size == 8:
      try fields.expect([0, 0, 64, 0], "int64")
      self = .int64
    case (0, [0, 0, 0]) where size == 1:
      try fields.expect([0, 0, 8, 0], "uint8")
      self = .uint8
    case (0, [0, 0, 0]) where size == 2:
      try fields.expect([0, 0, 16, 0], "uint16")
      self = .uint16
    default: throw fields.refusal("elements of another type")
    }
  }
}

/// Extents of a dataset or attribute.
struct StoredShape: Equatable {
  let extents: [Int]
  /// Their product.
  let count: Int

  /// From a dataspace message.
  init(_ fields: inout StoredFields) throws {
    try fields.expect([2], "a dataspace of version 2")
    let rank = try fields.number(1)
    let flags = try fields.number(1)
    let kind = try fields.number(1)
    guard rank <= 4, flags <= 1, kind == (rank == 0 ? 0 : 1) else { throw fields.refusal("a shape of \(rank) axes") }
    var extents: [Int] = []
    for _ in 0..<rank { extents.append(try fields.number(8)) }
    // Largest extents, which may be without limit, say nothing about what is there.
    if flags == 1 { _ = try fields.take(8 * rank) }
    // Also where the product is zero: code downstream may multiply a part of the extents.
    var product = 1
    for extent in extents {
      let (next, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
      guard !overflow, next <= 1 << 48 else { throw fields.refusal("the shape \(extents)") }
      product = next
    }
    self.extents = extents
    count = extents.contains(0) ? 0 : product
  }
}

/// Where a link leads.
enum StoredLink {
  /// The address of an object in this file.
  case object(Int)
  /// An object of another file, which is not followed.
  case outside(file: String, path: String)

  /// Name and target from a link message.
  static func read(_ fields: inout StoredFields) throws -> (name: String, link: StoredLink) {
    try fields.expect([1], "a link of version 1")
    let flags = try fields.number(1)
    guard flags & ~0x1f == 0 else { throw fields.refusal("a link of another kind") }
    let kind = flags & 0x08 == 0 ? 0 : try fields.number(1)
    if flags & 0x04 != 0 { _ = try fields.take(8) }
    if flags & 0x10 != 0 { _ = try fields.take(1) }
    let name = try fields.name(try fields.number(1 << (flags & 3)))
    guard !name.utf8.contains(UInt8(ascii: "/")), name != ".", name != ".." else {
      throw fields.refusal("the name \(name)")
    }
    switch kind {
    case 0:
      guard let address = try fields.address() else { throw fields.refusal("the link \(name) leads nowhere") }
      return (name, .object(address))
    case 64:
      var target = StoredFields(try fields.take(try fields.number(2)), at: name)
      try target.expect([0], "a link to another file")
      let words = try target.take(target.count).split(separator: 0, omittingEmptySubsequences: false)
      guard words.count == 3, words[2].isEmpty else { throw fields.refusal("the link \(name) leads nowhere") }
      return (
        name, .outside(file: String(decoding: words[0], as: UTF8.self), path: String(decoding: words[1], as: UTF8.self))
      )
    default: throw fields.refusal("the link \(name) is no hard link")
    }
  }
}

/// An attribute's name and value from its message.
func storedAttribute(_ fields: inout StoredFields) throws -> (name: String, value: HDF5Value) {
  try fields.expect([3, 0], "an attribute of version 3 that shares nothing")
  let sizes = try (0..<3).map { _ in try fields.number(2) }
  _ = try fields.take(1)
  guard sizes[0] > 1 else { throw fields.refusal("an attribute without a name") }
  let name = try fields.name(sizes[0] - 1)
  try fields.expect([0], "the end of a name")
  var typeFields = StoredFields(try fields.take(sizes[1]), at: name)
  var shapeFields = StoredFields(try fields.take(sizes[2]), at: name)
  let type = try StoredType(&typeFields)
  let shape = try StoredShape(&shapeFields)
  let (count, overflow) = shape.count.multipliedReportingOverflow(by: type.size)
  guard shape.extents.count < 2, !overflow else {
    throw fields.refusal("the attribute \(name) of shape \(shape.extents)")
  }
  let bytes = Array(try fields.take(count))
  let isList = !shape.extents.isEmpty
  switch type {
  case .text(let size):
    let texts = (0..<shape.count).map {
      String(decoding: bytes[$0 * size..<($0 + 1) * size].prefix { $0 != 0 }, as: UTF8.self)
    }
    return (name, isList ? .texts(texts) : .text(texts[0]))
  case .int64:
    let numbers = littleEndian(bytes).map { Int(Int64(bitPattern: $0)) }
    return (name, isList ? .integers(numbers) : .integer(numbers[0]))
  case .float64:
    let numbers = littleEndian(bytes).map { Double(bitPattern: $0) }
    return (name, isList ? .numbers(numbers) : .number(numbers[0]))
  case .float32, .uint8, .uint16: throw fields.refusal("the attribute \(name) of another type")
  }
}

/// 64-bit numbers from their bytes.
func littleEndian(_ bytes: [UInt8]) -> [UInt64] {
  bytes.withUnsafeBytes { raw in
    (0..<bytes.count / 8).map { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
  }
}
