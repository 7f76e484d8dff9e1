// A file of named numbers, as far as code above the file format needs to read it.

/// Arrays of numbers by path, with attributes, whatever the format. Paths are as in `group/name`.
public protocol NumberFile {
  /// Path on disk.
  var path: String { get }

  /// Paths of all arrays, in byte order.
  /// - Throws: `Failure` 65 if the file is damaged.
  func datasets() throws -> [String]

  /// Whether there is an array or group of this path.
  func contains(_ path: String) throws -> Bool

  /// Floating-point values, row-major, and their extents; a scalar has none.
  /// - Throws: `Failure` 65 if there is no such array or its elements are not floating point.
  func floats(_ path: String) throws -> (values: [Float], shape: [Int])

  /// Whole numbers, row-major, and their extents.
  /// - Throws: `Failure` 65 if there is no such array or its elements are no whole numbers.
  func integers(_ path: String) throws -> (values: [Int], shape: [Int])

  /// A text attribute of an array or group ("" is the root); nil if there is none of that name.
  func text(_ attribute: String, of path: String) throws -> String?

  /// A number attribute; nil if there is none of that name.
  func number(_ attribute: String, of path: String) throws -> Double?
}
