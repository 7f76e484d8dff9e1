// Attributes: single numbers, lists of numbers, texts.

import CHDF5
import Support

/// The value of an attribute.
public enum HDF5Value: Sendable, Equatable {
  /// UTF-8 text.
  case text(String)
  /// Texts in order.
  case texts([String])
  /// One whole number.
  case integer(Int)
  /// Whole numbers in order.
  case integers([Int])
  /// One floating-point number.
  case number(Double)
  /// Floating-point numbers in order.
  case numbers([Double])

  /// The text, if it is one.
  public var text: String? { if case .text(let text) = self { text } else { nil } }
  /// The texts, if it is a list of texts.
  public var texts: [String]? { if case .texts(let texts) = self { texts } else { nil } }
  /// The whole number, if it is one.
  public var integer: Int? { if case .integer(let integer) = self { integer } else { nil } }
  /// The whole numbers, if it is a list of them.
  public var wholeNumbers: [Int]? { if case .integers(let integers) = self { integers } else { nil } }
  /// The number, whole or not, if it is one.
  public var number: Double? {
    switch self {
    case .number(let number): number
    case .integer(let integer): Double(integer)
    default: nil
    }
  }
}

extension HDF5File {
  /// Bytes of the largest attribute that is read.
  private static let largestAttribute = 16 << 20

