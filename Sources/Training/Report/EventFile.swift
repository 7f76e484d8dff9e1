// Scalars for TensorBoard: an event file is a sequence of framed records (TFRecord), each a protocol buffer `Event`.

import Foundation
import Support

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Writes scalars to `events.out.tfevents.*`. Rank 0 only; every run of a program has a file of its own.
///
/// A folder is read as one sequence, in the order of the names of its files. A file therefore begins with the step at
/// which training starts again, from which on readers forget what earlier files say.
public final class EventFile {
  /// The file.
  public let path: String
  private let file: FileHandle
  private var length: UInt64 = 0
  private static let prefix = "events.out.tfevents."

  /// Makes an event file in a folder.
  /// - Parameters:
  ///   - folder: where it is made.
  ///   - completedSteps: steps that are not run again.
  ///   - seconds: wall-clock time since 1970, which is the time of the first records and, unless the clock is behind
  ///     that of an earlier file, part of the name.
  /// - Throws: `Failure` 73 if it cannot be made, 74 if that may pass or it cannot be written.
  public init(folder: String, after completedSteps: Int, seconds: Double = Date().timeIntervalSince1970) throws {
    let process = ProcessInfo.processInfo
    let second = max(Int(seconds), (EventFile.newestSecond(in: folder) ?? 0) + 1)
    path = "\(folder)/\(EventFile.prefix)\(second).\(process.hostName).\(process.processIdentifier)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw Failure(.creating(errno), "it cannot be made (\(String(cString: strerror(errno))))", at: path)
    }
    file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    var version = ProtocolBuffer()
    version.add(1, double: seconds)
    version.add(3, bytes: Array("brain.Event:2".utf8))
    do {
      // Twice: readers take the first one of a folder for its beginning, and files of former versions have none.
      let start = EventFile.start(at: completedSteps + 1, seconds)
      for event in [version, start, start] { try write(event) }
    } catch {
      // On a full disk every further attempt would leave another file.
      unlink(path)
      throw error
    }
  }

  /// The time in the name of the newest event file of a folder; nil if there is none.
  private static func newestSecond(in folder: String) -> Int? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasPrefix(prefix) }
      .compactMap { $0.dropFirst(prefix.count).split(separator: ".").first.flatMap { UInt32($0) } }.max().map(Int.init)
  }

  /// A `SessionLog` with the status START.
  private static func start(at step: Int, _ seconds: Double) -> ProtocolBuffer {
    var session = ProtocolBuffer()
    session.add(1, integer: 1)
    var event = ProtocolBuffer()
    event.add(1, double: seconds)
    event.add(2, integer: UInt64(step))
    event.add(7, bytes: session.bytes)
    return event
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
