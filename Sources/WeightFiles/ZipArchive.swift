// Zip archives as torch.save writes them: entries stored without compression, sizes in zip64 records where needed.
// The layout is that of the zip application note (APPNOTE 6.3); everything else in it is refused.

import Support

/// An entry whose bytes lie in the file as they are.
struct ZipEntry {
  let name: String
  /// First byte of the content.
  var start: Int
  let size: Int
  let checksum: UInt32
  /// First byte of the entry's own header.
  let header: Int

  var range: Range<Int> { start..<start + size }
}

/// The entries of an archive; none overlaps another or the directory.
struct ZipArchive {
  private(set) var entries: [String: ZipEntry] = [:]
  private let bytes: WeightBytes

  /// Reads the directory at the end of the file and each entry's header.
  /// - Throws: `Failure` 65 if the archive is cut off, compressed, encrypted, in several parts or contradicts itself.
  init(_ bytes: WeightBytes) throws {
    self.bytes = bytes
    let (count, start, size) = try ZipArchive.directory(bytes)
    guard count <= size / 46 else { throw damaged("the directory claims \(count) entries in \(size) bytes") }
    var position = start
    for _ in 0..<count {
      let entry = try readEntry(&position, end: start + size)
      guard entries.updateValue(entry, forKey: entry.name) == nil else {
        throw damaged("two entries are called \(printable(entry.name))")
      }
    }
    guard position == start + size else { throw damaged("the directory has more bytes than entries") }
    try checkOverlaps(directory: start)
  }

  /// Proves that an entry has the checksum the directory gives; 0 means that none was recorded.
  func verify(_ entry: ZipEntry) throws {
    guard entry.checksum == 0 || entry.checksum == checksum(bytes, entry.range) else {
      throw Failure(.badData, "the checksum does not fit", at: "entry \(printable(entry.name))", remedy: fetchAgain)
    }
  }

  /// Entry count, first byte and size of the directory.
  private static func directory(_ bytes: WeightBytes) throws -> (count: Int, start: Int, size: Int) {
    let end = try endRecord(bytes)
    var fields = [
      try bytes.number(end + 4, size: 2, of: "a part number"), try bytes.number(end + 6, size: 2, of: "a part number"),
      try bytes.number(end + 8, size: 2, of: "a count"), try bytes.number(end + 10, size: 2, of: "a count"),
      try bytes.number(end + 12, size: 4, of: "a size"), try bytes.number(end + 16, size: 4, of: "a place"),
    ]
    var limit = end
    if end >= 20, try bytes.number(end - 20, size: 4, of: "a record") == 0x0706_4b50 {
      let place = try bytes.number(end - 12, size: 8, of: "a place")
      guard place <= UInt64(end - 20), try bytes.number(Int(place), size: 4, of: "a record") == 0x0606_4b50 else {
        throw damaged("the zip64 record is not where it should be")
      }
      let record = Int(place)
      fields = [
        try bytes.number(record + 16, size: 4, of: "a part number"),
        try bytes.number(record + 20, size: 4, of: "a part number"),
        try bytes.number(record + 24, size: 8, of: "a count"), try bytes.number(record + 32, size: 8, of: "a count"),
        try bytes.number(record + 40, size: 8, of: "a size"), try bytes.number(record + 48, size: 8, of: "a place"),
      ]
      limit = record
    }
    guard fields[0] == 0, fields[1] == 0, fields[2] == fields[3] else { throw damaged("the archive has several parts") }
    guard fields[5] <= UInt64(limit), fields[4] <= UInt64(limit) - fields[5], fields[2] <= fields[4] else {
      throw damaged("the directory lies outside the file")
    }
    return (Int(fields[2]), Int(fields[5]), Int(fields[4]))
  }

  /// The last record, found from the end; a comment may follow it.
  private static func endRecord(_ bytes: WeightBytes) throws -> Int {
    let first = max(0, bytes.count - 22 - 0xFFFF)
    let tail = try bytes.bytes(first, bytes.count - first, of: "the archive's end")
    var position = tail.count - 22
    while position >= 0 {
      if tail[position] == 0x50, tail[position + 1] == 0x4b, tail[position + 2] == 5, tail[position + 3] == 6,
        Int(tail[position + 20]) | Int(tail[position + 21]) << 8 == tail.count - position - 22
      {
        return first + position
      }
      position -= 1
    }
    throw damaged("the zip archive has no end")
  }

