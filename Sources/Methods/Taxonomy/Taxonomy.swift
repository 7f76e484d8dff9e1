// Source and target whose label sets differ (TADA: Gong et al., ECCV 2022; its official code): labels that are split at
// random, and labels that the teacher makes finer.

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
public struct Taxonomy: Sendable, Equatable {
  /// What source labels lack.
  public enum Kind: String, SettingChoice {
    /// Classes, which they ignore.
    case open
    /// The difference of classes, which they give one label.
    case coarseToFine = "coarse-to-fine"
    /// The same, but objects of that label belong to classes that the source has besides.
    case overlapping
  }

  /// What source labels lack.
  public let kind: Kind
  /// Classes that the target tells apart where the source may not; the first of each is the source's label for them.
  public let groups: [[UInt8]]
  /// Classes that source labels ignore.
  public let newClasses: Set<UInt8>

  /// From its parts.
  public init(_ kind: Kind, groups: [[UInt8]] = [], newClasses: Set<UInt8> = []) {
    self.kind = kind
    self.groups = groups
    self.newClasses = newClasses
  }

  /// What source labels of a class that the target splits become in every step: each class of the group as often, to
  /// hundredths as in the released code.
  public var noise: LabelShares {
    guard kind != .open else { return LabelShares([:]) }
    var steps: [UInt8: [LabelShares.Step]] = [:]
    for group in groups {
      let share = 1 / Double(group.count)
      let bounds = (1..<group.count).map { (100 * share * Double($0)).rounded() / 100 }
      steps[group[0]] = Taxonomy.steps(from: group[0], in: group, bounds)
    }
    return LabelShares(steps)
  }

  /// What labels that the teacher has made finer become besides, so that its mistakes are not learned by heart: others
  /// of their group, in 0.45 of all pixels, or 0.6 where taxonomies overlap.
  public var swap: LabelShares {
    guard kind != .open else { return LabelShares([:]) }
    let share = kind == .coarseToFine ? 0.45 : 0.6
    var steps: [UInt8: [LabelShares.Step]] = [:]
    for group in groups {
      let bounds = (1..<group.count).map { 1 - share + share * Double($0 - 1) / Double(group.count - 1) }
      for label in group { steps[label] = Taxonomy.steps(from: label, in: group, bounds) }
    }
    return LabelShares(steps)
  }

  /// Steps to the other classes of a group, of which the last one comes first, as in the released code.
  private static func steps(from label: UInt8, in group: [UInt8], _ bounds: [Double]) -> [LabelShares.Step] {
    let order = [group[group.count - 1]] + group.dropLast()
    let others = order.filter { $0 != label }
    return zip(bounds, others).map { LabelShares.Step(Float($0), $1) }
  }

  /// Source labels made finer by what the teacher sees: an ignored pixel of a new class, a pixel of another class of
  /// its group, and where taxonomies overlap only one that has the source's own label for the group.
  public func relabelled(_ labels: LabelMap, predicted: LabelMap) -> LabelMap {
    precondition(labels.values.count == predicted.values.count, "\(predicted.values.count) predictions")
    var changed = labels
    for (pixel, pair) in zip(labels.values, predicted.values).enumerated() where decides(pair.0, pair.1) {
      changed.values[pixel] = pair.1
    }
    return changed
  }

  private func decides(_ label: UInt8, _ predicted: UInt8) -> Bool {
    switch kind {
    case .open: label == LabelMap.ignored && newClasses.contains(predicted)
    case .coarseToFine: groups.contains { $0.contains(label) && $0.contains(predicted) }
    case .overlapping: groups.contains { $0[0] == label && $0.contains(predicted) }
    }
  }
}
