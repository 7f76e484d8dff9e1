// Arrays of numbers with attributes, as one value: what a measurement leaves behind, whatever the format on disk.

/// An array of numbers, row-major.
public struct NumberTable: Sendable, Equatable {
  /// Values of either kind.
  public enum Values: Sendable, Equatable {
    /// 64-bit floating point.
    case numbers([Double])
    /// 64-bit whole numbers.
    case integers([Int])
  }

  /// Extents, outermost first.
  public let shape: [Int]
  /// As many as the extents say.
  public let values: Values

  /// Floating-point numbers.
  /// - Precondition: as many as `shape` says.
  public init(_ numbers: [Double], _ shape: [Int]) {
    precondition(shape.reduce(1, *) == numbers.count, "\(numbers.count) numbers of shape \(shape)")
    self.shape = shape
    values = .numbers(numbers)
  }

  /// Whole numbers.
  /// - Precondition: as many as `shape` says.
  public init(_ integers: [Int], _ shape: [Int]) {
    precondition(shape.reduce(1, *) == integers.count, "\(integers.count) numbers of shape \(shape)")
    self.shape = shape
    values = .integers(integers)
  }

  /// The values, if they are floating point.
  public var numbers: [Double]? { if case .numbers(let numbers) = values { numbers } else { nil } }
  /// The values, if they are whole.
  public var integers: [Int]? { if case .integers(let integers) = values { integers } else { nil } }
}

/// The contents of a file of tables.
public struct TableFile: Sendable, Equatable {
  /// An attribute.
  public enum Attribute: Sendable, Equatable {
    /// Text of at most 60 000 bytes.
    case text(String)
    /// A whole number.
    case integer(Int)
    /// A floating-point number.
    case number(Double)

    /// The text, if it is one.
    public var text: String? { if case .text(let text) = self { text } else { nil } }
    /// The whole number, if it is one.
    public var integer: Int? { if case .integer(let integer) = self { integer } else { nil } }
    /// The number, whole or not.
    public var number: Double? {
      switch self {
      case .text: nil
      case .integer(let integer): Double(integer)
      case .number(let number): number
      }
    }
  }

  /// Attributes by group ("" is the root) and name.
  public var attributes: [String: [String: Attribute]] = [:]
  /// Tables by path, such as `steps/seconds`.
  public var tables: [String: NumberTable] = [:]

  /// Nothing yet.
  public init() {}
}

/// Where tables are kept. A file is either complete or not there.
public protocol TableStore: Sendable {
  /// Writes a file, which takes the place of one of that name.
  /// - Throws: `Failure` 73 if it cannot be made, 74 if the disk has no room or writing fails; what was there stays.
  func write(_ file: TableFile, to path: String) throws

  /// Reads a file and proves that it is as it was written.
  /// - Throws: `Failure` 66 if there is none, 65 if it is damaged or another program's, 74 if it cannot be read.
  func read(_ path: String) throws -> TableFile
}
