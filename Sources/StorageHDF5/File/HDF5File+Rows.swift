// Datasets that grow row by row, compressed: one chunk per row.

import CHDF5
import Support

extension HDF5File {
  /// Elements of rows.
  enum RowElement {
    /// Unsigned bytes.
    case uint8
    /// Unsigned numbers of two bytes, the low one first, in memory as in the file.
    case uint16

    var type: hid_t { self == .uint8 ? ch5_u8() : ch5_u16le() }
    var size: Int { self == .uint8 ? 1 : 2 }
  }

  /// Creates an empty dataset whose rows have the shape `row`; each row is one compressed chunk.
  func createRows(_ row: [Int], of element: RowElement = .uint8, at path: String, compression: UInt32) throws {
    try createGrowing([1] + row, at: path, type: element.type) { creation, site in
      try site.check(H5Pset_deflate(creation, compression), "compress", status: .internal)
    }
  }

  /// Creates an empty list of whole numbers.
  func createList(at path: String) throws { try createGrowing([1024], at: path, type: ch5_i64le()) { _, _ in } }

  /// Adds a row.
  func appendRow(_ bytes: [UInt8], of element: RowElement = .uint8, to path: String) throws {
    try appendRow(path) { dataset, memory, space, site in
      let status = bytes.withUnsafeBytes {
        H5Dwrite(dataset, element.type, memory, space, ch5_p_default(), $0.baseAddress)
      }
      try site.check(status, "append a row")
    }
  }

  /// Adds a number to a list.
  func append(_ number: Int, to path: String) throws {
    try appendRow(path) { dataset, memory, space, site in
      var value = Int64(number)
      try site.check(H5Dwrite(dataset, ch5_native_i64(), memory, space, ch5_p_default(), &value), "append a number")
    }
  }

  /// The bytes of a row.
  func row(_ index: Int, of path: String, element: RowElement = .uint8) throws -> [UInt8] {
    try withDataset(path) { dataset, shape, site in
      guard index < shape.first ?? 0 else { throw Failure(.badData, "there is no row \(index)", at: site.place) }
      let space = try select(row: index, of: dataset, shape, site)
      let memory = try dataspace([1] + shape.dropFirst(), site)
      var bytes = [UInt8](repeating: 0, count: shape.dropFirst().reduce(element.size, *))
      let status = bytes.withUnsafeMutableBytes {
        H5Dread(dataset, element.type, memory.raw, space.raw, ch5_p_default(), $0.baseAddress)
      }
      try site.check(status, "read row \(index)")
      return bytes
    }
  }

  /// Adds a row that is compressed already, as `storedRow` gives it.
  func appendStoredRow(_ bytes: [UInt8], to path: String) throws {
    try withDataset(path) { dataset, shape, site in
      let count = shape.first ?? 0
      try site.check(H5Dset_extent(dataset, ([count + 1] + shape.dropFirst()).map { hsize_t($0) }), "add a row")
      let start = ([count] + shape.dropFirst().map { _ in 0 }).map { hsize_t($0) }
      let status = bytes.withUnsafeBytes {
        H5Dwrite_chunk(dataset, ch5_p_default(), 0, start, $0.count, $0.baseAddress)
      }
      try site.check(status, "append a compressed row")
    }
  }

  /// A row of this file's own, as it is compressed in it.
  func storedRow(_ index: Int, of path: String) throws -> [UInt8] {
    try withDataset(path) { dataset, shape, site in
      let start = ([index] + shape.dropFirst().map { _ in 0 }).map { hsize_t($0) }
      var size: hsize_t = 0
      try site.check(H5Dget_chunk_storage_size(dataset, start, &size), "find row \(index)")
      var bytes = [UInt8](repeating: 0, count: Int(size))
      var filters: UInt32 = 0
      let status = bytes.withUnsafeMutableBytes {
        H5Dread_chunk(dataset, ch5_p_default(), start, &filters, $0.baseAddress)
      }
      try site.check(status, "read row \(index)")
      guard filters == 0 else { throw Failure(.internal, "row \(index) is not compressed", at: site.place) }
      return bytes
    }
  }

  private func createGrowing(
    _ chunk: [Int], at path: String, type: hid_t, configure: (hid_t, Site) throws -> Void
  ) throws {
    try perform(path) { file, site in
      let chunkExtents: [hsize_t] = chunk.map { hsize_t($0) }
      let row: [hsize_t] = Array(chunkExtents[1...])
      let growing = [ch5_unlimited()] + row
      let space = try site.own(
        H5Screate_simple(Int32(chunk.count), [0] + row, growing), "describe a shape",
        status: .internal, H5Sclose)
      try createGroup(above: path, in: file, site)
      let creation = try site.own(H5Pcreate(ch5_p_dataset_create()), "prepare a dataset", status: .internal, H5Pclose)
      try site.keepNoTimes(creation.raw)
      try site.check(H5Pset_chunk(creation.raw, Int32(chunk.count), chunkExtents), "prepare a dataset")
      try configure(creation.raw, site)
      _ = try site.own(
        H5Dcreate2(file, absolute(path), type, space.raw, ch5_p_default(), creation.raw, ch5_p_default()),
        "create this dataset", status: .internal, H5Dclose)
    }
  }

  private func appendRow(_ path: String, _ write: (hid_t, hid_t, hid_t, Site) throws -> Void) throws {
    try withDataset(path) { dataset, shape, site in
      let count = shape.first ?? 0
      var grown = shape
      grown[0] = count + 1
      try site.check(H5Dset_extent(dataset, grown.map { hsize_t($0) }), "add a row")
      let space = try select(row: count, of: dataset, grown, site)
      let memory = try dataspace([1] + shape.dropFirst(), site)
      try write(dataset, memory.raw, space.raw, site)
    }
  }

  private func select(row: Int, of dataset: hid_t, _ shape: [Int], _ site: Site) throws -> Identifier {
    let space = try site.own(H5Dget_space(dataset), "read the shape", H5Sclose)
    let start = ([row] + shape.dropFirst().map { _ in 0 }).map { hsize_t($0) }
    let count = ([1] + shape.dropFirst()).map { hsize_t($0) }
    try site.check(H5Sselect_hyperslab(space.raw, H5S_SELECT_SET, start, nil, count, nil), "select row \(row)")
    return space
  }
}
