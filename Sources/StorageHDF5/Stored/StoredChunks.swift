// Where the values of a dataset lie: one stretch, or chunks in a tree, compressed by deflate or not at all.

import CHDF5
import Support

/// What the header of a dataset says.
struct DatasetParts {
  var shape: StoredShape?
  var type: StoredType?
  var layout: StoredFields?
  var filters: StoredFields?

  /// Deflate makes nothing smaller than by this factor.
  private static let mostCompression = 1032

  /// The dataset, all of whose values are in the file.
  func dataset(_ blocks: StoredBlocks) throws -> StoredDataset {
    guard let shape, let type, var layout else { throw notOfTheFormat("a dataset without a shape", at: blocks.place) }
    let (bytes, overflow) = shape.count.multipliedReportingOverflow(by: type.size)
    guard !overflow else { throw layout.refusal("the shape \(shape.extents)") }
    try layout.expect([3], "a layout of version 3")
    switch try layout.number(1) {
    case 1:
      let address = try layout.address()
      guard filters == nil, try layout.number(8) == bytes, address != nil || bytes == 0 else {
        throw layout.refusal("not all of its values are in the file")
      }
      let place = try blocks.claim(address ?? 0, bytes)
      return StoredDataset(shape: shape.extents, type: type, layout: .contiguous(place))
    case 2:
      let chunks = try chunks(&layout, shape, type, blocks)
      return StoredDataset(shape: shape.extents, type: type, layout: chunks)
    default: throw layout.refusal("its values are neither in one place nor in chunks")
    }
  }

  private func chunks(
    _ layout: inout StoredFields, _ shape: StoredShape, _ type: StoredType, _ blocks: StoredBlocks
  ) throws -> StoredLayout {
    let isCompressed = try isDeflated()
    let rank = shape.extents.count
    guard rank > 0, try layout.number(1) == rank + 1 else { throw layout.refusal("chunks of other axes") }
    let root = try layout.address()
    let extents = try (0...rank).map { _ in try layout.number(4) }
    let (rows, row) = (extents[0], Array(extents[1..<rank]))
    guard rows > 0, row == Array(shape.extents[1...]), !row.contains(0), extents[rank] == type.size else {
      throw layout.refusal("chunks of shape \(extents)")
    }
    let (chunkBytes, overflow) = extents.reduce((1, false)) { product, extent in
      let next = product.0.multipliedReportingOverflow(by: extent)
      return (next.partialValue, product.1 || next.overflow)
    }
    guard !overflow, chunkBytes <= 1 << 40 else { throw layout.refusal("chunks of shape \(extents)") }
    let index = ChunkIndex(blocks: blocks, rank: rank, rows: rows, chunkBytes: chunkBytes, isCompressed: isCompressed)
    let found = try root.map { try index.chunks(ofNodeAt: $0) } ?? []
    // In order, the first at the start and none left out.
    guard found.count == (shape.extents[0] + rows - 1) / rows,
      zip(found, found.indices).allSatisfy({ $0.row == $1 * rows })
    else { throw layout.refusal("not all of its values are in the file") }
    return .chunks(found.map { ($0.place, $0.count) }, rows: rows, isCompressed: isCompressed)
  }

  private func isDeflated() throws -> Bool {
    guard var filters else { return false }
    try filters.expect([2, 1, 1, 0], "deflate as the only filter")
    return true
  }

  /// The tree of chunks (version 1 B-tree, III.A.1).
  private struct ChunkIndex {
    let blocks: StoredBlocks
    let rank: Int
    let rows: Int
    let chunkBytes: Int
    let isCompressed: Bool

    /// The chunks below a node, by their first rows.
    func chunks(
      ofNodeAt address: Int, level expected: Int? = nil
    ) throws -> [(row: Int, place: Int, count: Int)] {
      var head = try blocks.block(address, 24)
      try head.expect(signature: "TREE")
      try head.expect([1], "a tree of chunks")
      let level = try head.number(1)
      let count = try head.number(2)
      guard level == expected ?? level, level < 8 else { throw head.refusal("a tree of level \(level)") }
      var rest = try blocks.block(address + 24, count * (16 + 8 * (rank + 1)))
      var found: [(row: Int, place: Int, count: Int)] = []
      for _ in 0..<count {
        let bytes = try rest.number(4)
        let skippedFilters = try rest.number(4)
        let start = try (0...rank).map { _ in try rest.number(8) }
        guard let child = try rest.address(), start.dropFirst().allSatisfy({ $0 == 0 }) else {
          throw rest.refusal("a chunk out of place")
        }
        guard level == 0 else {
          found += try chunks(ofNodeAt: child, level: level - 1)
          continue
        }
        guard skippedFilters == 0,
          isCompressed ? bytes >= (chunkBytes - 1) / DatasetParts.mostCompression : bytes == chunkBytes
        else { throw rest.refusal("a chunk of \(bytes) bytes") }
        found.append((start[0], try blocks.claim(child, bytes), bytes))
      }
      return found
    }
  }
}

/// What deflated bytes hold.
/// - Throws: `Failure` 65 if they are damaged or do not hold exactly `count` bytes.
func inflated(_ bytes: [UInt8], count: Int, at place: String) throws -> [UInt8] {
  try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
    var length = uLongf(count)
    let status = bytes.withUnsafeBufferPointer {
      uncompress(buffer.baseAddress, &length, $0.baseAddress, uLong($0.count))
    }
    guard status == Z_OK, length == count else {
      throw Failure(.badData, "a compressed row does not hold \(count) bytes", at: place)
    }
    filled = count
  }
}
