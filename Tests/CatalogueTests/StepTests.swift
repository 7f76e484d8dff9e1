// The steps of every method and stage inside this process: layouts, steps that are left out, gradients.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Domains
import Foundation
import Networks
import Recipes
import StorageHDF5
import Tensors
import Testing
import Training

@Suite("Methods, step by step", .serialized) struct StepTests {
  /// A cut of the batch over ranks, threads and memory.
  struct Layout: CustomStringConvertible {
    var ranks = 1
    var threads = 1
    var cropShards = 1
    var accumulate = 1
    var shardMoments = false

    var overrides: [String] {
      ["batch.cropShards=\(cropShards)", "batch.accumulate=\(accumulate)", "optimizer.shardMoments=\(shardMoments)"]
    }
    var description: String { "\(ranks) ranks, \(threads) threads, " + overrides.joined(separator: ", ") }

    /// All that a stage is tried in: a few that meet every setting, or all of them.
    static func all(accumulate: Int, sharesCrops: Bool) -> [Layout] {
      let few =
        accumulate == 1
        ? [Layout(ranks: 2, threads: 2, shardMoments: true), Layout(ranks: 4)]
        : [Layout(ranks: sharesCrops ? 4 : 2, cropShards: sharesCrops ? 2 : 1, accumulate: accumulate)]
      guard triesAll else { return few }
      return [1, 2, 4].flatMap { ranks in
        [1, 2].flatMap { threads in
          (sharesCrops && ranks > 1 ? [1, 2] : [1]).flatMap { shards in
            [false, true].map { moments in
              Layout(
                ranks: ranks, threads: threads, cropShards: shards, accumulate: accumulate, shardMoments: moments)
            }
          }
        }
      }.filter { $0.ranks / $0.cropShards * accumulate <= 4 }
    }
  }

  /// The resolved recipe of every stage of a run.
  private func stages(_ recipe: CatalogueCase) async throws -> [CatalogueRun.Stage] {
    try await WholeRuns.shared.run(recipe).stages
  }

  private func experiment(
    _ stage: CatalogueRun.Stage, _ overrides: [String] = [], on communicator: any Communicator
  ) throws -> Experiment {
    let recipe = try Recipe.read(stage.recipe, overrides: overrides, environment: [:], catalogue: .standard)
    let data = try RunData(recipe, on: communicator, caches: { HDF5PseudoLabelStore(folder: $0) })
    return try Experiment(recipe, on: communicator, data: data, startingWith: HDF5CheckpointStore(folder: ""))
  }

  /// State digests after the first steps of a stage, by rank: two tell layouts apart that differ.
  private func train(_ stage: CatalogueRun.Stage, _ layout: Layout) throws -> [StateDigests] {
    WorkerPool.configure(threads: layout.threads)
    defer { WorkerPool.configure(threads: 1) }
    return try LoopbackCommunicator.run(ranks: layout.ranks) { communicator in
      let experiment = try experiment(stage, layout.overrides, on: communicator)
      for step in 0..<(triesAll ? CatalogueCase.steps : 2) {
        try experiment.survey(before: step)
        _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step)
      }
      return try experiment.digests
    }
  }

  @Test("how a batch is cut changes no bit", arguments: CatalogueCase.all)
  func everyLayoutGivesTheSameBits(_ recipe: CatalogueCase) async throws {
    for stage in try await stages(recipe) {
      let settings = try Recipe.read(stage.recipe, environment: [:], catalogue: .standard)
      for accumulate in [1, 2] {
        let one = try train(stage, Layout(accumulate: accumulate))[0]
        for layout in Layout.all(accumulate: accumulate, sharesCrops: settings.network.resolution == .hrda) {
          #expect(try train(stage, layout) == Array(repeating: one, count: layout.ranks), "\(layout)")
        }
      }
    }
  }

  @Test("a step that is left out leaves state alone", arguments: CatalogueCase.all)
  func aSkippedStepLeavesStateAlone(_ recipe: CatalogueCase) async throws {
    for stage in try await stages(recipe) {
      let experiment = try experiment(stage, on: SoloCommunicator())
      for step in 0..<3 {
        try experiment.survey(before: step)
        let batches = try experiment.loader.batches(step: step)
        if step == 1 { (batches[0].source ?? batches[0].target)?.image.sample(0).fill(.nan) }
        let before = (try experiment.digests, experiment.buffers)
        let record = try experiment.step.run(batches, step: step)
        let after = (try experiment.digests, experiment.buffers)
        #expect((record.skipped != nil) == (step == 1), "step \(step): \(record.skipped ?? "used")")
        let isEqual = [
          after.0.student == before.0.student, after.0.optimizer == before.0.optimizer,
          after.0.objective == before.0.objective && after.1 == before.1,
        ]
        #expect(step == 1 ? isEqual == [true, true, true] : !isEqual[0] && !isEqual[1], "step \(step)")
      }
    }
  }

  @Test("what trains has a gradient within four steps, what is frozen stays", arguments: CatalogueCase.all)
  func whatTrainsHasAGradient(_ recipe: CatalogueCase) async throws {
    for stage in try await stages(recipe) {
      let experiment = try experiment(stage, on: SoloCommunicator())
      let student = experiment.student.parameters
      let (first, frozen) = (student.values.values, experiment.reference?.parameters.digest())
      let companions = experiment.step.parts.objectives.flatMap(\.companions).map(\.parameters)
      var moved = Set<String>()
      for step in 0..<CatalogueCase.steps {
        try experiment.survey(before: step)
        _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step)
        for network in [student] + companions { moved.formUnion(network.touched) }
      }
      let trained = ([student] + companions).flatMap { network in
        zip(network.slices, network.parameters).filter { $1.slots != nil }.map(\.0)
      }
      #expect(trained.map(\.name).filter { !moved.contains($0) } == [], "they learn nothing")
      #expect(moved.subtracting(trained.map(\.name)) == [], "they are not trained")
      let kept = student.slices.filter { slice in !trained.contains { $0.name == slice.name } }
      let last = student.values.values
      #expect(kept.allSatisfy { Array(first[$0.range]) == Array(last[$0.range]) })
      #expect(experiment.teacher?.network.parameters.gradients == nil)
      #expect(experiment.reference?.parameters.digest() == frozen)
    }
  }
}

extension Experiment {
  /// Running statistics of student and teacher.
  fileprivate var buffers: [[Float]] {
    ([student] + (teacher.map { [$0.network] } ?? [])).map { Array($0.parameters.buffers.values) }
  }
}

extension NetworkParameters {
  /// Names of the parameters whose gradient slots `[samples, count]` hold anything but 0.
  fileprivate var touched: [String] {
    guard let gradients else { return [] }
    let (all, count) = (gradients.values, gradients.shape[1])
    return slices.filter { slice in
      (0..<gradients.shape[0]).contains { sample in
        all[(sample * count + slice.range.lowerBound)..<(sample * count + slice.range.upperBound)].contains { $0 != 0 }
      }
    }.map(\.name)
  }
}
