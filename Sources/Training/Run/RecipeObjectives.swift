// From a recipe to the objectives of a run and what they need together.

import Adaptation
import Domains
import Methods
import Networks
import Recipes
import Support

extension Recipe {
  /// What host and objectives need together.
  func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var all = Requirements()
    all.needsLabels = method.host.needsLabels
    if usesFeatureDistance { all.add(FeatureDistance.requirements) }
    for (_, options) in methodObjectives { all.add(options.requirements(configuration)) }
    return all
  }

  /// The objectives in the order in which they act: that of the catalogue, whatever the recipe's.
  /// - Parameters:
  ///   - configuration: shapes of the networks.
  ///   - share: this rank's share of the first micro-batch.
  ///   - reference: the frozen encoder of the feature distance, where it is used.
  ///   - sourceClasses: pixels of each class in the source labels, where they were counted.
  /// - Throws: a `Failure` where something from outside is missing; 65 where two objectives are the same.
  func makeObjectives(
    _ configuration: NetworkConfiguration, _ share: BatchShare, reference: ReferenceEncoder?,
    sourceClasses: ClassStatistics?
  ) throws -> [any Objective] {
    let setup = ObjectiveSetup(
      configuration: configuration, host: method.host, seed: seed, scheduledSteps: schedule.steps,
      decaySteps: learningRate.totalSteps, share: share, sourceClasses: sourceClasses)
    var objectives: [any Objective] = []
    if let reference {
      objectives.append(FeatureDistance(reference, featureDistance, classCount: configuration.classCount))
    }
    for (key, options) in methodObjectives {
      guard let objective = try options.make(setup) else { continue }
      guard !objectives.contains(where: { $0.name == objective.name }) else {
        throw Failure(.badData, "two objectives are \(objective.name)", at: key, remedy: "leave one of them out")
      }
      objectives.append(objective)
    }
    return objectives
  }
}

extension Requirements {
  /// Both together.
  mutating func add(_ other: Requirements) {
    sites.merge(other.sites) { $0.union($1) }
    heads += other.heads
    passes.formUnion(other.passes)
    passOptions.merge(other.passOptions) { own, _ in own }
    needsSource = needsSource || other.needsSource
    needsLabels = needsLabels || other.needsLabels
    needsTeacher = needsTeacher || other.needsTeacher
    needsTarget = needsTarget || other.needsTarget
    mixes = mixes || other.mixes
    needsFewShot = needsFewShot || other.needsFewShot
    needsSecondClassifier = needsSecondClassifier || other.needsSecondClassifier
    maps.formUnion(other.maps)
    resolutions.formIntersection(other.resolutions)
    countsClasses = countsClasses || other.countsClasses
  }
}
