// The user block: 512 bytes of text before the HDF5 data that prove the rest. `head -n 4 FILE` shows it, and
// `tail -c +513 FILE | sha256sum` must give the digest it names.

import Foundation
import Support

/// What the user block of a sealed file says.
public struct Seal: Sendable, Equatable {
  /// Bytes of the block.
  public static let length = 512
  private static let magic = "APUS SEALED FILE"
  private static let version = 1

  /// What the file is.
  public enum Kind: String, Sendable {
    case checkpoint
    case checkpointPart = "checkpoint-part"
    case checkpointManifest = "checkpoint-manifest"
    case pseudoLabels = "pseudo-labels"
    case pseudoLabelView = "pseudo-label-view"
    case table
  }

  /// What the file is.
  public let kind: Kind
  /// Bytes after the block.
  public let byteCount: Int
  /// SHA-256 of the bytes after the block, in hexadecimal.
  public let digest: String

  /// The seal of a file whose bytes, the place of the block included, are in memory.
  init(_ kind: Kind, sealing bytes: UnsafeRawBufferPointer) {
    let content = UnsafeRawBufferPointer(rebasing: bytes[Seal.length...])
    let hash = SHA256()
    hash.update(content.bytes)
    self.init(kind: kind, byteCount: content.count, digest: hash.hexadecimal())
  }

  private init(kind: Kind, byteCount: Int, digest: String) {
    self.kind = kind
    self.byteCount = byteCount
    self.digest = digest
  }

  /// The block: four lines, then spaces and a line feed.
  var block: [UInt8] {
    let text = "\(Seal.magic) \(Seal.version)\nkind \(kind.rawValue)\nbytes \(byteCount)\nsha256 \(digest)\n"
    return Array(text.utf8) + [UInt8](repeating: 0x20, count: Seal.length - text.utf8.count - 1) + [0x0a]
  }

  /// Reads the whole file and proves that it is what its block says.
  /// - Throws: `Failure` 66 if there is no file, 74 if it cannot be read, 65 if it is another program's, unfinished, cut
  ///   short or damaged.
  public static func verified(_ path: String, _ kind: Kind) throws -> Seal { try verified(path, [kind]) }

  /// As `verified` for one kind, where several are welcome.
  static func verified(_ path: String, _ kinds: [Kind]) throws -> Seal { try verified(RegularFile(path), kinds) }

  /// Reads the whole of an open file and proves that it is what its block says.
  static func verified(_ file: RegularFile, _ kinds: [Kind]) throws -> Seal {
    let (header, claim) = try readBlock(file, kinds)
    let hash = SHA256()
    var count = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(4 << 20, max(file.count, 1)), alignment: 1 << 12)
    defer { buffer.deallocate() }
    while true {
      let got = try file.read(into: buffer, at: Seal.length + count)
      if got == 0 { break }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<got]).bytes)
      count += got
    }
    guard count == claim.byteCount else {
      let what = count < claim.byteCount ? "is cut short" : "is too long"
      throw Failure(
        .badData, "\(what): \(count) bytes after the user block, expected \(claim.byteCount)", at: file.path)
    }
    let digest = hash.hexadecimal()
    guard digest == claim.digest else {
      throw Failure(.badData, "is damaged: SHA-256 is \(digest), expected \(claim.digest)", at: file.path)
    }
    guard claim.block == header else { throw Failure(.badData, "is damaged in its user block", at: file.path) }
    return claim
  }

  /// What a file's block says, whether or not it is true.
  /// - Throws: as `verified`, but for damage that only reading the whole file shows.
  static func claimed(_ file: RegularFile, _ kinds: [Kind]) throws -> Seal { try readBlock(file, kinds).claim }

  private static func readBlock(_ file: RegularFile, _ kinds: [Kind]) throws -> (header: [UInt8], claim: Seal) {
    let header = try file.bytes(min(Seal.length, file.count), at: 0)
    let claim = try parse(header, file.path)
    guard let kind = kinds.first(where: { $0.rawValue == claim.kind }) else {
      let expected = kinds.map(\.rawValue).joined(separator: " or ")
      throw Failure(.badData, "is of kind \(claim.kind), expected \(expected)", at: file.path)
    }
    return (header, Seal(kind: kind, byteCount: claim.byteCount, digest: claim.digest))
  }

  private static func parse(
    _ header: [UInt8], _ path: String
  ) throws -> (kind: String, byteCount: Int, digest: String) {
    guard !header.isEmpty else { throw Failure(.badData, "is empty", at: path) }
    guard !header.allSatisfy({ $0 == 0 }) else { throw Failure(.badData, "was not finished", at: path) }
    let lines = String(decoding: header, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard header.count == Seal.length, lines[0].hasPrefix(magic) else {
      throw Failure(.badData, "was not written by this program, or its user block is damaged", at: path)
    }
    guard lines[0] == "\(magic) \(version)" else {
      let found = lines[0].utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) ? lines[0].prefix(80) : "other characters"
      throw Failure(
        .badData, "expected \"\(magic) \(version)\", found \"\(found)\"", at: path,
        remedy: "read it with the version of this program that wrote it")
    }
    func value(_ index: Int, _ key: String) -> String? {
      guard index < lines.count, lines[index].hasPrefix(key + " ") else { return nil }
      return String(lines[index].dropFirst(key.count + 1))
    }
    guard let kind = value(1, "kind"), kind.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
      let count = value(2, "bytes").flatMap({ Int($0) }),
      let digest = value(3, "sha256")
    else { throw Failure(.badData, "is damaged in its user block", at: path) }
    return (kind, count, digest)
  }
}
