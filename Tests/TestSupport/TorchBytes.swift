// PyTorch checkpoints byte by byte: a zip writer and the opcodes of a pickle. Also makes seeds of the fuzz drivers.

/// Opcodes of pickle protocol 2, as bytes that leave one value on the stack.
public enum Pickle {
  /// A whole pickle of one value.
  public static func whole(_ value: [UInt8]) -> [UInt8] { [0x80, 2] + value + [UInt8(ascii: ".")] }

  /// A text.
  public static func text(_ text: String) -> [UInt8] {
    [UInt8(ascii: "X")] + littleEndian(text.utf8.count, 4) + Array(text.utf8)
  }

  /// A whole number.
  public static func integer(_ value: Int) -> [UInt8] { [0x8a, 8] + littleEndian(value, 8) }

  /// A tuple of values.
  public static func tuple(_ items: [UInt8]...) -> [UInt8] {
    [UInt8(ascii: "(")] + items.joined() + [UInt8(ascii: "t")]
  }

  /// A tuple of whole numbers.
  public static func integers(_ values: [Int]) -> [UInt8] {
    [UInt8(ascii: "(")] + values.flatMap(integer) + [UInt8(ascii: "t")]
  }

  /// A list of values.
  public static func list(_ items: [UInt8]...) -> [UInt8] {
    [UInt8(ascii: "]"), UInt8(ascii: "(")] + items.joined() + [UInt8(ascii: "e")]
  }

  /// A dictionary with texts as keys.
  public static func dictionary(_ members: [(String, [UInt8])]) -> [UInt8] {
    [UInt8(ascii: "}"), UInt8(ascii: "(")] + members.flatMap { text($0.0) + $0.1 } + [UInt8(ascii: "u")]
  }

  /// A class or function by its name.
  public static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }

  /// What a call of a function with a tuple of arguments gives.
  public static func call(_ function: [UInt8], _ arguments: [UInt8]) -> [UInt8] {
    function + arguments + [UInt8(ascii: "R")]
  }

  /// A reference to a storage of `count` numbers.
  public static func storage(_ key: String, _ count: Int, type: String = "FloatStorage", legacy: Bool = false)
    -> [UInt8]
  {
    let id = [text("storage"), global("torch", type), text(key), text("cpu"), integer(count)]
    let last = legacy ? [UInt8(ascii: "N")] : []
    return [UInt8(ascii: "(")] + id.joined() + last + [UInt8(ascii: "t"), UInt8(ascii: "Q")]
  }

  /// A view of a storage as a tensor.
  public static func tensor(_ storage: [UInt8], offset: Int = 0, shape: [Int], strides: [Int]) -> [UInt8] {
    call(
      global("torch._utils", "_rebuild_tensor_v2"),
      tuple(
        storage, integer(offset), integers(shape), integers(strides), [0x89],
        call(global("collections", "OrderedDict"), tuple())))
  }
}

/// A zip archive of stored entries.
public struct Zip: Sendable {
  /// Names and contents.
  public var entries: [(name: String, bytes: [UInt8])]
  /// Whether sizes and places stand in zip64 records only.
  public var isWide: Bool
  /// Method written for every entry; 0 is stored.
  public var method: Int
  /// Whether checksums are written; 0 stands for none.
  public var hasChecksums: Bool

  /// An archive of these entries.
  public init(
    entries: [(name: String, bytes: [UInt8])], isWide: Bool = true, method: Int = 0, hasChecksums: Bool = true
  ) {
    self.entries = entries
    self.isWide = isWide
    self.method = method
    self.hasChecksums = hasChecksums
  }

  /// A checkpoint with a pickle and storages named 0, 1, ….
  public static func checkpoint(_ pickle: [UInt8], _ storages: [[UInt8]], byteOrder: String? = "little") -> Zip {
    var entries = [("archive/data.pkl", Pickle.whole(pickle))]
    if let byteOrder { entries.append(("archive/byteorder", Array(byteOrder.utf8))) }
    entries += storages.enumerated().map { ("archive/data/\($0.offset)", $0.element) }
    return Zip(entries: entries + [("archive/version", Array("3\n".utf8))])
  }

