// Reading and writing whole datasets of numbers.

import CHDF5
import Support
import Tensors

/// What the elements of a dataset are.
public enum HDF5Element: Sendable, Equatable {
  /// Floating point of so many bytes.
  case float(bytes: Int)
  /// Whole numbers of so many bytes.
  case integer(bytes: Int, signed: Bool)
  /// Anything else.
  case other
}

extension HDF5File {
  /// Extents of a dataset, outermost first; a scalar has none.
  public func shape(of path: String) throws -> [Int] { try withDataset(path) { _, shape, _ in shape } }

  /// Element type of a dataset.
  public func element(of path: String) throws -> HDF5Element {
    try withDataset(path) { dataset, _, site in try element(dataset, site) }
  }

  /// All values of a floating-point dataset, row-major.
  /// - Throws: `Failure` 65 if there is no such dataset, its elements are not floating point or it is incomplete.
  public func floats(_ path: String) throws -> (values: [Float], shape: [Int]) {
    try read(path, as: ch5_native_float(), zero: Float(0)) { if case .float = $0 { true } else { false } }
  }

  /// The same in 64 bits.
  public func doubles(_ path: String) throws -> (values: [Double], shape: [Int]) {
    try read(path, as: ch5_native_double(), zero: Double(0)) { if case .float = $0 { true } else { false } }
  }

  /// All values of a dataset of whole numbers, row-major.
  public func integers(_ path: String) throws -> (values: [Int], shape: [Int]) {
    let read: (values: [Int64], shape: [Int]) = try read(path, as: ch5_native_i64(), zero: 0) {
      if case .integer = $0 { true } else { false }
    }
    return (read.values.map { Int($0) }, read.shape)
  }

  /// All values of a dataset of unsigned bytes, row-major.
  public func bytes(_ path: String) throws -> (values: [UInt8], shape: [Int]) {
    try read(path, as: ch5_native_u8(), zero: UInt8(0)) { $0 == .integer(bytes: 1, signed: false) }
  }

  /// A floating-point dataset of at most four axes, in a pool buffer, in the shape it has in the file.
  public func tensor(_ path: String) throws -> Tensor {
    try withDataset(path) { dataset, shape, site in
      guard shape.count <= 4, case .float = try element(dataset, site) else {
        throw site.failure(.badData, "expected floating-point numbers of at most four axes, found \(shape)")
      }
      try checkStored(dataset, shape, site)
      let tensor = Tensor(uninitialized: Shape(shape))
      guard tensor.count > 0 else { return tensor }
      let status = withExtendedLifetime(tensor) {
        H5Dread(dataset, ch5_native_float(), ch5_s_all(), ch5_s_all(), ch5_p_default(), tensor.pointer)
      }
      try site.check(status, "read this dataset")
      return tensor
    }
  }

  /// Writes float32 values, contiguous and little endian; groups above are created.
  public func write(floats values: [Float], shape: [Int], to path: String) throws {
    try values.withUnsafeBytes {
      try writeContiguous($0, shape, path, inFile: ch5_f32le(), inMemory: ch5_native_float(), size: 4)
    }
  }

