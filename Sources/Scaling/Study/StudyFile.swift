// A study as its file describes it: what is run, on how many ranks, how often, and what spoils a launch. Read by the
// recipes' reader; StudyPlan makes cells of it.

import Foundation
import Recipes
import Support

/// A scaling study.
public struct Study: SettingGroup {
  /// Its name: that of its folder.
  public var name = "study"
  /// What launches run.
  public var work = StudyWork()
  /// How they are started.
  public var launch = StudyLaunching()
  /// Over which numbers of ranks.
  public var points = [StudyPoint()]
  /// What else varies.
  public var factors = StudyFactors()
  /// What is measured besides.
  public var controls = StudyControls()
  /// How often.
  public var `repeat` = StudyRepeat()
  /// In which order.
  public var order = StudyOrder()
  /// What spoils a launch.
  public var drop = StudyLimits()
  /// What no model may be fitted to.
  public var heldOut = StudyHeldOut()
  /// What ratios are of.
  public var reference = StudyReference()

  /// The defaults.
  public init() {}

  /// See `SettingGroup`.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("study", &name, Limit(": the name of a folder") { faultOfFileName($0) == nil })
    try settings.group("work", &work)
    try settings.group("launch", &launch)
    try settings.groups("points", &points)
    try settings.group("factors", &factors)
    try settings.group("controls", &controls)
    try settings.group("repeat", &`repeat`)
    try settings.group("order", &order)
    try settings.group("drop", &drop)
    try settings.group("heldOut", &heldOut)
    try settings.group("reference", &reference)
  }

  /// The complete study as YAML, every default written out.
  public var resolvedYAML: String { SettingsText(self).yaml }

  /// SHA-256 of what decides launches and their order, in hexadecimal. How often they are repeated, what drops them and
  /// what they are divided by may change while a study goes on.
  public var digest: String { SettingsText(self).digest(of: Study.decidesLaunches) }

  /// The first setting that decides launches and has another value in `other`: its key and both values.
  public func firstChange(in other: Study) -> (key: String, old: String, new: String)? {
    let new = Dictionary(uniqueKeysWithValues: SettingsText(other).lines.map { ($0.key, $0.text) })
    let old = Dictionary(uniqueKeysWithValues: SettingsText(self).lines.map { ($0.key, $0.text) })
    let keys = SettingsText(self).lines.map(\.key) + SettingsText(other).lines.map(\.key)
    guard let key = keys.first(where: { Study.decidesLaunches($0) && old[$0] != new[$0] }) else { return nil }
    return (key, old[key] ?? "(none)", new[key] ?? "(none)")
  }

  /// Recipes are told apart by what they say, wherever they lie.
  private static func decidesLaunches(_ key: String) -> Bool {
    !["repeat.", "drop.", "reference."].contains { key.hasPrefix($0) } && !key.hasSuffix("recipe")
  }
}

extension Limit {
  /// A list that is not empty, whose elements keep to `limit`.
  static func someEach<Element>(_ limit: Limit<Element>) -> Limit where Value == [Element] {
    Limit(" of at least one element" + (limit.words.isEmpty ? "" : ", each\(limit.words)")) {
      !$0.isEmpty && $0.allSatisfy(limit.allows)
    }
  }
}
