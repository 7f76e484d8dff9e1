// How a study is run: controls, repetitions, order, what spoils a launch, what is held out, what ratios are of.

import Recipes
import Support

/// What is measured besides, to tell causes apart.
public struct StudyControls: SettingGroup {
  /// Unlinked copies of one rank's work at once: what a full host costs without any message.
  public var copies = true
  /// Messages and sums by their size, on every number of ranks that is measured.
  public var links = true
  /// Saving and loading the state of a run in the folder of the study.
  public var storage = true

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("copies", &copies)
    try settings.value("links", &links)
    try settings.value("storage", &storage)
  }
}

/// How often cells are launched.
public struct StudyRepeat: SettingGroup {
  /// Launches of a measured cell in any case.
  public var least = 6
  /// Launches of a measured cell at most.
  public var most = 30
  /// A cell has enough launches once half of its interval is this share of its median.
  public var halfWidth = 0.02
  /// Hours of launches after which no further block begins.
  public var hours = 6.0
  /// Launches of a functional cell: they show that the bits agree, and are no measurement.
  public var functional = 2

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("least", &least, .from(1, to: 10_000))
    try settings.value("most", &most, .from(1, to: 10_000))
    try settings.value("halfWidth", &halfWidth, .above(0))
    try settings.value("hours", &hours, .above(0))
    try settings.value("functional", &functional, .from(0, to: 10_000))
  }
}

/// The order of launches.
public struct StudyOrder: SettingGroup {
  /// Seed of the permutations.
  public var seed: UInt64 = 1

  /// The default.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws { try settings.value("seed", &seed) }
}

/// What spoils a launch: never its value, always a cause.
public struct StudyLimits: SettingGroup {
  /// Share of the cores' time that the machine below took away during the steps.
  public var steal = 0.01
  /// Share of the cores' time that other programs used during the steps.
  public var foreign = 0.05

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("steal", &steal, .from(0, to: 1))
    try settings.value("foreign", &foreign, .from(0, to: 1))
  }
}

/// Cells that no model of step times may be fitted to: they are there to test it.
public struct StudyHeldOut: SettingGroup {
  /// Cells of at least so many ranks; nil: none by their ranks.
  public var ranksFrom: Int?
  /// Cells of these benchmark cases.
  public var cases: [String] = []

  /// Nothing is held out.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("ranksFrom", &ranksFrom, .ifGiven(.atLeast(2)))
    try settings.value("cases", &cases)
  }
}

/// What ratios are of.
public struct StudyReference: SettingGroup {
  /// Ranks of the cells that others are divided by.
  public var ranks = 1

  /// The default.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("ranks", &ranks, .atLeast(1))
  }
}
