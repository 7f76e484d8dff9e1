// The recipe's section about the feature distance, which every host with a source may have.

import Support

/// Distance to a frozen encoder's features on thing classes (Hoyer et al., DAFormer, CVPR 2022, section 3.3).
public struct FeatureDistanceOptions: SettingGroup {
  /// Weight of the term; 0 switches it off.
  public var weight = 0.005
  /// Train ids of the thing classes, whose cells count.
  public var classes = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]
  /// Share of a feature cell's pixels that one class needs to own it.
  public var minimumShare = 0.75

  /// The published values for the Cityscapes classes.
  public init() {}
  /// Shows all settings.
  public mutating func visit(_ settings: inout some SettingVisitor) throws {
    try settings.value("weight", &weight, .atLeast(0))
    try settings.value("classes", &classes, .each(.from(0, to: 254)))
    try settings.value("minimumShare", &minimumShare, .from(0, to: 1))
  }
}
