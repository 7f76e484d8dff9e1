// The JSON header of a safetensors file, read strictly: one object of tensors, no other nesting, no repeated names.

import Support

/// What the header says about one tensor.
struct SafetensorsEntry {
  var name: String
  var element: ElementKind
  var shape: [Int]
  /// First byte, counted from the end of the header.
  var begin: Int
  /// The byte after the last one.
  var end: Int
}

/// Reads a header. The nesting is fixed by the format, so nothing recurses.
struct SafetensorsHeaderReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The tensors in the order written, and the texts under `__metadata__`.
  /// - Throws: `Failure` 65 with the byte of the header.
  mutating func read() throws -> (entries: [SafetensorsEntry], metadata: [String: String]) {
    var entries: [SafetensorsEntry] = []
    var metadata: [String: String]?
    var names: Set<String> = []
    try object { reader, name in
      guard names.insert(name).inserted else {
        throw reader.failure("\(printable(name)) appears twice")
      }
      if name == "__metadata__" {
        metadata = try reader.texts()
      } else {
        entries.append(try reader.entry(name))
      }
    }
    skipSpace()
    guard position == bytes.count else { throw failure("there is more after the closing brace") }
    return (entries, metadata ?? [:])
  }

  private mutating func texts() throws -> [String: String] {
    var texts: [String: String] = [:]
    try object { reader, key in
      let value = try reader.string()
      guard texts.updateValue(value, forKey: key) == nil else {
        throw reader.failure("\(printable(key)) appears twice")
      }
    }
    return texts
  }

  private mutating func entry(_ name: String) throws -> SafetensorsEntry {
    var element: ElementKind?
    var shape: [Int]?
    var offsets: [Int]?
    try object { reader, key in
      switch key {
      case "dtype" where element == nil:
        let type = try reader.string()
        element = safetensorsTypes.first { $0.value == type }?.key
        guard element != nil else {
          throw Failure(
            .badData, "its type \(printable(type)) is not read", at: "tensor \(printable(name))",
            remedy: "save it as F32, F16 or BF16")
        }
      case "shape" where shape == nil: shape = try reader.numbers()
      case "data_offsets" where offsets == nil: offsets = try reader.numbers()
      default: throw reader.failure("tensor \(printable(name)) has an unknown or repeated key \(printable(key))")
      }
    }
    guard let element, let shape, let offsets, offsets.count == 2 else {
      throw failure("tensor \(printable(name)) needs dtype, shape and two data_offsets")
    }
    return SafetensorsEntry(name: name, element: element, shape: shape, begin: offsets[0], end: offsets[1])
  }

  /// Reads `{"key": value, …}`, where `member` reads the value.
  private mutating func object(_ member: (inout SafetensorsHeaderReader, String) throws -> Void) throws {
    try expect("{")
    if take("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try member(&self, key)
    } while take(",")
    try expect("}")
  }

  /// Reads a list of whole numbers from 0.
  private mutating func numbers() throws -> [Int] {
    var values: [Int] = []
    try expect("[")
    if take("]") { return values }
    repeat { values.append(try number()) } while take(",")
    try expect("]")
    return values
  }

  private mutating func number() throws -> Int {
    skipSpace()
    let first = position
    var value = 0
    while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflowToo) = tens.addingReportingOverflow(Int(bytes[position] - UInt8(ascii: "0")))
      guard !overflow, !overflowToo else { throw failure("a number is too large") }
      value = sum
      position += 1
    }
    guard position > first, position == first + 1 || bytes[first] != UInt8(ascii: "0") else {
      throw failure("a whole number was expected")
    }
    return value
  }

  private mutating func string() throws -> String {
    try expect("\"")
    var text: [UInt8] = []
    while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
      let byte = bytes[position]
      guard byte >= 0x20 else { throw failure("a text has a control character") }
      position += 1
      if byte == UInt8(ascii: "\\") { text += try escaped() } else { text.append(byte) }
    }
    try expect("\"")
    guard let text = String(validating: text, as: UTF8.self) else { throw failure("a text is not UTF-8") }
    return text
  }

  /// The UTF-8 of what follows a backslash.
  private mutating func escaped() throws -> [UInt8] {
    guard position < bytes.count else { throw failure("a text does not end") }
    let letter = bytes[position]
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [letter]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"): break
    default: throw failure("a text has an unknown escape")
    }
    var code = try hexadecimal()
    if (0xD800..<0xDC00).contains(code), position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
      bytes[position + 1] == UInt8(ascii: "u")
    {
      position += 2
      let low = try hexadecimal()
      guard (0xDC00..<0xE000).contains(low) else { throw failure("a text has half a surrogate pair") }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw failure("a text has half a surrogate pair") }
    return Array(String(scalar).utf8)
  }

  private mutating func hexadecimal() throws -> UInt32 {
    guard bytes.count - position >= 4,
      let digits = String(validating: bytes[position..<position + 4], as: UTF8.self),
      digits.allSatisfy(\.isHexDigit), let code = UInt32(digits, radix: 16)
    else { throw failure("a text has a bad \\u escape") }
    position += 4
    return code
  }

  private mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
  }

  private mutating func take(_ mark: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ mark: Unicode.Scalar) throws {
    guard take(mark) else { throw failure("\(mark) was expected") }
  }

  private func failure(_ what: String) -> Failure {
    Failure(.badData, what, at: "header byte \(position)", remedy: fetchAgain)
  }
}

/// How safetensors writes the types.
let safetensorsTypes: [ElementKind: String] = [
  .float64: "F64", .float32: "F32", .float16: "F16", .bfloat16: "BF16", .int64: "I64", .int32: "I32", .int16: "I16",
  .int8: "I8", .uint64: "U64", .uint32: "U32", .uint16: "U16", .uint8: "U8", .bool: "BOOL",
]
