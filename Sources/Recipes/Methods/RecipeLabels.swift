// The section of a recipe that says who labels target images.

import Adaptation
import Support

extension Recipe {
  /// Who labels target images, and which labels of a cache count.
  public struct Labels: SettingGroup {
    /// Who labels them.
    public var source = LabelSource.teacher
    /// Folder of the cache that labels are read from.
    public var cache: String?
    /// Cache: share of a class's pixels, the least confident first, whose labels do not count.
    public var quantile = 0.0
    /// Cache: confidence that is enough whatever the quantile.
    public var cap = 1.0
    /// Cache: least confidence of all classes.
    public var threshold = 0.0

    /// Labels by the teacher.
    public init() {}
    /// Shows all settings.
    public mutating func visit(_ settings: inout some SettingVisitor) throws {
      try settings.value("source", &source)
      try settings.path("cache", &cache)
      try settings.value("quantile", &quantile, .from(0, to: 1))
      try settings.value("cap", &cap, .from(0, to: 1))
      try settings.value("threshold", &threshold, .from(0, to: 1))
    }
  }

  /// Whether the run keeps pseudo-labels of its own.
  public var keepsLabels: Bool { teacher.cache && labels.source != .cache }

  /// Throws a `Failure` 65 at the first key about labels that does not fit the others.
  func checkLabels(_ check: RecipeCheck) throws {
    let isCache = labels.source == .cache
    try check.require(
      labels.source == .teacher || labelsTarget(networkConfiguration(classCount: 1)), "labels.source",
      "is \(labels.source.rawValue), but method \(method.name) labels no target image")
    try check.require(
      !isCache || labels.cache != nil, "labels.cache", "is missing; labels.source is cache",
      remedy: "name the folder of a finished labels stage or of apus cache build")
    try check.require(
      !isCache || teacher.refresh == 0, "teacher.refresh", "is \(teacher.refresh), but labels.source is cache",
      remedy: "set it to 0")
    for (key, isGiven) in [
      ("cache", labels.cache != nil), ("quantile", labels.quantile > 0), ("cap", labels.cap < 1),
      ("threshold", labels.threshold > 0),
    ] {
      try check.require(
        isCache || !isGiven, "labels.\(key)", "is given, but labels.source is \(labels.source.rawValue)",
        remedy: "set labels.source to cache")
    }
  }
}
