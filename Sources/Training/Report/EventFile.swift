// Scalars for TensorBoard: an event file is a sequence of framed records (TFRecord), each a protocol buffer `Event`.

import Foundation
import Support

/// Writes scalars to `events.out.tfevents.*`. Rank 0 only; every run of a program has a file of its own.
public final class EventFile {
  /// The file.
  public let path: String
  private let file: FileHandle
  private var length: UInt64 = 0

  /// Makes an event file in a folder.
  /// - Parameters:
  ///   - folder: where it is made.
  ///   - seconds: wall-clock time since 1970, which is part of the name and the time of the first record.
  /// - Throws: `Failure` 73 if it cannot be made.
  public init(folder: String, seconds: Double = Date().timeIntervalSince1970) throws {
    let process = ProcessInfo.processInfo
    path = "\(folder)/events.out.tfevents.\(Int(seconds)).\(process.hostName).\(process.processIdentifier)"
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path)
    else { throw Failure(.cannotCreate, "it cannot be made", at: path) }
    self.file = file
    var event = ProtocolBuffer()
    event.add(1, double: seconds)
    event.add(3, bytes: Array("brain.Event:2".utf8))
    try write(event)
  }

  /// Adds scalars of a step under their tags; a tag such as `loss/source` puts the curve into the group `loss`.
  /// - Throws: `Failure` 74 if they cannot be written.
  public func add(
    _ scalars: [(tag: String, value: Double)], step: Int, seconds: Double = Date().timeIntervalSince1970
  ) throws {
    var summary = ProtocolBuffer()
    for scalar in scalars {
      var value = ProtocolBuffer()
      value.add(1, bytes: Array(scalar.tag.utf8))
      value.add(2, float: Float(scalar.value))
      summary.add(1, bytes: value.bytes)
    }
    var event = ProtocolBuffer()
    event.add(1, double: seconds)
    event.add(2, integer: UInt64(step))
    event.add(5, bytes: summary.bytes)
    try write(event)
  }

  private func write(_ event: ProtocolBuffer) throws {
    do {
      let record = framedRecord(event.bytes)
      try file.write(contentsOf: Foundation.Data(record))
      length += UInt64(record.count)
    } catch {
      // Readers give up at half a record.
      try? file.truncate(atOffset: length)
      throw Failure(.inputOutput, "it cannot be written: \(error.localizedDescription)", at: path)
    }
  }
}

/// The bytes of a message in protocol-buffer encoding, field by field.
struct ProtocolBuffer {
  /// The fields so far.
  private(set) var bytes: [UInt8] = []

  mutating func add(_ field: UInt64, integer: UInt64) {
    addVariable(field << 3)
    addVariable(integer)
  }

  mutating func add(_ field: UInt64, double: Double) {
    addVariable(field << 3 | 1)
    bytes += littleEndian(double.bitPattern)
  }

  mutating func add(_ field: UInt64, bytes content: [UInt8]) {
    addVariable(field << 3 | 2)
    addVariable(UInt64(content.count))
    bytes += content
  }

  mutating func add(_ field: UInt64, float: Float) {
    addVariable(field << 3 | 5)
    bytes += littleEndian(float.bitPattern)
  }

  /// Seven bits a byte, lowest first, the high bit set on all but the last.
  private mutating func addVariable(_ number: UInt64) {
    var rest = number
    while rest > 127 {
      bytes.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// A TFRecord: length, masked checksum of the length, content, masked checksum of the content.
func framedRecord(_ content: [UInt8]) -> [UInt8] {
  let length = littleEndian(UInt64(content.count))
  return length + littleEndian(maskedChecksum(length)) + content + littleEndian(maskedChecksum(content))
}

/// CRC-32C, rotated and shifted by a constant, so that a checksum of data that holds checksums stays meaningful.
private func maskedChecksum(_ bytes: [UInt8]) -> UInt32 {
  let checksum = checksum32C(bytes)
  return (checksum >> 15 | checksum << 17) &+ 0xa282_ead8
}

/// CRC-32C (Castagnoli polynomial, reflected) of the bytes.
public func checksum32C(_ bytes: [UInt8]) -> UInt32 {
  ~bytes.reduce(~0) { sum, byte in castagnoli[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
}

private let castagnoli: [UInt32] = (0..<256).map { byte in
  (0..<8).reduce(UInt32(byte)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0x82f6_3b78 : rest >> 1 }
}

private func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
}
