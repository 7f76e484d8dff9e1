// A pickle machine that can build tensors, numbers, texts and collections, and nothing else.
// Opcodes as in protocols 2 to 5 (Python's pickletools documents them). No name of a pickle is ever looked up or called.

import Support

/// Reads one pickle.
struct PickleMachine {
  /// More bytes than any list of tensors needs.
  static let byteLimit = 64 << 20
  /// Bounds memory: every value made, copied or remembered counts as one.
  static let valueLimit = 2_000_000

  private let source: WeightBytes
  private var position: Int
  private let end: Int
  private(set) var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]
  private var values = 0
  var collections: [PickleCollection] = []
  var storages: [TorchStorage] = []
  var storagePlaces: [String: Int] = [:]
  var tensors: [TorchTensor] = []

  /// Reads the pickle at the start of a range of bytes.
  /// - Throws: `Failure` 65 naming what is refused, and the byte.
  static func read(_ source: WeightBytes, _ range: Range<Int>) throws -> PickleResult {
    var machine = PickleMachine(source, range)
    do { return try machine.run() } catch let failure as Failure {
      throw failure.within("pickle byte \(machine.position - range.lowerBound)")
    }
  }

  private init(_ source: WeightBytes, _ range: Range<Int>) {
    self.source = source
    position = range.lowerBound
    end = min(range.upperBound, saturatingSum(range.lowerBound, PickleMachine.byteLimit))
  }

  private mutating func run() throws -> PickleResult {
    while true {
      let opcode = try byte()
      if opcode == UInt8(ascii: ".") { break }
      try execute(opcode)
    }
    let root = try pop()
    guard stack.isEmpty, marks.isEmpty else { throw refused("the pickle ends with values left over") }
    return PickleResult(root: root, collections: collections, storages: storages, tensors: tensors, end: position)
  }

  private mutating func execute(_ opcode: UInt8) throws {
    switch Unicode.Scalar(opcode) {
    case "\u{80}": try checkProtocol()
    case "\u{95}": _ = try integer(8)
    case "(":
      try charge(1)
      marks.append(stack.count)
    case "0": try discard()
    case "1": _ = try popToMark()
    case "2": try push(top())
    case "N": try push(.none)
    case "\u{88}": try push(.bool(true))
    case "\u{89}": try push(.bool(false))
    case "J": try push(.integer(Int(Int32(truncatingIfNeeded: integer(4)))))
    case "K": try push(.integer(integer(1)))
    case "M": try push(.integer(integer(2)))
    case "\u{8a}": try push(longInteger(integer(1)))
    case "\u{8b}": try push(longInteger(integer(4)))
    case "G": try push(.real(bigEndianReal()))
    case "X", "T": try push(.text(text(integer(4), lenient: opcode == UInt8(ascii: "T"))))
    case "\u{8c}", "U": try push(.text(text(integer(1), lenient: opcode == UInt8(ascii: "U"))))
    case "\u{8d}": try push(.text(text(integer(8), lenient: false)))
    case "B": try push(bytes(integer(4)))
    case "C": try push(bytes(integer(1)))
    case "\u{8e}", "\u{96}": try push(bytes(integer(8)))
    default: try executeOnCollections(opcode)
    }
  }

  private mutating func executeOnCollections(_ opcode: UInt8) throws {
    switch Unicode.Scalar(opcode) {
    case "]": try pushCollection(.list, [])
    case "}": try pushCollection(.dictionary, [])
    case ")": try pushCollection(.tuple, [])
    case "\u{8f}": try pushCollection(.set, [])
    case "l": try pushCollection(.list, popToMark())
    case "t": try pushCollection(.tuple, popToMark())
    case "\u{91}": try pushCollection(.set, popToMark())
    case "d": try pushCollection(.dictionary, popToMark())
    case "\u{85}", "\u{86}", "\u{87}": try pushCollection(.tuple, pop(Int(opcode) - 0x84))
    case "a": try append(pop(1), to: .list)
    case "e": try append(popToMark(), to: .list)
    case "s": try append(pop(2), to: .dictionary)
    case "u": try append(popToMark(), to: .dictionary)
    case "\u{90}": try append(popToMark(), to: .set)
    default: try executeOnNames(opcode)
    }
  }

  private mutating func executeOnNames(_ opcode: UInt8) throws {
    switch Unicode.Scalar(opcode) {
    case "q": try remember(integer(1))
    case "r": try remember(integer(4))
    case "\u{94}": try remember(memo.count)
    case "h": try recall(integer(1))
    case "j": try recall(integer(4))
    case "c": try push(global(line(), line()))
    case "\u{93}":
      let names = try pop(2)
      guard case .text(let module) = names[0], case .text(let name) = names[1] else {
        throw refused("the pickle loads something without a name")
      }
      try push(global(module, name))
    case "Q": try push(storage(pop()))
    case "R", "\u{81}":
      let call = try pop(2)
      try push(result(of: call[0], call[1]))
    case "b": try build()
    default:
      throw refused("the pickle has the opcode \(opcode), which is refused; nothing was executed", remedy: saveAgain)
    }
  }

  // MARK: Stack and memo

  /// Counts values against the limit.
  mutating func charge(_ count: Int) throws {
    values += count
    guard values <= PickleMachine.valueLimit else {
      throw refused("the pickle holds more than \(PickleMachine.valueLimit) values", remedy: saveAgain)
    }
  }

  private mutating func push(_ value: PickleValue) throws {
    try charge(1)
    stack.append(value)
  }

  private func top() throws -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.last else { throw refused("the pickle's stack is empty") }
    return value
  }

  private mutating func pop() throws -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw refused("the pickle's stack is empty") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws -> [PickleValue] {
    guard let mark = marks.popLast() else { throw refused("the pickle closes what it never opened") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  /// Drops a value, or a mark with nothing above it.
  private mutating func discard() throws {
    if let mark = marks.last, mark == stack.count { marks.removeLast() } else { _ = try pop() }
  }

  private mutating func remember(_ place: Int) throws {
    try charge(1)
    memo[place] = try top()
  }

  private mutating func recall(_ place: Int) throws {
    guard let value = memo[place] else { throw refused("the pickle recalls value \(place), which it never made") }
    try push(value)
  }

  // MARK: Collections

  private mutating func pushCollection(_ kind: PickleCollection.Kind, _ items: [PickleValue]) throws {
    try push(collection(kind, items))
  }

  /// A new collection.
  mutating func collection(_ kind: PickleCollection.Kind, _ items: [PickleValue]) throws -> PickleValue {
    guard kind != .dictionary || items.count % 2 == 0 else { throw refused("a dictionary has a key without a value") }
    try charge(1 + items.count)
    collections.append(PickleCollection(kind: kind, items: items))
    return .collection(collections.count - 1)
  }

  /// Adds to the collection on top of the stack.
  private mutating func append(_ items: [PickleValue], to kind: PickleCollection.Kind) throws {
    guard case .collection(let place) = try top(), collections[place].kind == kind else {
      throw refused("the pickle adds members to something else than a \(kind)")
    }
    guard kind != .dictionary || items.count % 2 == 0 else { throw refused("a dictionary has a key without a value") }
    try charge(items.count)
    collections[place].items += items
  }

  /// The members, if the value is a collection of that kind.
  func items(_ value: PickleValue, _ kind: PickleCollection.Kind) -> [PickleValue]? {
    guard case .collection(let place) = value, collections[place].kind == kind else { return nil }
    return collections[place].items
  }

  /// Drops the attributes given to a dictionary (`_metadata` of a state dict) or to something inert.
  private mutating func build() throws {
    _ = try pop()
    switch try top() {
    case .inert: return
    case .collection(let place) where collections[place].kind == .dictionary: return
    default: throw refused("the pickle sets attributes, which is refused; nothing was executed", remedy: saveAgain)
    }
  }

  // MARK: Bytes

  private mutating func take(_ count: Int) throws -> Int {
    guard count >= 0, count <= end - position else { throw refused("the pickle is cut off", remedy: fetchAgain) }
    defer { position += count }
    return position
  }

  private mutating func byte() throws -> UInt8 {
    let place = try take(1)
    return source.data[place]
  }

  /// An unsigned number; 8 bytes must fit in an Int.
  private mutating func integer(_ size: Int) throws -> Int {
    let value = try source.number(take(size), size: size, of: "a number")
    guard let value = Int(exactly: value) else { throw refused("the pickle claims \(value) bytes", remedy: fetchAgain) }
    return value
  }

  /// A signed number of any size; those beyond 8 bytes are inert.
  private mutating func longInteger(_ size: Int) throws -> PickleValue {
    let start = try take(size)
    guard size <= 8 else { return .inert }
    guard size > 0 else { return .integer(0) }
    let bits = try source.number(start, size: size, of: "a number") << UInt64(64 - 8 * size)
    return .integer(Int(Int64(bitPattern: bits) >> Int64(64 - 8 * size)))
  }

  private mutating func bigEndianReal() throws -> Double {
    Double(bitPattern: try source.number(take(8), size: 8, of: "a number").byteSwapped)
  }

  /// - Parameter lenient: bytes that are no UTF-8 are Latin-1, as texts of Python 2 may be.
  private mutating func text(_ size: Int, lenient: Bool) throws -> String {
    let encoded = try source.bytes(take(size), size, of: "a text")
    if let text = String(validating: encoded, as: UTF8.self) { return text }
    guard lenient else { throw refused("a text is not UTF-8") }
    return String(String.UnicodeScalarView(encoded.map { Unicode.Scalar($0) }))
  }

  private mutating func bytes(_ size: Int) throws -> PickleValue {
    _ = try take(size)
    return .bytes(size)
  }

  /// A line of at most 256 bytes, without its end.
  private mutating func line() throws -> String {
    var line: [UInt8] = []
    while line.count <= 256 {
      let next = try byte()
      if next == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(next)
    }
    throw refused("a name has more than 256 bytes")
  }

  private mutating func checkProtocol() throws {
    let version = try byte()
    guard (2...5).contains(version) else {
      throw refused("the pickle has protocol \(version), 2 to 5 are read", remedy: saveAgain)
    }
  }
}

/// A failure of the content; `PickleMachine.read` adds the byte.
func refused(_ what: String, remedy: String? = nil) -> Failure { Failure(.badData, what, remedy: remedy) }