  /// Writes a tensor's values in its shape, as `write(floats:shape:to:)` does.
  public func write(_ tensor: Tensor, to path: String) throws {
    try withExtendedLifetime(tensor) {
      let bytes = UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * 4)
      try writeContiguous(
        bytes, tensor.shape.array, path, inFile: ch5_f32le(), inMemory: ch5_native_float(), size: 4)
    }
  }

  /// Writes float64 values, contiguous and little endian; groups above are created.
  public func write(doubles values: [Double], shape: [Int], to path: String) throws {
    try values.withUnsafeBytes {
      try writeContiguous($0, shape, path, inFile: ch5_f64le(), inMemory: ch5_native_double(), size: 8)
    }
  }

  /// Writes whole numbers as 64-bit little endian.
  public func write(integers values: [Int], shape: [Int], to path: String) throws {
    try values.map(Int64.init).withUnsafeBytes {
      try writeContiguous($0, shape, path, inFile: ch5_i64le(), inMemory: ch5_native_i64(), size: 8)
    }
  }

  /// Writes unsigned bytes.
  public func write(bytes values: [UInt8], shape: [Int], to path: String) throws {
    try values.withUnsafeBytes {
      try writeContiguous($0, shape, path, inFile: ch5_u8(), inMemory: ch5_native_u8(), size: 1)
    }
  }

  /// Creates a contiguous dataset of float32 little endian, with a text attribute, whose values are to be put into the
  /// image; returns where they lie in the file, or nil if it has none.
  func reserve(shape: [Int], at path: String, attribute name: String, _ text: String) throws -> Int? {
    var place: Int?
    try createContiguous(shape, path, inFile: ch5_f32le()) { dataset, site in
      try createText(text, name, dataset, site)
      let address = H5Dget_offset(dataset)
      place = address == ch5_undefined_address() ? nil : Int(address)
    }
    return place
  }

  private func read<Value>(
    _ path: String, as type: hid_t, zero: Value, accepting: (HDF5Element) -> Bool
  ) throws -> (values: [Value], shape: [Int]) {
    try withDataset(path) { dataset, shape, site in
      let found = try element(dataset, site)
      guard accepting(found) else {
        throw Failure(.badData, "expected elements of type \(Value.self), found \(found)", at: site.place)
      }
      try checkStored(dataset, shape, site)
      var values = [Value](repeating: zero, count: shape.reduce(1, *))
      guard !values.isEmpty else { return (values, shape) }
      let status = values.withUnsafeMutableBytes {
        H5Dread(dataset, type, ch5_s_all(), ch5_s_all(), ch5_p_default(), $0.baseAddress)
      }
      try site.check(status, "read this dataset")
      return (values, shape)
    }
  }

  private func writeContiguous(
    _ bytes: UnsafeRawBufferPointer, _ shape: [Int], _ path: String, inFile: hid_t, inMemory: hid_t, size: Int
  ) throws {
    precondition(shape.reduce(size, *) == bytes.count, "\(bytes.count) bytes for shape \(shape) of \(path)")
    try createContiguous(shape, path, inFile: inFile) { dataset, site in
      guard !bytes.isEmpty else { return }
      try site.check(
        H5Dwrite(dataset, inMemory, ch5_s_all(), ch5_s_all(), ch5_p_default(), bytes.baseAddress),
        "write this dataset")
    }
  }

  private func createContiguous(
    _ shape: [Int], _ path: String, inFile: hid_t, _ body: (hid_t, Site) throws -> Void
  ) throws {
    try perform(path) { file, site in
      let space = try dataspace(shape, site)
      try createGroup(above: path, in: file, site)
      let creation = try site.own(H5Pcreate(ch5_p_dataset_create()), "prepare a dataset", status: .internal, H5Pclose)
      try site.keepNoTimes(creation.raw)
      try site.check(H5Pset_fill_time(creation.raw, H5D_FILL_TIME_NEVER), "prepare a dataset", status: .internal)
      try site.check(H5Pset_alloc_time(creation.raw, H5D_ALLOC_TIME_EARLY), "prepare a dataset", status: .internal)
      let dataset = try site.own(
        H5Dcreate2(file, absolute(path), inFile, space.raw, ch5_p_default(), creation.raw, ch5_p_default()),
        "create this dataset", status: .inputOutput, H5Dclose)
      try body(dataset.raw, site)
    }
  }

  func dataspace(_ shape: [Int], _ site: Site) throws -> Identifier {
    let extents = shape.map(hsize_t.init)
    let raw = shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), extents, nil)
    return try site.own(raw, "describe the shape \(shape)", status: .internal, H5Sclose)
  }

  /// Runs `body` with an open dataset and its extents.
  func withDataset<Result>(_ path: String, _ body: (hid_t, [Int], Site) throws -> Result) throws -> Result {
    try perform(path) { file, site in
      let dataset = try site.own(H5Dopen2(file, absolute(path), ch5_p_default()), "open this dataset", H5Dclose)
      let space = try site.own(H5Dget_space(dataset.raw), "read the shape", H5Sclose)
      return try body(dataset.raw, extents(space.raw, site), site)
    }
  }

  func extents(_ space: hid_t, _ site: Site) throws -> [Int] {
    let rank = try site.check(H5Sget_simple_extent_ndims(space), "read the shape", status: .badData)
    var extents = [hsize_t](repeating: 0, count: Int(rank))
    try site.check(H5Sget_simple_extent_dims(space, &extents, nil), "read the shape", status: .badData)
    return try extents.map { extent in
      guard let extent = Int(exactly: extent) else {
        throw Failure(.badData, "an extent of \(extent) is impossible", at: site.place)
      }
      return extent
    }
  }

  private func element(_ dataset: hid_t, _ site: Site) throws -> HDF5Element {
    let type = try site.own(H5Dget_type(dataset), "read the element type", H5Tclose)
    let bytes = H5Tget_size(type.raw)
    switch H5Tget_class(type.raw) {
    case H5T_FLOAT: return .float(bytes: bytes)
    case H5T_INTEGER: return .integer(bytes: bytes, signed: H5Tget_sign(type.raw) != H5T_SGN_NONE)
    default: return .other
    }
  }

  /// Refuses a contiguous dataset whose values are not all in the file: the library would return zeros for them.
  private func checkStored(_ dataset: hid_t, _ shape: [Int], _ site: Site) throws {
    let type = try site.own(H5Dget_type(dataset), "read the element type", H5Tclose)
    let creation = try site.own(H5Dget_create_plist(dataset), "read the layout", H5Pclose)
    let layout = H5Pget_layout(creation.raw)
    guard layout != H5D_VIRTUAL else {
      throw Failure(.badData, "a virtual dataset; its sources cannot be trusted", at: site.place)
    }
    let bytes = try site.byteCount(shape, Int(H5Tget_size(type.raw)))
    let stored = Int(H5Dget_storage_size(dataset))
    guard layout != H5D_CONTIGUOUS || stored == bytes else {
      throw Failure(.badData, "holds \(stored) bytes of \(bytes); the file is incomplete", at: site.place)
    }
  }
}
