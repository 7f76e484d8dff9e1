// Source and target whose label sets differ (TADA: Gong et al., ECCV 2022; its official code): labels that are split at random,
// and labels that the teacher makes finer.

import Support
import Tensors

/// Labels that become others at random, pixel by pixel.
public struct LabelShares: Sendable, Equatable {
  /// A label that a pixel gets if its number is at least the bound.
  public struct Step: Sendable, Equatable {
    /// The least number.
    public let bound: Float
    /// The label.
    public let label: UInt8

    /// From its parts.
    public init(_ bound: Float, _ label: UInt8) {
      self.bound = bound
      self.label = label
    }
  }

  /// By label, in ascending bounds: the last bound that a pixel's number reaches decides; below all it stays.
  public let steps: [UInt8: [Step]]

  /// From its steps.
  public init(_ steps: [UInt8: [Step]]) { self.steps = steps }

  /// The labels after one number in [0, 1) was drawn for each pixel.
  /// - Precondition: there are as many numbers as pixels.
  public func applied(to labels: LabelMap, _ uniforms: [Float]) -> LabelMap {
    precondition(uniforms.count == labels.values.count, "\(uniforms.count) numbers for \(labels.values.count) pixels")
    var changed = labels
    for (pixel, label) in labels.values.enumerated() {
      if let step = steps[label]?.last(where: { uniforms[pixel] >= $0.bound }) { changed.values[pixel] = step.label }
    }
    return changed
  }
}

/// How the classes of source labels relate to those of the target.
public enum Taxonomy: String, SettingChoice {
  /// The target has classes that source labels ignore.
  case open
  /// The target splits classes of the source.
  case coarseToFine = "coarse-to-fine"
  /// A class of the source shares objects with several of the target.
  case overlapping

  private static let groups: [(UInt8, UInt8)] = [(8, 9), (11, 12), (17, 18)]
  private static let newClasses: Set<UInt8> = [3, 4, 5, 9, 14, 16]
  /// The class that the source has for all vehicles, and the classes that the target has besides.
  private static let vehicle: UInt8 = 13, vehicles: Set<UInt8> = [14, 15]

  /// What source labels of a class that the target splits become in every step: each of its parts as often.
  public var noise: LabelShares {
    switch self {
    case .open: LabelShares([:])
    case .coarseToFine:
      LabelShares(Dictionary(uniqueKeysWithValues: Taxonomy.groups.map { ($0, [LabelShares.Step(0.5, $1)]) }))
    case .overlapping: LabelShares([13: [LabelShares.Step(0.33, 15), LabelShares.Step(0.67, 14)]])
    }
  }

  /// What labels that the teacher has made finer become besides, so that its mistakes are not learned by heart.
  public var swap: LabelShares {
    switch self {
    case .open: LabelShares([:])
    case .coarseToFine:
      LabelShares(
        Dictionary(
          uniqueKeysWithValues: Taxonomy.groups.flatMap { one, other in
            [(one, [LabelShares.Step(0.55, other)]), (other, [LabelShares.Step(0.55, one)])]
          }))
    case .overlapping:
      LabelShares([
        13: [LabelShares.Step(0.4, 15), LabelShares.Step(0.7, 14)],
        14: [LabelShares.Step(0.4, 15), LabelShares.Step(0.7, 13)],
        15: [LabelShares.Step(0.4, 13), LabelShares.Step(0.7, 14)],
      ])
    }
  }

  /// Source labels made finer by what the teacher sees: an ignored pixel of a new class, a pixel of another class of its
  /// group, a vehicle of another kind.
  public func relabelled(_ labels: LabelMap, predicted: LabelMap) -> LabelMap {
    precondition(labels.values.count == predicted.values.count, "\(predicted.values.count) predictions")
    var changed = labels
    for (pixel, pair) in zip(labels.values, predicted.values).enumerated() where decides(pair.0, pair.1) {
      changed.values[pixel] = pair.1
    }
    return changed
  }

  private func decides(_ label: UInt8, _ predicted: UInt8) -> Bool {
    switch self {
    case .open: label == LabelMap.ignored && Taxonomy.newClasses.contains(predicted)
    case .coarseToFine:
      Taxonomy.groups.contains { group in
        [group.0, group.1].contains(label) && [group.0, group.1].contains(predicted)
      }
    case .overlapping: label == Taxonomy.vehicle && Taxonomy.vehicles.contains(predicted)
    }
  }
}
