// What a comparison found, one item for each dataset compared.

/// One compared dataset.
public struct VerifiedItem: Sendable, Equatable {
  /// Path of the dataset.
  public let name: String
  /// Largest absolute difference; infinite where the result is not finite or has another number of elements.
  public let maxAbs: Double
  /// `maxAbs` divided by the largest magnitude of the reference.
  public let maxRel: Double
  /// The error divided by the allowed one: at most 1 is a pass.
  public let timesAllowed: Double
  /// Index of the worst element, one number for each axis of the file; none for a scalar.
  public let at: [Int]
  /// Whether the item is within tolerance.
  public let ok: Bool
  /// What else there is to say.
  public let note: String
}

/// The items of one file.
public struct VerifiedFile: Sendable, Equatable {
  /// Path of the file, as given.
  public let file: String
  /// Its items, in the order of comparison.
  public let items: [VerifiedItem]

  /// Makes a file's outcome.
  public init(file: String, items: [VerifiedItem]) {
    self.file = file
    self.items = items
  }
}

extension VerifiedItem: Encodable {
  private enum Key: String, CodingKey { case name, maxAbs, maxRel, timesAllowed, at, ok, note }

  /// As JSON, which has no infinity: the largest finite number stands for it.
  public func encode(to encoder: any Encoder) throws {
    var item = encoder.container(keyedBy: Key.self)
    try item.encode(name, forKey: .name)
    try item.encode(min(maxAbs, .greatestFiniteMagnitude), forKey: .maxAbs)
    try item.encode(min(maxRel, .greatestFiniteMagnitude), forKey: .maxRel)
    try item.encode(min(timesAllowed, .greatestFiniteMagnitude), forKey: .timesAllowed)
    try item.encode(at, forKey: .at)
    try item.encode(ok, forKey: .ok)
    if !note.isEmpty { try item.encode(note, forKey: .note) }
  }
}

extension VerifiedFile: Encodable {}
