// Gradient accumulation against its definition: the mean of the gradients of separate steps, one for each micro-batch.

import Adaptation
import Collectives
import Domains
import Foundation
import Recipes
import Support
import Tensors
import Testing
import Training

/// Keeps the summed gradient of a step.
private final class GradientView: StepObserver {
  private(set) var passes: [String] = []
  private(set) var gradient: [Double] = []

  func passed(_ pass: ObservedPass) { passes.append(pass.name) }

  func summed(_ gradient: Tensor) { self.gradient = gradient.values.map { Double($0) } }
}

@Suite struct AccumulationTests {
  /// Everything random is switched on; the batch holds `global` samples in `parts` micro-batches.
  private static func experiment(global: Int, parts: Int, _ more: [String] = []) throws -> Experiment {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    let overrides = [
      "method=mic", "methodOptions.block=32", "batch.global=\(global)", "batch.accumulate=\(parts)",
    ]
    return try Experiment(
      try Recipe.read(
        root.appending(path: "Launch/recipes/test-invariance.yaml").path, overrides: overrides + more,
        environment: [:], catalogue: .standard), on: SoloCommunicator())
  }

  /// The first step of an experiment, seen from inside, with another share of the batch.
  private static func step(
    _ experiment: Experiment, _ share: BatchShare, _ batches: [DomainBatch]
  ) throws -> (view: GradientView, record: StepRecord) {
    let (parts, recipe) = (experiment.step.parts, experiment.recipe)
    let view = GradientView()
    let step = TrainingStep(
      StepParts(
        share: share, student: parts.student, teacher: parts.teacher, host: parts.host,
        objectives: parts.objectives, sites: parts.sites, draws: parts.draws, reduction: parts.reduction,
        optimizer: parts.optimizer, schedule: parts.schedule, momentum: parts.momentum, observer: view),
      StepOptions(
        detailWeight: Float(recipe.network.detailWeight), normalisation: recipe.loss.normalisation,
        augmentSource: false, stochasticSeed: recipe.seed))
    return (view, try step.run(batches, step: 0))
  }

  private static func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  /// The draws, the class set, the confident share and the batch statistics of a micro-batch are its own, so that it may
  /// be a step by itself.
  @Test(arguments: [(4, 2, "all"), (6, 3, "all"), (4, 4, "labelled")])
  func theGradientIsTheMeanOfSeparateSteps(global: Int, parts: Int, normalisation: String) throws {
    let setting = ["loss.normalisation=\(normalisation)"]
    let whole = try AccumulationTests.experiment(global: global, parts: parts, setting)
    let batches = try whole.loader.batches(step: 0)
    let together = try AccumulationTests.step(whole, whole.share, batches)
    #expect(together.view.passes == Array(repeating: ["source", "mixed", "masked"], count: parts).flatMap { $0 })

    let size = global / parts
    let alone = try batches.map { batch in
      let single = try AccumulationTests.experiment(global: size, parts: 1, setting)
      let share = BatchShare(communicator: SoloCommunicator(), globalBatch: size, samples: batch.samples)
      return try AccumulationTests.step(single, share, [batch])
    }
    let gradient = together.view.gradient
    let mean = gradient.indices.map { index in
      alone.reduce(0) { $0 + $1.view.gradient[index] } / Double(parts)
    }
    let error = AccumulationTests.norm(zip(gradient, mean).map { $0 - $1 })
    #expect(error < 1e-6 * AccumulationTests.norm(mean), "\(error / AccumulationTests.norm(mean))")
    let spread = AccumulationTests.norm(zip(alone[0].view.gradient, mean).map { $0 - $1 })
    #expect(spread > 0.1 * AccumulationTests.norm(mean), "micro-batches must differ for the mean to mean something")

    for (index, loss) in together.record.losses.enumerated() {
      let expected = alone.reduce(0) { $0 + $1.record.losses[index].value } / Double(parts)
      #expect(alone[0].record.losses[index].name == loss.name)
      #expect(abs(loss.value - expected) <= 1e-12 * abs(expected), "\(loss.name)")
    }
    let shares = alone.compactMap(\.record.confidentShare)
    #expect(together.record.confidentShare == shares.reduce(0, +) / Float(parts))
    let labels = together.record.pseudoLabels
    #expect(labels.map(\.labels) == alone.map { $0.record.pseudoLabels[0].labels } && labels.count == parts)
    #expect(together.record.keptShare == 0)
  }

  @Test func oneMicroBatchIsTheWholeBatch() throws {
    let first = try AccumulationTests.experiment(global: 4, parts: 1)
    let cut = try AccumulationTests.step(first, first.share, try first.loader.batches(step: 0))
    let second = try AccumulationTests.experiment(global: 4, parts: 1)
    let share = BatchShare(communicator: SoloCommunicator(), globalBatch: 4, samples: 0..<4)
    let whole = try AccumulationTests.step(second, share, [try second.loader.batch(step: 0)])
    #expect(cut.view.gradient == whole.view.gradient && cut.view.passes == ["source", "mixed", "masked"])
    #expect(cut.record.losses.map(\.value) == whole.record.losses.map(\.value))
  }

  @Test func aBrokenImageOfTheLastMicroBatchCostsTheWholeStep() throws {
    let experiment = try AccumulationTests.experiment(global: 4, parts: 2)
    for step in 0..<2 {
      let batches = try experiment.loader.batches(step: step)
      if step == 1 { batches[1].source?.image.sample(1).fill(.nan) }
      let before = try experiment.digests
      let record = try experiment.step.run(batches, step: step)
      #expect((record.skipped != nil) == (step == 1))
      let after = try experiment.digests
      #expect((after.student == before.student) == (step == 1), "weights and statistics")
      #expect((after.optimizer == before.optimizer) == (step == 1))
    }
  }
}
