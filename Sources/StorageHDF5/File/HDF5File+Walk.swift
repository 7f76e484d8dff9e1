// Files of numbers, which other programs write: one walk before anything is read lets the HDF5 library open no other
// file, follow no circle, and hold no more memory than the file justifies. It is no defence against metadata made to
// crash the library itself; files that travel are read without it (StoredFile.swift).

import CHDF5
import Support

extension HDF5File {
  /// Groups within groups, and bytes of a name.
  private static let (deepest, longestName) = (8, 1024)
  /// Most attributes of an object.
  private static let mostAttributes = 256
  /// Filters that the library itself brings and that read nothing but their chunk.
  private static let filters = [H5Z_FILTER_DEFLATE, H5Z_FILTER_SHUFFLE, H5Z_FILTER_FLETCHER32]
  /// Deflate makes nothing smaller than by this factor.
  private static let mostCompression = 1032

  /// Visits every object once.
  /// - Parameter count: bytes of the file.
  /// - Throws: `Failure` 65 naming the object that is more than a plain group or dataset.
  func refuseAllButPlain(_ count: Int) throws {
    var seen: Set<haddr_t> = []
    var pending = [(path: "", depth: 0)]
    var stored = 0
    while let (group, depth) = pending.popLast() {
      for (name, address) in try links(of: group) {
        let path = group.isEmpty ? name : "\(group)/\(name)"
        func refusal(_ what: String) -> Failure { Failure(.badData, what, at: "\(self.path):/\(path)") }
        guard name.utf8.count <= HDF5File.longestName else { throw Failure(.badData, "too long a name", at: self.path) }
        guard address != ch5_undefined_address() else { throw refusal("expected an object, found a link elsewhere") }
        guard seen.insert(address).inserted else { throw refusal("two names lead to the same object") }
        guard depth < HDF5File.deepest else { throw refusal("too many groups in groups") }
        switch try plainKind(path, count, &stored) {
        case .group: pending.append((path, depth + 1))
        case .dataset: continue
        case .other: throw refusal("neither group nor dataset")
        }
      }
    }
  }

  /// Names in a group with the addresses of their objects, undefined for anything but hard links.
  private func links(of group: String) throws -> [(name: String, address: haddr_t)] {
    try perform(group) { file, site in
      let opened = try site.own(H5Gopen2(file, absolute(group), ch5_p_default()), "open this group", H5Gclose)
      return try eachLink(of: opened.raw, site)
    }
  }

  /// Checks an object besides its links; adds what it stores.
  private func plainKind(_ path: String, _ count: Int, _ stored: inout Int) throws -> Kind {
    try perform(path) { file, site in
      let object = try site.own(H5Oopen(file, absolute(path), ch5_p_default()), "open this object", H5Oclose)
      let attributes = try site.check(H5Aget_num_attrs(object.raw), "count the attributes", status: .badData)
      guard attributes <= HDF5File.mostAttributes else { throw site.failure(.badData, "\(attributes) attributes") }
      switch H5Iget_type(object.raw) {
      case H5I_GROUP: return .group
      case H5I_DATASET: stored += try plainBytes(object.raw, count, site)
      default: return .other
      }
      guard stored <= count else { throw site.failure(.badData, "it claims more bytes than the file has") }
      return .dataset
    }
  }

  /// Bytes that a dataset stores in the file.
  private func plainBytes(_ dataset: hid_t, _ count: Int, _ site: Site) throws -> Int {
    let creation = try site.own(H5Dget_create_plist(dataset), "read the layout", H5Pclose)
    guard H5Pget_external_count(creation.raw) == 0 else {
      throw Failure(.badData, "its values are in another file", at: site.place)
    }
    let layout = H5Pget_layout(creation.raw)
    guard [H5D_COMPACT, H5D_CONTIGUOUS, H5D_CHUNKED].contains(layout) else {
      throw Failure(.badData, "a virtual dataset; its sources cannot be trusted", at: site.place)
    }
    for number in 0..<UInt32(max(0, H5Pget_nfilters(creation.raw))) {
      let filter = H5Pget_filter2(creation.raw, number, nil, nil, nil, 0, nil, nil)
      guard HDF5File.filters.contains(filter) else {
        throw Failure(.badData, "filter \(filter) is unknown", at: site.place)
      }
    }
    let type = try site.own(H5Dget_type(dataset), "read the element type", H5Tclose)
    let space = try site.own(H5Dget_space(dataset), "read the shape", H5Sclose)
    let size = Int(H5Tget_size(type.raw))
    let shape = try extents(space.raw, site)
    let storage = H5Dget_storage_size(dataset)
    guard let stored = Int(exactly: storage), stored <= count else {
      throw Failure(.badData, "it claims \(storage) bytes of a file of \(count)", at: site.place)
    }
    var extents = [shape]
    if layout == H5D_CHUNKED {
      var chunk = [hsize_t](repeating: 0, count: shape.count)
      try site.check(H5Pget_chunk(creation.raw, Int32(shape.count), &chunk), "read the layout", status: .badData)
      extents.append(chunk.map { Int($0) })
    }
    for extents in extents {
      let bytes = try site.byteCount(extents, size)
      guard bytes <= max(stored * HDF5File.mostCompression, 1 << 20) else {
        throw Failure(.badData, "it claims \(bytes) bytes and has \(stored)", at: site.place)
      }
    }
    return stored
  }
}

extension Site {
  /// Bytes of an array.
  /// - Throws: `Failure` 65 if there cannot be as many.
  func byteCount(_ extents: [Int], _ size: Int) throws -> Int {
    let (bytes, overflow) = extents.reduce((size, false)) { product, extent in
      let next = product.0.multipliedReportingOverflow(by: max(extent, 1))
      return (next.partialValue, product.1 || next.overflow)
    }
    guard !overflow else { throw Failure(.badData, "the shape \(extents) is impossible", at: place) }
    return extents.contains(0) ? 0 : bytes
  }
}
