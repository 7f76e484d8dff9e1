// Event files are decoded by an independent reader: framing, checksums and protocol buffers.

import Foundation
import Support
import TestSupport
import Testing
import Training

/// Reads little-endian numbers and protocol-buffer fields from bytes.
private struct Decoder {
  var bytes: ArraySlice<UInt8>

  mutating func number(_ count: Int) -> UInt64 {
    defer { bytes = bytes.dropFirst(count) }
    return bytes.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func variable() -> UInt64 {
    var (value, shift) = (UInt64(0), UInt64(0))
    while let byte = bytes.popFirst() {
      value |= UInt64(byte & 127) << shift
      shift += 7
      if byte < 128 { break }
    }
    return value
  }

  /// Field numbers with their raw contents.
  mutating func fields() -> [(UInt64, Decoder)] {
    var fields: [(UInt64, Decoder)] = []
    while !bytes.isEmpty {
      let key = variable()
      let start = bytes
      switch key & 7 {
      case 0:
        _ = variable()
        fields.append((key >> 3, Decoder(bytes: start.prefix(start.count - bytes.count))))
      case 1, 5:
        let count = key & 7 == 1 ? 8 : 4
        fields.append((key >> 3, Decoder(bytes: bytes.prefix(count))))
        bytes = bytes.dropFirst(count)
      default:
        let count = Int(variable())
        fields.append((key >> 3, Decoder(bytes: bytes.prefix(count))))
        bytes = bytes.dropFirst(count)
      }
    }
    return fields
  }
}

private func unmasked(_ value: UInt64) -> UInt32 {
  let rotated = UInt32(value) &- 0xa282_ead8
  return rotated >> 17 | rotated << 15
}

/// Contents of all records; a wrong checksum is recorded as an issue.
private func records(_ path: String) throws -> [Decoder] {
  var decoder = Decoder(bytes: [UInt8](try #require(FileManager.default.contents(atPath: path)))[...])
  var records: [Decoder] = []
  while !decoder.bytes.isEmpty {
    let length = Array(decoder.bytes.prefix(8))
    let count = Int(decoder.number(8))
    #expect(unmasked(decoder.number(4)) == checksum32C(length))
    let content = decoder.bytes.prefix(count)
    decoder.bytes = decoder.bytes.dropFirst(count)
    #expect(unmasked(decoder.number(4)) == checksum32C(Array(content)))
    records.append(Decoder(bytes: content))
  }
  return records
}

@Suite struct EventFileTests {
  @Test func checksumMatchesThePublishedVectors() {
    // RFC 3720, B.4.
    #expect(checksum32C([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(checksum32C([UInt8](repeating: 255, count: 32)) == 0x62a8_ab43)
    #expect(checksum32C(Array(0..<32)) == 0x46dd_794e)
    #expect(checksum32C(Array("123456789".utf8)) == 0xe306_9283)
  }

  @Test func scalarsAreReadBack() throws {
    let folder = try TemporaryFolder()
    let file = try EventFile(folder: folder.path, after: 299, seconds: 1000)
    #expect(file.path.hasPrefix(folder.path + "/events.out.tfevents.1000."))
    try file.add([("loss/source", 0.5), ("mIoU", 42.25)], step: 300, seconds: 1001.5)
    let records = try records(file.path)
    #expect(records.count == 4)
    var first = records[0]
    let version = first.fields()
    #expect(version.map(\.0) == [1, 3])
    #expect(String(decoding: version[1].1.bytes, as: UTF8.self) == "brain.Event:2")
    var start = records[1]
    let session = start.fields()
    #expect(session.map(\.0) == [1, 2, 7] && Array(session[2].1.bytes) == [8, 1], "a session log that says START")
    var last = records[3]
    var event = last.fields()
    #expect(event.map(\.0) == [1, 2, 5])
    #expect(Double(bitPattern: event[0].1.number(8)) == 1001.5)
    #expect(event[1].1.variable() == 300)
    let values = event[2].1.fields().map { field in
      var value = field.1
      var parts = value.fields()
      return (String(decoding: parts[0].1.bytes, as: UTF8.self), Float(bitPattern: UInt32(parts[1].1.number(4))))
    }
    #expect(values.map(\.0) == ["loss/source", "mIoU"])
    #expect(values.map(\.1) == [0.5, 42.25])
  }

  @Test func aMissingFolderIsReported() {
    #expect(throws: Failure.self) { try EventFile(folder: "/no/such/folder", after: 0) }
  }

  /// Steps as TensorBoard shows them: files in the order of their names, and every START but the first of all drops what
  /// is at or after its step.
  private func shownSteps(_ folder: TemporaryFolder) throws -> [UInt64] {
    var steps: [UInt64] = []
    var isStarted = false
    for name in folder.names {
      for var record in try records(folder.file(name)) {
        let fields = record.fields()
        guard var step = fields.first(where: { $0.0 == 2 })?.1 else { continue }
        let number = step.variable()
        if fields.contains(where: { $0.0 == 7 }) {
          if isStarted { steps.removeAll { $0 >= number } }
          isStarted = true
        } else {
          steps.append(number)
        }
      }
    }
    return steps
  }

  /// Sessions within a second of each other, and one on a host whose clock is behind.
  @Test(arguments: [1000.5, 1000, 400]) func stepsThatAreRunAgainAreShownOnce(seconds: Double) throws {
    let folder = try TemporaryFolder()
    let killed = try EventFile(folder: folder.path, after: 0, seconds: 1000)
    for step in 1...14 { try killed.add([("loss", 1)], step: step) }
    let resumed = try EventFile(folder: folder.path, after: 10, seconds: seconds)
    for step in 11...12 { try resumed.add([("loss", 1)], step: step) }
    let last = try EventFile(folder: folder.path, after: 12, seconds: seconds)
    for step in 13...20 { try last.add([("loss", 1)], step: step) }
    #expect(try shownSteps(folder) == Array(1...20))
  }
}
