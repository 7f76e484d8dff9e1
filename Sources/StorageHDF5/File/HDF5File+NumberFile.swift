// An HDF5 file as a file of named numbers.

import Storage

extension HDF5File: NumberFile {
  /// Paths of all datasets, in byte order.
  public func datasets() throws -> [String] { try datasets(under: "") }

  /// A text attribute; nil if there is none of that name or it is no text.
  public func text(_ attribute: String, of path: String) throws -> String? {
    try self.attribute(attribute, of: path)?.text
  }

  /// A number attribute; nil if there is none of that name or it is no number.
  public func number(_ attribute: String, of path: String) throws -> Double? {
    try self.attribute(attribute, of: path)?.number
  }
}
