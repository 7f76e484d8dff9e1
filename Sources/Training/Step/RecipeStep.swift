// From a recipe to the step of its run.

import Adaptation
import Collectives
import DataParallel
import Networks
import Optimization
import Recipes

extension StepOptions {
  /// The constants of a recipe's step.
  init(_ recipe: Recipe) {
    self.init(
      detailWeight: Float(recipe.network.detailWeight), auxiliaryWeight: Float(recipe.network.auxiliary.weight),
      normalisation: recipe.loss.normalisation, augmentSource: recipe.augmentSource, mixClasses: recipe.mix.classes,
      seed: recipe.seed, stochasticSeed: recipe.seed, tunesBuckets: recipe.tunesBuckets)
  }
}

extension StepParts {
  /// The parts of a recipe's step. Called by all ranks.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - share: this rank's share of the global batch.
  ///   - networks: of the run.
  ///   - objectives: of the run, in their order.
  ///   - requirements: what host and objectives need.
  ///   - sums: how gradients become one.
  ///   - communicator: all ranks.
  init(
    _ recipe: Recipe, _ share: BatchShare, _ networks: RunNetworks, _ objectives: [any Objective],
    _ requirements: Requirements, _ sums: GradientSums, on communicator: any Communicator
  ) throws {
    let student = networks.student
    self.init(
      share: share, student: student, teacher: networks.teacher,
      labelSource: requirements.needsLabels ? recipe.labels.source : nil,
      host: recipe.method.host, objectives: objectives,
      companions: try StepCompanions(of: objectives, on: share.communicator), sites: requirements.sites,
      draws: SeededDraws(
        seed: recipe.seed, configuration: student.configuration, augmentation: recipe.augmentation,
        offsetMultiple: student.grid.offsetMultiple),
      reduction: sums.reduction, teamGradients: sums.teamGradients,
      overlap: OverlapTrial(recipe.communication.overlap, isPossible: recipe.allowsOverlap, on: communicator),
      optimizer: recipe.makeOptimizer(student.parameters, owned: sums.shards?.own), shards: sums.shards,
      schedule: recipe.learningRate, momentum: recipe.teacherMomentum, stepGuard: StepGuard(recipe.stepGuard.options))
  }
}
