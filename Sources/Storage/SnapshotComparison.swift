// How far two snapshots are apart, tensor by tensor.

import Tensors

/// How one tensor of two snapshots differs.
public struct TensorDifference: Codable, Sendable, Equatable {
  /// Path of the tensor, such as `student/backbone.patch_embed1.proj.weight`.
  public let name: String
  /// Largest absolute difference; nil where shapes differ, one side lacks the tensor, or a value is not finite and
  /// differs.
  public let maxAbs: Double?
  /// `maxAbs` divided by the largest magnitude of either side; nil like `maxAbs`.
  public let maxRel: Double?
  /// Largest distance in representable Float32 values, where -0 and 0 are neighbours; nil like `maxAbs`. 0 means equal
  /// bits.
  public let ulp: Int?
  /// Why nothing could be computed, such as `only in the first`; nil where it could.
  public let note: String?

  /// Writes every key, null where there is no number.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(maxAbs, forKey: .maxAbs)
    try container.encode(maxRel, forKey: .maxRel)
    try container.encode(ulp, forKey: .ulp)
    try container.encodeIfPresent(note, forKey: .note)
  }

  /// Whether the tensors have equal bits.
  public var isIdentical: Bool { ulp == 0 }
}

/// Differences of two snapshots' tensors. Run descriptions are not compared: two world sizes may hold equal states.
public struct SnapshotComparison: Codable, Sendable, Equatable {
  /// Whether both hold the same tensors with equal bits.
  public let identical: Bool
  /// One entry per tensor of either side, in byte order.
  public let tensors: [TensorDifference]

  /// Compares two snapshots, or the parts of them below some groups.
  public init(_ first: Snapshot, _ second: Snapshot) {
    var differences: [TensorDifference] = []
    var i = 0
    var j = 0
    while i < first.records.count || j < second.records.count {
      let a = i < first.records.count ? first.records[i] : nil
      let b = j < second.records.count ? second.records[j] : nil
      if let a, let b, a.path == b.path {
        differences.append(SnapshotComparison.compare(a, b))
        (i, j) = (i + 1, j + 1)
      } else if let a, b.map({ a.path.utf8.lexicographicallyPrecedes($0.path.utf8) }) ?? true {
        differences.append(SnapshotComparison.incomparable(a.path, "only in the first"))
        i += 1
      } else if let b {
        differences.append(SnapshotComparison.incomparable(b.path, "only in the second"))
        j += 1
      }
    }
    tensors = differences
    identical = differences.allSatisfy(\.isIdentical)
  }

  private static func incomparable(_ path: String, _ note: String) -> TensorDifference {
    TensorDifference(name: path, maxAbs: nil, maxRel: nil, ulp: nil, note: note)
  }

  private static func compare(_ first: Snapshot.Record, _ second: Snapshot.Record) -> TensorDifference {
    guard first.shape == second.shape else {
      return incomparable(first.path, "shapes \(first.shape) and \(second.shape)")
    }
    var difference = 0.0
    var scale = 0.0
    var distance = 0
    for (a, b) in zip(first.values.values, second.values.values) {
      scale = max(scale, a.isFinite ? Double(a.magnitude) : 0, b.isFinite ? Double(b.magnitude) : 0)
      guard a.bitPattern != b.bitPattern else { continue }
      guard a.isFinite, b.isFinite else { return incomparable(first.path, "\(a) against \(b)") }
      difference = max(difference, abs(Double(a) - Double(b)))
      distance = max(distance, abs(ordinal(a) - ordinal(b)))
    }
    return TensorDifference(
      name: first.path, maxAbs: difference, maxRel: difference == 0 ? 0 : difference / scale, ulp: distance, note: nil)
  }

  /// Floats in numeric order as consecutive whole numbers; -0 is -1 and 0 is 0.
  private static func ordinal(_ value: Float) -> Int {
    let magnitude = Int(value.bitPattern & 0x7fff_ffff)
    return value.sign == .minus ? -magnitude - 1 : magnitude
  }
}
