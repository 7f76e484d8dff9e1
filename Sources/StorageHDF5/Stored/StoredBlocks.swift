// The blocks of a file, each counted against the file's length: blocks that lie in one another, or that two objects
// share, soon claim more than there is, so that neither memory nor time can grow beyond what the file is long.

import Support

/// Reads blocks of one file's metadata.
final class StoredBlocks {
  private let file: RegularFile
  /// Bytes before the HDF5 data, from which addresses count.
  private let base: Int
  private var unclaimed: Int
  /// File and object that are being read, for failures.
  var place: String

  init(_ file: RegularFile, base: Int) {
    self.file = file
    self.base = base
    unclaimed = file.count - base
    place = file.path
  }

  /// Checks that bytes lie in the file, and counts them.
  /// - Returns: their first byte in the file.
  func claim(_ address: Int, _ count: Int) throws -> Int {
    guard count >= 0, address >= 0, count <= file.count - base, address <= file.count - base - count else {
      throw notOfTheFormat("\(count) bytes at \(address) are not all in the file", at: place)
    }
    unclaimed -= count
    guard unclaimed >= 0 else { throw notOfTheFormat("two of its blocks are in the same place", at: place) }
    return base + address
  }

  /// A block.
  func block(_ address: Int, _ count: Int) throws -> StoredFields {
    StoredFields(try file.bytes(count, at: try claim(address, count)), at: place)
  }

  // MARK: - Object headers (IV.A.1.b)

  /// The messages of an object header, with their kinds, in order.
  func messages(ofObjectAt address: Int) throws -> [(kind: Int, fields: StoredFields)] {
    var start = try block(address, 6)
    try start.expect(signature: "OHDR")
    try start.expect([2], "an object header of version 2")
    let flags = try start.number(1)
    guard flags & 0xc0 == 0 else { throw start.refusal("an object header with flags \(flags)") }
    let sizeBytes = 1 << (flags & 3)
    // Four times of 4 bytes, then two limits of 2 bytes, where they are stored.
    let skipped = (flags & 0x20 != 0 ? 16 : 0) + (flags & 0x10 != 0 ? 4 : 0)
    var rest = try block(address + 6, skipped + sizeBytes)
    _ = try rest.take(skipped)
    let size = try rest.number(sizeBytes)
    var messages: [(kind: Int, fields: StoredFields)] = []
    var pending = [try block(address + 6 + skipped + sizeBytes, size)]
    while var chunk = pending.popLast() {
      // What is left over is too short for a message.
      while chunk.count >= (flags & 4 == 0 ? 4 : 6) {
        let kind = try chunk.number(1)
        let length = try chunk.number(2)
        guard try chunk.number(1) & 0x02 == 0 else { throw chunk.refusal("an object shares a message") }
        if flags & 4 != 0 { _ = try chunk.take(2) }
        var fields = StoredFields(try chunk.take(length), at: place)
        guard kind == 0x10 else {
          messages.append((kind, fields))
          continue
        }
        guard let next = try fields.address() else { throw fields.refusal("an object goes on nowhere") }
        pending.append(try continuation(next, try fields.number(8)))
      }
    }
    return messages
  }

  private func continuation(_ address: Int, _ count: Int) throws -> StoredFields {
    var whole = try block(address, count)
    try whole.expect(signature: "OCHK")
    // The checksum at the end proves nothing that the seal does not.
    return StoredFields(try whole.take(max(0, whole.count - 4)), at: place)
  }

  // MARK: - Version 2 B-trees (III.A.2)

  /// All records of a tree, in order.
  /// - Parameters:
  ///   - kind: what the tree is for.
  ///   - size: bytes of a record.
  func records(ofTreeAt address: Int, kind: UInt8, size: Int) throws -> [StoredFields] {
    var header = try block(address, 34)
    try header.expect(signature: "BTHD")
    try header.expect([0, kind], "a tree of kind \(kind)")
    let nodeSize = try header.number(4)
    guard try header.number(2) == size, nodeSize == 512 else { throw header.refusal("nodes of \(nodeSize) bytes") }
    let depth = try header.number(2)
    _ = try header.take(2)
    let root = try header.address()
    let rootCount = try header.number(2)
    let total = try header.number(8)
    guard depth < 8 else { throw header.refusal("a tree of depth \(depth)") }
    guard let root else { return [] }
    let tree = Tree(kind: kind, recordSize: size, nodeSize: nodeSize, depth: depth)
    var records: [StoredFields] = []
    try collect(tree, root, count: rootCount, level: depth, into: &records)
    guard records.count == total else { throw header.refusal("a tree with another number of records") }
    return records
  }

  /// Sizes that the nodes of a tree have in common.
  private struct Tree {
    let kind: UInt8
    let recordSize: Int
    let nodeSize: Int
    /// Bytes of the number of records in a node.
    let countBytes: Int
    /// Bytes of the number of records below a node, by its level; none in leaves.
    let totalBytes: [Int]
    /// Most records of a node, by its level.
    let limits: [Int]

    init(kind: UInt8, recordSize: Int, nodeSize: Int, depth: Int) {
      self.kind = kind
      self.recordSize = recordSize
      self.nodeSize = nodeSize
      func bytes(_ largest: Int) -> Int { (Int.bitWidth - largest.leadingZeroBitCount - 1) / 8 + 1 }
      // Signature, version, kind and checksum take 10 bytes.
      var limits = [(nodeSize - 10) / recordSize]
      var totals = [limits[0]]
      var totalBytes = [0]
      countBytes = bytes(limits[0])
      for level in 0..<depth {
        let pointer = 8 + countBytes + totalBytes[level]
        limits.append((nodeSize - 10 - pointer) / (recordSize + pointer))
        totals.append((limits[level + 1] + 1) * totals[level] + limits[level + 1])
        totalBytes.append(bytes(totals[level + 1]))
      }
      self.limits = limits
      self.totalBytes = totalBytes
    }
  }

  private func collect(
    _ tree: Tree, _ address: Int, count: Int, level: Int, into found: inout [StoredFields]
  ) throws {
    var node = try block(address, tree.nodeSize)
    try node.expect(signature: level == 0 ? "BTLF" : "BTIN")
    try node.expect([0, tree.kind], "a node of kind \(tree.kind)")
    guard count <= tree.limits[level] else { throw node.refusal("a node of \(count) records") }
    let own = try (0..<count).map { _ in StoredFields(try node.take(tree.recordSize), at: place) }
    guard level > 0 else { return found += own }
    for index in 0...count {
      guard let child = try node.address() else { throw node.refusal("a node leads nowhere") }
      let records = try node.number(tree.countBytes)
      _ = try node.take(tree.totalBytes[level - 1])
      try collect(tree, child, count: records, level: level - 1, into: &found)
      if index < count { found.append(own[index]) }
    }
  }
}