  /// The file.
  public var bytes: [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for (name, content) in entries {
      let name = Array(name.utf8)
      let checksum = hasChecksums ? Zip.checksum(content) : 0
      let start = file.count
      let common = littleEndian(0, 2) + littleEndian(method, 2) + littleEndian(0, 4) + littleEndian(checksum, 4)
      let sizes = littleEndian(content.count, 4) + littleEndian(content.count, 4)
      file += [0x50, 0x4b, 3, 4, 45, 0] + common + sizes + littleEndian(name.count, 2) + littleEndian(0, 2) + name
      file += content
      let wide =
        littleEndian(1, 2) + littleEndian(24, 2)
        + [content.count, content.count, start].flatMap { littleEndian($0, 8) }
      let all = Array(repeating: UInt8(0xff), count: 8)
      directory += [0x50, 0x4b, 1, 2, 45, 0, 45, 0] + common + (isWide ? all : sizes) + littleEndian(name.count, 2)
      directory += littleEndian(isWide ? wide.count : 0, 2) + littleEndian(0, 10)
      directory += (isWide ? littleEndian(0xffff_ffff, 4) : littleEndian(start, 4)) + name + (isWide ? wide : [])
    }
    let place = file.count
    file += directory
    if isWide {
      let record = file.count
      file += [0x50, 0x4b, 6, 6] + littleEndian(44, 8) + [45, 0, 45, 0] + littleEndian(0, 8)
      file += [entries.count, entries.count, directory.count, place].flatMap { littleEndian($0, 8) }
      file += [0x50, 0x4b, 6, 7] + littleEndian(0, 4) + littleEndian(record, 8) + littleEndian(1, 4)
    }
    file += [0x50, 0x4b, 5, 6] + littleEndian(0, 4) + littleEndian(entries.count, 2) + littleEndian(entries.count, 2)
    return file + littleEndian(directory.count, 4) + littleEndian(place, 4) + littleEndian(0, 2)
  }

  /// CRC-32, bit by bit.
  public static func checksum(_ bytes: [UInt8]) -> Int {
    var rest: UInt32 = .max
    for byte in bytes {
      rest ^= UInt32(byte)
      for _ in 0..<8 { rest = rest & 1 == 1 ? rest >> 1 ^ 0xEDB8_8320 : rest >> 1 }
    }
    return Int(~rest)
  }
}

/// A checkpoint in the form before PyTorch 1.6.
public func legacyCheckpoint(
  _ pickle: [UInt8], _ storages: [(key: String, count: Int, bytes: [UInt8])], littleEndianMachine: Bool = true
) -> [UInt8] {
  let magic: [UInt8] = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]
  let system = Pickle.dictionary([
    ("protocol_version", Pickle.integer(1001)), ("little_endian", [littleEndianMachine ? 0x88 : 0x89]),
  ])
  let keys = [UInt8(ascii: "]"), UInt8(ascii: "(")] + storages.flatMap { Pickle.text($0.key) } + [UInt8(ascii: "e")]
  return [magic, Pickle.integer(1001), system, pickle, keys].flatMap(Pickle.whole)
    + storages.flatMap { littleEndian($0.count, 8) + $0.bytes }
}

/// A safetensors file from its header's text.
public func safetensors(_ header: String, data: [UInt8] = []) -> [UInt8] {
  littleEndian(header.utf8.count, 8) + Array(header.utf8) + data
}

/// A number as `size` bytes, the lowest first.
public func littleEndian(_ value: Int, _ size: Int) -> [UInt8] {
  (0..<size).map { UInt8(truncatingIfNeeded: $0 < 8 ? value >> (8 * $0) : 0) }
}

/// Numbers as they lie in a file.
public func bytes(_ values: [Float]) -> [UInt8] { values.flatMap { littleEndian(Int($0.bitPattern), 4) } }