  private func readEntry(_ position: inout Int, end: Int) throws -> ZipEntry {
    let head = try bytes.bytes(position, 46, of: "a directory entry")
    func number(_ offset: Int, _ size: Int) -> Int { littleEndian(head[offset..<offset + size]) }
    guard number(0, 4) == 0x0201_4b50 else { throw damaged("the directory is broken") }
    let (nameSize, extraSize, commentSize) = (number(28, 2), number(30, 2), number(32, 2))
    guard 46 + nameSize + extraSize + commentSize <= end - position else { throw damaged("the directory is cut off") }
    let encoded = try bytes.bytes(position + 46, nameSize, of: "a name")
    guard let name = String(validating: encoded, as: UTF8.self) else { throw damaged("a name is not UTF-8") }
    let place = "entry \(printable(name))"
    guard number(10, 2) == 0 else {
      throw Failure(.badData, "is compressed, PyTorch never does that", at: place, remedy: saveAgain)
    }
    guard number(8, 2) & 1 == 0 else { throw Failure(.badData, "is encrypted", at: place, remedy: saveAgain) }
    let extra = try bytes.bytes(position + 46 + nameSize, extraSize, of: "an extra field")
    let wide = try wideNumbers(extra, narrow: [number(24, 4), number(20, 4), number(42, 4)])
    guard wide[0] == wide[1] else {
      throw Failure(.badData, "has two sizes, \(wide[0]) and \(wide[1])", at: place, remedy: fetchAgain)
    }
    position += 46 + nameSize + extraSize + commentSize
    let start = try contentStart(header: wide[2], name: encoded, place)
    guard wide[0] <= bytes.count - start else {
      throw Failure(
        .badData, "claims \(wide[0]) bytes, the file ends \(bytes.count - start) after its start", at: place,
        remedy: fetchAgain)
    }
    return ZipEntry(name: name, start: start, size: wide[0], checksum: UInt32(number(16, 4)), header: wide[2])
  }

  /// Numbers of the directory entry, each replaced from the zip64 extra field where its 32 bits are all set.
  private func wideNumbers(_ extra: [UInt8], narrow: [Int]) throws -> [Int] {
    guard narrow.contains(0xFFFF_FFFF) else { return narrow }
    var position = 0
    while position + 4 <= extra.count {
      let size = littleEndian(extra[position + 2..<position + 4])
      let next = position + 4 + size
      guard next <= extra.count else { break }
      if littleEndian(extra[position..<position + 2]) == 1 {
        var rest = extra[position + 4..<next]
        return try narrow.map { number in
          guard number == 0xFFFF_FFFF else { return number }
          guard rest.count >= 8, rest[rest.startIndex + 7] < 0x80 else { throw damaged("a zip64 field is broken") }
          defer { rest = rest.dropFirst(8) }
          return littleEndian(rest.prefix(8))
        }
      }
      position = next
    }
    throw damaged("a zip64 field is missing")
  }

  /// Where an entry's content starts, after a header that must agree with the directory.
  private func contentStart(header: Int, name: [UInt8], _ place: String) throws -> Int {
    guard header >= 0, header <= bytes.count - 30 else {
      throw Failure(.badData, "lies outside the file", at: place, remedy: fetchAgain)
    }
    let local = try bytes.bytes(header, 30, of: "an entry's header")
    let nameSize = littleEndian(local[26..<28])
    let start = header + 30 + nameSize + littleEndian(local[28..<30])
    guard littleEndian(local[0..<4]) == 0x0403_4b50, littleEndian(local[8..<10]) == 0, start <= bytes.count,
      try bytes.bytes(header + 30, nameSize, of: "a name") == name
    else { throw Failure(.badData, "its header contradicts the directory", at: place, remedy: fetchAgain) }
    return start
  }

  private func checkOverlaps(directory: Int) throws {
    let sorted = entries.values.sorted { ($0.header, $0.start) < ($1.header, $1.start) }
    for (index, entry) in sorted.enumerated() {
      let next = index + 1 < sorted.count ? sorted[index + 1].header : directory
      guard entry.start + entry.size <= next else {
        throw Failure(
          .badData, "overlaps what follows it", at: "entry \(printable(entry.name))", remedy: fetchAgain)
      }
    }
  }
}

/// What to do about a file that PyTorch could write in a plainer way.
let saveAgain = "save it again with torch.save(model.state_dict(), path)"

private func damaged(_ what: String) -> Failure { Failure(.badData, what, remedy: fetchAgain) }

/// A number of at most 8 bytes; the highest bit of 8 must be clear.
private func littleEndian(_ bytes: ArraySlice<UInt8>) -> Int {
  bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
}
