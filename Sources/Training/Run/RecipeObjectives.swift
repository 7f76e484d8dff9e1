// From a recipe to the objectives of a run and what they need together.

import Adaptation
import Domains
import Methods
import Networks
import Recipes

extension Recipe {
  /// What host and objectives need together.
  func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var all = Requirements()
    all.needsLabels = method.host.needsLabels
    if usesFeatureDistance { all.add(FeatureDistance.requirements) }
    all.add(method.options.requirements(configuration))
    return all
  }

  /// The objectives, in the order in which they act.
  /// - Parameters:
  ///   - configuration: shapes of the networks.
  ///   - share: this rank's share of the first micro-batch.
  ///   - sourceClasses: pixels of each class in the source labels, where they were counted.
  /// - Throws: a `Failure` where something from outside is missing.
  func makeObjectives(
    _ configuration: NetworkConfiguration, _ share: BatchShare, sourceClasses: ClassStatistics?
  ) throws -> [any Objective] {
    let setup = ObjectiveSetup(
      configuration: configuration, host: method.host, seed: seed, scheduledSteps: schedule.steps,
      decaySteps: learningRate.totalSteps, share: share, sourceClasses: sourceClasses)
    var objectives: [any Objective] = []
    if usesFeatureDistance {
      objectives.append(
        FeatureDistance(
          try ReferenceEncoder(configuration, seed: seed), featureDistance, classCount: configuration.classCount))
    }
    if let own = try method.options.make(setup) { objectives.append(own) }
    return objectives
  }

  private var usesFeatureDistance: Bool { featureDistance.weight > 0 && method.host.hasSource }
}

extension Requirements {
  /// Both together.
  mutating func add(_ other: Requirements) {
    sites.merge(other.sites) { $0.union($1) }
    heads += other.heads
    passes.formUnion(other.passes)
    needsLabels = needsLabels || other.needsLabels
    mixes = mixes || other.mixes
    countsClasses = countsClasses || other.countsClasses
  }
}