  /// All attributes of an object ("" is the root) whose types are known here.
  public func attributes(of path: String) throws -> [String: HDF5Value] {
    try withObject(path) { object, site in
      var found: [String: HDF5Value] = [:]
      let count = try site.check(H5Aget_num_attrs(object), "count the attributes")
      for index in 0..<hsize_t(count) {
        let attribute = try site.own(
          H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, index, ch5_p_default(), ch5_p_default()),
          "open attribute \(index)", H5Aclose)
        found[try name(of: attribute.raw, site)] = try value(of: attribute.raw, site)
      }
      return found
    }
  }

  /// One attribute of an object, or nil if there is none of that name or its type is unknown here.
  public func attribute(_ name: String, of path: String) throws -> HDF5Value? {
    try withObject(path) { object, site in
      guard H5Aexists(object, name) > 0 else { return nil }
      let attribute = try site.own(H5Aopen(object, name, ch5_p_default()), "open the attribute \(name)", H5Aclose)
      return try value(of: attribute.raw, site)
    }
  }

  /// Sets an attribute of an object ("" is the root); one of that name is replaced.
  ///
  /// Texts are stored with a fixed length, UTF-8, padded with zeros; numbers as 64-bit little endian.
  /// - Throws: `Failure` 65 if the value takes more than 60 000 bytes, which the format does not allow.
  public func setAttribute(_ name: String, of path: String, to value: HDF5Value) throws {
    try withObject(path) { object, site in
      if H5Aexists(object, name) > 0 { try site.check(H5Adelete(object, name), "replace the attribute \(name)") }
      switch value {
      case .text(let text): try writeTexts([text], [], name, object, site)
      case .texts(let texts): try writeTexts(texts, [texts.count], name, object, site)
      case .integer(let integer): try writeNumbers([Int64(integer)], [], name, object, ch5_i64le(), site)
      case .integers(let list): try writeNumbers(list.map(Int64.init), [list.count], name, object, ch5_i64le(), site)
      case .number(let number): try writeNumbers([number], [], name, object, ch5_f64le(), site)
      case .numbers(let list): try writeNumbers(list, [list.count], name, object, ch5_f64le(), site)
      }
    }
  }

  /// Sets an attribute that is there to another value of the same type and length: the file keeps its layout.
  func overwriteAttribute(_ name: String, of path: String, with value: HDF5Value) throws {
    try withObject(path) { object, site in
      let attribute = try site.own(H5Aopen(object, name, ch5_p_default()), "open the attribute \(name)", H5Aclose)
      let type = try site.own(H5Aget_type(attribute.raw), "read an attribute's type", H5Tclose)
      switch value {
      case .text(let text):
        precondition(text.utf8.count == H5Tget_size(type.raw), "the attribute \(name) has another length")
        try site.check(H5Awrite(attribute.raw, type.raw, Array(text.utf8)), "write the attribute \(name)")
      case .integer(let integer):
        try site.check(H5Awrite(attribute.raw, ch5_native_i64(), [Int64(integer)]), "write the attribute \(name)")
      default: preconditionFailure("only texts and whole numbers are overwritten")
      }
    }
  }

  private func withObject<Result>(_ path: String, _ body: (hid_t, Site) throws -> Result) throws -> Result {
    try perform(path) { file, site in
      let object = try site.own(H5Oopen(file, absolute(path), ch5_p_default()), "open this object", H5Oclose)
      return try body(object.raw, site)
    }
  }

  private func name(of attribute: hid_t, _ site: Site) throws -> String {
    let length = try site.check(H5Aget_name(attribute, 0, nil), "read an attribute's name")
    return try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(length) + 1) { buffer in
      try site.check(H5Aget_name(attribute, buffer.count, buffer.baseAddress), "read an attribute's name")
      return String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }

  private func value(of attribute: hid_t, _ site: Site) throws -> HDF5Value? {
    let type = try site.own(H5Aget_type(attribute), "read an attribute's type", H5Tclose)
    let space = try site.own(H5Aget_space(attribute), "read an attribute's shape", H5Sclose)
    let shape = try extents(space.raw, site)
    guard try site.byteCount(shape, Int(H5Tget_size(type.raw))) <= HDF5File.largestAttribute else {
      throw Failure(.badData, "an attribute of shape \(shape)", at: site.place)
    }
    let count = shape.reduce(1, *)
    switch H5Tget_class(type.raw) {
    case H5T_STRING:
      let texts = try readTexts(attribute, type.raw, count, site)
      return shape.isEmpty ? texts.first.map(HDF5Value.text) : .texts(texts)
    case H5T_INTEGER:
      var values = [Int64](repeating: 0, count: count)
      try site.check(H5Aread(attribute, ch5_native_i64(), &values), "read an attribute")
      return shape.isEmpty ? .integer(Int(values[0])) : .integers(values.map { Int($0) })
    case H5T_FLOAT:
      var values = [Double](repeating: 0, count: count)
      try site.check(H5Aread(attribute, ch5_native_double(), &values), "read an attribute")
      return shape.isEmpty ? .number(values[0]) : .numbers(values)
    default: return nil
    }
  }

  private func readTexts(_ attribute: hid_t, _ type: hid_t, _ count: Int, _ site: Site) throws -> [String] {
    guard count > 0 else { return [] }
    if H5Tis_variable_str(type) > 0 {
      var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
      try site.check(H5Aread(attribute, type, &pointers), "read an attribute")
      return pointers.map { pointer in
        guard let pointer else { return "" }
        defer { H5free_memory(pointer) }
        return String(cString: pointer)
      }
    }
    let size = H5Tget_size(type)
    var bytes = [UInt8](repeating: 0, count: count * size)
    try site.check(H5Aread(attribute, type, &bytes), "read an attribute")
    return (0..<count).map { String(decoding: bytes[$0 * size..<($0 + 1) * size].prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Creates a text attribute of an open object that has none of that name.
  func createText(_ text: String, _ name: String, _ object: hid_t, _ site: Site) throws {
    try writeTexts([text], [], name, object, site)
  }

  private func writeTexts(_ texts: [String], _ shape: [Int], _ name: String, _ object: hid_t, _ site: Site) throws {
    let size = max(texts.map(\.utf8.count).max() ?? 0, 1)
    var bytes = [UInt8](repeating: 0, count: max(size * texts.count, 1))
    for (index, text) in texts.enumerated() {
      bytes.replaceSubrange(index * size..<index * size + text.utf8.count, with: text.utf8)
    }
    let type = try site.own(H5Tcopy(ch5_c_s1()), "describe a text", status: .internal, H5Tclose)
    try site.check(H5Tset_size(type.raw, size), "describe a text", status: .internal)
    try site.check(H5Tset_strpad(type.raw, H5T_STR_NULLPAD), "describe a text", status: .internal)
    try site.check(H5Tset_cset(type.raw, H5T_CSET_UTF8), "describe a text", status: .internal)
    try bytes.withUnsafeBytes {
      try writeAttribute($0, shape, name, object, inFile: type.raw, inMemory: type.raw, site)
    }
  }

  private func writeNumbers<Number>(
    _ numbers: [Number], _ shape: [Int], _ name: String, _ object: hid_t, _ type: hid_t, _ site: Site
  ) throws {
    let native = Number.self == Double.self ? ch5_native_double() : ch5_native_i64()
    try numbers.withUnsafeBytes { try writeAttribute($0, shape, name, object, inFile: type, inMemory: native, site) }
  }

  private func writeAttribute(
    _ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ name: String, _ object: hid_t, inFile: hid_t, inMemory: hid_t,
    _ site: Site
  ) throws {
    guard bytes.count <= 60_000 else {
      throw Failure(.badData, "the attribute \(name) takes \(bytes.count) bytes, more than 60000", at: site.place)
    }
    let space = try dataspace(shape, site)
    let attribute = try site.own(
      H5Acreate2(object, name, inFile, space.raw, ch5_p_default(), ch5_p_default()), "create the attribute \(name)",
      status: .inputOutput, H5Aclose)
    guard !shape.contains(0) else { return }
    try site.check(H5Awrite(attribute.raw, inMemory, bytes.baseAddress), "write the attribute \(name)")
  }
}
