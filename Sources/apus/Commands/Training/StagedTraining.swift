// A chain of runs, one stage after the other; the runs know nothing of each other.

import Collectives
import Foundation
import Recipes
import StorageHDF5
import Support
import Training

extension TrainCommand {
  /// The chain that the recipe describes; nil for a recipe without stages. Communicates nothing.
  /// - Throws: as `RecipeChain.read`.
  func chain() throws -> RecipeChain? {
    try RecipeChain.read(
      recipe, overrides: settings.overrides, catalogue: .standard,
      runDirectory: { runDirectory ?? "Checkpoints/\($0)" }, checkpoint: { RunLayout($0).checkpoint($1) })
  }

  /// Runs the stages of a chain that are not finished. A collective.
  func train(_ chain: RecipeChain, on communicator: any Communicator) throws -> ExitStatus {
    let directory = try communicator.together {
      communicator.rank == 0 ? try ChainDirectory(chain.folder, resume: resume) : nil
    }
    defer { directory?.release() }
    if let warning = directory?.warning { say(warning) }
    var summaries: [StageSummary] = []
    var left = steps ?? Int.max
    for stage in chain.stages where left > 0 {
      if communicator.rank == 0 { say("stage \(stage.number) of \(chain.stages.count): \(stage.name)") }
      let (status, summary) = try run(
        stage, after: chain.stages.prefix(stage.number - 1), steps: min(left, stage.recipe.schedule.steps),
        on: communicator)
      if case .training = stage.work { left -= min(left, stage.recipe.schedule.steps) }
      guard status == .done else { return status }
      if let summary { summaries.append(summary) }
      try communicator.together { try directory?.write(summaries) }
    }
    return .done
  }

  /// Runs a stage, or passes over it. What it has come to is told on rank 0.
  private func run(
    _ stage: RecipeChain.Stage, after earlier: ArraySlice<RecipeChain.Stage>, steps: Int,
    on communicator: any Communicator
  ) throws -> (ExitStatus, StageSummary?) {
    guard case .labels(let options, let checkpoint) = stage.work else {
      let finished = try communicator.together { communicator.rank == 0 ? try stage.finished() : nil }
      guard try communicator.orBits(finished == nil ? 0 : 1) == 0 else {
        if communicator.rank == 0 { say("it is finished") }
        return (.done, finished)
      }
      let outcome = try stage.recipe.watch.watching(on: communicator) {
        try train(
          stage.recipe, in: stage.folder, after: earlier.map(\.folder), until: steps, on: communicator, $0)
      }
      return (outcome.status, outcome.summary.map { StageSummary(stage, $0) })
    }
    try communicator.requireNoSignal("before stage \(stage.title)")
    let outcome = try CacheBuild(
      checkpoint: checkpoint, network: options.network.rawValue,
      looks: LabelLooks(flips: options.flip, halfSize: options.halfSize), output: stage.folder, json: false
    ).run(on: communicator) { _ in stage.recipe }
    return (.done, communicator.rank == 0 ? StageSummary(stage, images: outcome.images) : nil)
  }
}
