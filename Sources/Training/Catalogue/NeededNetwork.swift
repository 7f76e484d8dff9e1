// The network that a method needs where the default one does not do: a head that makes its maps, a resolution.

import Adaptation
import Methods
import Networks
import Recipes

/// Settings of the network without which a method is refused.
struct NeededNetwork {
  /// The head; nil where any does.
  let head: String?
  /// The resolution; nil where any does.
  let resolution: Resolution?
  /// Whether there must be a second classifier.
  let hasSecondClassifier: Bool
  /// Whether images must bring depth.
  let depth: Bool
  /// Whether a few target images must be labelled.
  let fewShot: Bool

  /// What the published options of a method need.
  init(_ entry: MethodEntry) {
    let needs = entry.options.requirements(Recipe().networkConfiguration(classCount: 2))
    let named = needs.sites.values.joined().compactMap { site -> String? in
      guard case .named(let name) = site.map else { return nil }
      return name
    }
    head = named.isEmpty ? nil : HeadCatalogue.entries.first { $0.maps.isSuperset(of: named) }?.name
    hasSecondClassifier = needs.needsSecondClassifier
    resolution =
      needs.resolutions.count == Resolution.allCases.count && !hasSecondClassifier
      ? nil : Resolution.allCases.first { needs.resolutions.contains($0) && $0 != .hrda }
    depth = needs.maps.contains("depth")
    fewShot = needs.needsFewShot
  }

  /// Lines of a recipe.
  var lines: [String] {
    let second = hasSecondClassifier ? ", auxiliary: \(Recipe.Auxiliary.secondClassifier)" : ""
    return (head.map { ["head: {name: \($0)}"] } ?? [])
      + (resolution.map { ["network: {resolution: \($0.rawValue), contextScale: 1\(second)}"] } ?? [])
  }

  /// The same as changes of a recipe, and a few labelled images where they are needed.
  var overrides: [String] {
    lines.map { $0.replacing(": ", with: "=", maxReplacements: 1) }
      + (fewShot ? ["data.fewShot={kind: procedural, domain: target, seed: 1, classes: [0]}"] : [])
  }
}
