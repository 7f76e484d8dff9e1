// Tables as sealed HDF5 files.

import Storage
import Support

/// Keeps tables in HDF5 files that any HDF5 program reads: float64 and int64 datasets, attributes on groups.
public struct HDF5TableStore: TableStore {
  private let disk: DurableFile

  /// - Parameter operations: how files are written.
  public init(operations: any FileOperations = SystemFileOperations()) { disk = DurableFile(operations) }

  /// See `TableStore`.
  public func write(_ file: TableFile, to path: String) throws {
    let bytes = file.tables.values.reduce(0) { $0 + 8 * $1.shape.reduce(1, *) }
    let built = try HDF5File(building: path, userBlock: Seal.length, capacity: bytes + (1 << 16))
    for (path, table) in file.tables.sorted(by: { precedesInBytes($0.key, $1.key) }) {
      switch table.values {
      case .numbers(let numbers): try built.write(doubles: numbers, shape: table.shape, to: path)
      case .integers(let integers): try built.write(integers: integers, shape: table.shape, to: path)
      }
    }
    for (group, attributes) in file.attributes.sorted(by: { precedesInBytes($0.key, $1.key) }) {
      try built.createGroup(group)
      for (name, value) in attributes.sorted(by: { precedesInBytes($0.key, $1.key) }) {
        try built.setAttribute(name, of: group, to: HDF5Value(value))
      }
    }
    try built.close()
    guard let image = built.image else { preconditionFailure("a file under construction has an image") }
    try withExtendedLifetime(image) { _ = try disk.write(image.bytes, as: .table, to: path) }
  }

  /// See `TableStore`.
  public func read(_ path: String) throws -> TableFile {
    _ = try Seal.verified(path, .table)
    let stored = try HDF5File(reading: path)
    var file = TableFile()
    for path in try stored.datasets(under: "") {
      switch try stored.element(of: path) {
      case .float:
        let (values, shape) = try stored.doubles(path)
        file.tables[path] = NumberTable(values, shape)
      case .integer:
        let (values, shape) = try stored.integers(path)
        file.tables[path] = NumberTable(values, shape)
      case .other: throw Failure(.badData, "\(path) holds no numbers", at: stored.path)
      }
    }
    let groups = [""] + (try stored.entries(of: "").filter { $0.kind == .group }.map(\.name))
    for group in groups {
      file.attributes[group] = try stored.attributes(of: group).compactMapValues(\.asTableAttribute)
    }
    return file
  }
}

extension HDF5Value {
  fileprivate init(_ attribute: TableFile.Attribute) {
    switch attribute {
    case .text(let text): self = .text(text)
    case .integer(let integer): self = .integer(integer)
    case .number(let number): self = .number(number)
    }
  }

  fileprivate var asTableAttribute: TableFile.Attribute? {
    switch self {
    case .text(let text): .text(text)
    case .integer(let integer): .integer(integer)
    case .number(let number): .number(number)
    case .texts, .integers, .numbers: nil
    }
  }
}
