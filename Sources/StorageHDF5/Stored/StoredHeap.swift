// Fractal heaps (HDF5 file format 3.0, III.G), in the one layout that groups and attributes have.

import Support

/// The objects of a heap, by their identifiers.
struct StoredHeap {
  /// Bytes of an object's place in the heap.
  private let offsetBytes: Int
  /// Blocks with objects: first place in the heap, and the bytes.
  private var blocks: [(start: Int, bytes: [UInt8])] = []
  /// Bytes of blocks that no object has taken yet: objects do not overlap.
  private var untaken = 0
  /// Objects too large for blocks: address and length, by number.
  private var huge: [Int: (address: Int, count: Int)] = [:]
  private let identifierBytes: Int
  private let file: StoredBlocks

  /// Bytes of the blocks in the first row of a table: 512 in heaps of links, 1024 in those of attributes.
  private let firstBlock: Int

  // As the library lays out all heaps of links and attributes.
  private static let width = 4
  private static let largestBlock = 64 << 10

  init(_ file: StoredBlocks, at address: Int) throws {
    self.file = file
    var header = try file.block(address, 146)
    try header.expect(signature: "FRHP")
    try header.expect([0], "a heap of version 0")
    identifierBytes = try header.number(2)
    try header.expect([0, 0], "a heap without filters")
    let flags = try header.number(1)
    let largestObject = try header.number(4)
    _ = try header.take(8)
    let hugeTree = try header.address()
    // Free space, and counts of what is managed, huge and tiny.
    _ = try header.take(80)
    let form = try [2, 8, 8, 2].map { try header.number($0) }
    _ = try header.take(2)
    let root = try header.address()
    let rows = try header.number(2)
    guard largestObject == 4096, (7...8).contains(identifierBytes), form[0] == StoredHeap.width,
      form[1] == 512 || form[1] == 1024, form[2] == StoredHeap.largestBlock, form[3] == 32 || form[3] == 40,
      flags & ~2 == 0, rows <= 30
    else { throw header.refusal("a heap of another form") }
    firstBlock = form[1]
    offsetBytes = form[3] / 8
    let prefix = 13 + offsetBytes + (flags & 2 == 0 ? 0 : 4)
    if let hugeTree {
      for var record in try file.records(ofTreeAt: hugeTree, kind: 1, size: 24) {
        guard let place = try record.address() else { throw record.refusal("an object without a place") }
        let count = try record.number(8)
        huge[try record.number(8)] = (place, count)
      }
    }
    guard let root else { return }
    if rows == 0 {
      try addBlock(root, firstBlock, at: 0, prefix: prefix)
    } else {
      try addTable(root, rows: rows, at: 0, prefix: prefix)
    }
  }

  private mutating func addBlock(_ address: Int, _ count: Int, at start: Int, prefix: Int) throws {
    var fields = try file.block(address, count)
    let bytes = Array(try fields.take(count))
    var head = StoredFields(bytes.prefix(prefix), at: file.place)
    try head.expect(signature: "FHDB")
    try head.expect([0], "a heap block of version 0")
    blocks.append((start, bytes))
    untaken += count
  }

  /// A table of blocks: rows of `width`, each row's blocks twice as large as those of the row before, but the second's.
  private mutating func addTable(_ address: Int, rows: Int, at start: Int, prefix: Int) throws {
    guard rows <= 30 else { throw notOfTheFormat("a heap of \(rows) rows", at: file.place) }
    var table = try file.block(address, 13 + offsetBytes + rows * StoredHeap.width * 8 + 4)
    try table.expect(signature: "FHIB")
    try table.expect([0], "a heap table of version 0")
    _ = try table.take(8 + offsetBytes)
    var place = start
    for row in 0..<rows {
      let size = firstBlock << max(0, row - 1)
      for _ in 0..<StoredHeap.width {
        defer { place += size }
        guard let child = try table.address() else { continue }
        if size <= StoredHeap.largestBlock {
          try addBlock(child, size, at: place, prefix: prefix)
        } else {
          // A further table covers as much as its place in this one.
          let covered = size.trailingZeroBitCount - (firstBlock * StoredHeap.width).trailingZeroBitCount
          try addTable(child, rows: covered + 1, at: place, prefix: prefix)
        }
      }
    }
  }

  /// The object of an identifier; each is asked for once.
  mutating func object(_ identifier: ArraySlice<UInt8>) throws -> StoredFields {
    var fields = StoredFields(identifier, at: file.place)
    switch try fields.number(1) {
    case 0x00:
      let (place, count) = (try fields.number(offsetBytes), try fields.number(2))
      untaken -= count
      guard let block = block(holding: place), place - block.start <= block.bytes.count - count, untaken >= 0 else {
        throw fields.refusal("an object outside its heap")
      }
      return StoredFields(block.bytes[(place - block.start)...].prefix(count), at: file.place)
    case 0x10:
      guard let found = huge[try fields.number(identifierBytes - 1)] else { throw fields.refusal("a lost object") }
      return try file.block(found.address, found.count)
    default: throw fields.refusal("an object in a heap's identifier")
    }
  }

  /// The last block that begins at a place or before it.
  private func block(holding place: Int) -> (start: Int, bytes: [UInt8])? {
    var (low, high) = (0, blocks.count)
    while low < high {
      let middle = (low + high) / 2
      if blocks[middle].start <= place { low = middle + 1 } else { high = middle }
    }
    return low > 0 ? blocks[low - 1] : nil
  }
}
