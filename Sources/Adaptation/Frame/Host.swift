// The four ways in which a method trains: which passes a step has, and which domains it looks at.

/// What every step of a method does besides its objectives.
public enum Host: String, Sendable, CaseIterable {
  /// One pass over labelled source images.
  case sourceOnly = "source-only"
  /// A pass over source images and one over target images, which objectives bring nearer to each other.
  case adversarial
  /// A pass over source images and one over target images that are mixed with them and labelled by the teacher.
  case selfTraining = "self-training"
  /// One pass over target images, mixed among themselves or as they are; there is no source.
  case sourceFree = "source-free"

  /// Names of its passes, in their order.
  public var passes: [String] {
    switch self {
    case .sourceOnly: ["source"]
    case .adversarial: ["source", "target"]
    case .selfTraining: ["source", "mixed"]
    case .sourceFree: ["mixed"]
    }
  }

  /// Whether it learns from labelled source images.
  public var hasSource: Bool { self != .sourceFree }
  /// Whether it learns from target images.
  public var hasTarget: Bool { self != .sourceOnly }
  /// Whether target images must be labelled before its passes run.
  public var needsLabels: Bool { passes.contains("mixed") }
}
