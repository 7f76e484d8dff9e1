// The networks of a run, as a recipe describes them, and how their gradients are summed.

import Adaptation
import Collectives
import DataParallel
import Networks
import Recipes
import Support

/// The networks of a run, the same on all ranks.
struct RunNetworks {
  /// The trained network.
  let student: SegmentationNetwork
  /// Its average; nil where nobody needs it.
  let teacher: Teacher?
  /// The encoder that the feature distance compares with; nil where there is none.
  let reference: ReferenceEncoder?

  /// Networks whose parameters are drawn by the recipe's seed.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - configuration: shapes of the networks.
  ///   - requirements: what host and objectives need.
  ///   - plan: how samples are dealt out: places that compute no pass keep no gradients.
  init(
    _ recipe: Recipe, _ configuration: NetworkConfiguration, _ requirements: Requirements, _ plan: ShardPlan
  ) throws {
    Activity.prepare("networks")
    func network(slots: Int) throws -> SegmentationNetwork {
      try SegmentationNetwork(
        configuration, attaching: requirements.heads, gradientSlots: slots, seed: recipe.seed)
    }
    student = try network(slots: plan.place < 2 ? plan.samples.count : 0)
    teacher =
      requirements.hasTeacher
      ? Teacher(
        try network(slots: 0), threshold: Float(recipe.teacher.threshold), confidence: recipe.teacher.confidence) : nil
    reference = recipe.usesFeatureDistance ? try ReferenceEncoder(configuration, seed: recipe.seed) : nil
  }
}

/// How the gradients of a run become one sum.
struct GradientSums {
  /// Sums over samples and ranks.
  let reduction: GradientReduction
  /// Joins those of a team before; nil without teams.
  let teamGradients: TeamGradients?
  /// Who owns which part of the sum; nil where every rank has all of it.
  let shards: ArenaShards?

  /// Called by all ranks, which open channels.
  /// - Parameters:
  ///   - recipe: the recipe.
  ///   - plan: how samples are dealt out.
  ///   - networks: of the run.
  ///   - communicator: all ranks; its messages are told as gradients.
  ///   - world: the same ranks, whose messages are counted beside those of gradients.
  ///   - order: rank at each position of the tree; nil is the order of ranks.
  init(
    _ recipe: Recipe, _ plan: ShardPlan, _ networks: RunNetworks, on communicator: any Communicator,
    _ world: any Communicator, order: [Int]?
  ) throws {
    let parameters = networks.student.parameters
    reduction = try GradientReduction(
      on: plan.teamSize > 1 ? RankGroup(plan.counterparts, of: communicator) : communicator,
      method: recipe.reduction.method, bucketBytes: recipe.communication.bucketMB.bytes,
      scatters: recipe.dealsOutMoments(over: communicator.worldSize), order: order)
    teamGradients =
      plan.teamSize > 1
      ? TeamGradients(
        team: RankGroup(Array(plan.team), of: MeteredCommunicator(communicator)), reduction: reduction,
        parameters: parameters.values.count) : nil
    shards = try ArenaShards.of(parameters, reduction, teamGradients, on: world)
  }
}
