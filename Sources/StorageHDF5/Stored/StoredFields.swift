// Numbers and names in the bytes of a file that may lie. Nothing here trusts a length that the file claims.

import Support

/// A block of bytes, taken from the front.
struct StoredFields {
  private var rest: ArraySlice<UInt8>
  private let place: String

  /// - Parameter place: file and object, for failures.
  init(_ bytes: some Collection<UInt8>, at place: String) {
    rest = ArraySlice(bytes)
    self.place = place
  }

  /// Bytes not yet taken.
  var count: Int { rest.count }

  /// The next bytes.
  /// - Throws: `Failure` 65 if there are not as many.
  mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count >= 0, count <= rest.count else { throw refusal("a block ends too early") }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  /// A number of 1 to 8 bytes, little endian.
  /// - Throws: `Failure` 65 if it needs the 64th bit: nothing in the format is as large.
  mutating func number(_ bytes: Int) throws -> Int {
    var value: UInt64 = 0
    for (index, byte) in try take(bytes).enumerated() { value |= UInt64(byte) << UInt64(8 * index) }
    guard let number = Int(exactly: value) else { throw refusal("a number is impossible") }
    return number
  }

  /// The address of a block; nil if it says that there is none.
  mutating func address() throws -> Int? {
    if rest.count >= 8, rest.prefix(8).allSatisfy({ $0 == 0xff }) {
      _ = try take(8)
      return nil
    }
    return try number(8)
  }

  /// Takes bytes that can only be these.
  mutating func expect(_ bytes: some Sequence<UInt8>, _ what: String) throws {
    let expected = Array(bytes)
    guard try take(expected.count).elementsEqual(expected) else { throw refusal("expected \(what)") }
  }

  /// Takes a signature of letters.
  mutating func expect(signature: String) throws { try expect(signature.utf8, "a block \(signature)") }

  /// Text that may name an object or an attribute.
  /// - Throws: `Failure` 65 if it is empty, longer than 1024 bytes, no UTF-8, or has control characters.
  mutating func name(_ bytes: Int) throws -> String {
    guard bytes > 0, bytes <= 1024 else { throw refusal("a name of \(bytes) bytes") }
    guard let name = String(validating: try take(bytes), as: UTF8.self),
      !name.unicodeScalars.contains(where: {
        $0.properties.generalCategory == .control || $0 == "\u{2028}" || $0 == "\u{2029}"
      })
    else { throw refusal("a name that is no text") }
    return name
  }

  /// A failure about these bytes.
  func refusal(_ what: String) -> Failure { notOfTheFormat(what, at: place) }
}

/// The failure of a file that is sealed rightly and yet is not as this program writes it.
func notOfTheFormat(_ what: String, at place: String) -> Failure {
  Failure(.badData, "is not as this program writes it: \(what)", at: place)
}
