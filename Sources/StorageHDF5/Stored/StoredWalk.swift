// One walk over a whole file: every object is visited once, every block counted, every message known.

import Support

/// What is known about a group or dataset.
struct StoredObject {
  var attributes: [String: HDF5Value] = [:]
  var dataset: StoredDataset?
}

/// What the messages of an object say together.
private struct ObjectParts {
  var attributes: [String: HDF5Value] = [:]
  var links: [String: StoredLink] = [:]
  var dataset = DatasetParts()
  var isGroup = false

  mutating func addLink(_ fields: inout StoredFields) throws {
    let (name, link) = try StoredLink.read(&fields)
    guard links.updateValue(link, forKey: name) == nil else { throw fields.refusal("two links are called \(name)") }
  }

  mutating func addAttribute(_ fields: inout StoredFields) throws {
    let (name, value) = try storedAttribute(&fields)
    guard attributes.updateValue(value, forKey: name) == nil else {
      throw fields.refusal("two attributes are called \(name)")
    }
  }
}

/// Visits the objects of a file.
struct StoredWalk {
  private(set) var objects: [String: StoredObject] = [:]
  private(set) var outside: [String: (file: String, path: String)] = [:]
  private let file: RegularFile
  private let blocks: StoredBlocks
  private let root: Int
  /// Addresses of objects that were read.
  private var seen: Set<Int> = []
  /// Groups within groups.
  private static let deepest = 8

  /// Reads the superblock.
  init(_ file: RegularFile) throws {
    self.file = file
    blocks = StoredBlocks(file, base: Seal.length)
    var superblock = try blocks.block(0, 48)
    try superblock.expect([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a], "HDF5 behind the user block")
    let version = try superblock.number(1)
    try superblock.expect([8, 8], "addresses of 8 bytes")
    let flags = try superblock.number(1)
    // The flags say that it was open for writing when its bytes were copied out: they are complete all the same.
    guard version == 2 || version == 3, flags & ~5 == 0, try superblock.number(8) == Seal.length else {
      throw superblock.refusal("a superblock of version \(version)")
    }
    let more = try superblock.address()
    _ = try superblock.take(8)
    guard more == nil, let root = try superblock.address() else { throw superblock.refusal("an extended superblock") }
    self.root = root
  }

  /// The attributes of the root alone, of a file whose datasets are nobody's business.
  mutating func visitRoot() throws -> [String: HDF5Value] {
    _ = try visit("", root)
    return objects[""]?.attributes ?? [:]
  }

  /// Visits everything from the root on.
  mutating func visitAll() throws {
    var pending = [(path: "", address: root, depth: 0)]
    while let (path, address, depth) = pending.popLast() {
      blocks.place = "\(file.path):/\(path)"
      guard depth <= StoredWalk.deepest else { throw notOfTheFormat("too many groups in groups", at: blocks.place) }
      for (name, link) in try visit(path, address) {
        let child = path.isEmpty ? name : "\(path)/\(name)"
        switch link {
        case .object(let address): pending.append((child, address, depth + 1))
        case .outside(let file, let path): outside[child] = (file, path)
        }
      }
    }
  }

  /// Reads one object and returns its links.
  private mutating func visit(_ path: String, _ address: Int) throws -> [String: StoredLink] {
    guard seen.insert(address).inserted else {
      throw notOfTheFormat("two names lead to the same object", at: blocks.place)
    }
    var parts = ObjectParts()
    for (kind, message) in try blocks.messages(ofObjectAt: address) {
      var fields = message
      switch kind {
      // Nothing; fill values, old and new; hints about groups: none says where anything lies.
      case 0x00, 0x04, 0x05, 0x0a: continue
      case 0x01: parts.dataset.shape = try StoredShape(&fields)
      case 0x03: parts.dataset.type = try StoredType(&fields)
      case 0x08: parts.dataset.layout = fields
      case 0x0b: parts.dataset.filters = fields
      case 0x02:
        parts.isGroup = true
        for var link in try dense(&fields, kind: 5, recordSize: 11, identifier: 4..<11) { try parts.addLink(&link) }
      case 0x06: try parts.addLink(&fields)
      case 0x0c: try parts.addAttribute(&fields)
      case 0x15:
        for var attribute in try dense(&fields, kind: 8, recordSize: 17, identifier: 0..<8) {
          try parts.addAttribute(&attribute)
        }
      default: throw fields.refusal("it has messages of kind \(kind)")
      }
    }
    guard parts.isGroup != (parts.dataset.layout != nil), parts.isGroup || parts.links.isEmpty else {
      throw notOfTheFormat("an object that is neither group nor dataset", at: blocks.place)
    }
    objects[path] = StoredObject(
      attributes: parts.attributes, dataset: parts.isGroup ? nil : try parts.dataset.dataset(blocks))
    return parts.links
  }

  /// The links or attributes that an object keeps in a heap, from the message that leads there.
  private func dense(
    _ fields: inout StoredFields, kind: UInt8, recordSize: Int, identifier: Range<Int>
  ) throws -> [StoredFields] {
    try fields.expect([0], "an index of version 0")
    let flags = try fields.number(1)
    // The largest order of creation so far: 8 bytes for links, 2 for attributes.
    if flags & 1 != 0 { _ = try fields.take(kind == 5 ? 8 : 2) }
    guard let heapAddress = try fields.address() else { return [] }
    guard let tree = try fields.address() else { throw fields.refusal("a heap without an index") }
    var heap = try StoredHeap(blocks, at: heapAddress)
    return try blocks.records(ofTreeAt: tree, kind: kind, size: recordSize).map { record in
      var record = record
      let bytes = try record.take(recordSize)
      // Messages of attributes may be shared by objects; ours are not.
      if kind == 8, bytes[bytes.startIndex + 8] & 0x02 != 0 { throw record.refusal("an object shares a message") }
      return try heap.object(bytes.dropFirst(identifier.lowerBound).prefix(identifier.count))
    }
  }
}
