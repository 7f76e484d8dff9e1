// Heads that objectives train on the student's maps: equal bits however a batch is cut, kept with their objective in
// checkpoints, and taken over where a run goes on or starts from another.

import Adaptation
import Autograd
import Collectives
import CollectivesTesting
import Foundation
import Networks
import Recipes
import Storage
import StorageHDF5
import Support
import Tensors
import TestSupport
import Testing
import Training

/// Options of an objective that pulls what its two heads make of mixed images towards 0.
private struct ProbeOptions: MethodOptions {
  mutating func visit(_ settings: inout some SettingVisitor) throws {}

  /// A head with batch norms on all maps of the context, and a linear one on the detail's.
  static let heads = [
    AttachedHead(owner: "probe", name: "pyramid", inputs: (0..<4).reversed().map { .encoder(fromCoarsest: $0) }) {
      registry, prefix, channels in
      guard let entry = HeadCatalogue.entry("segformer") else { preconditionFailure("no head") }
      let head = entry.make(registry, prefix, channels, 2, HeadOptions(width: 8, dropout: 0))
      return { maps, context in try head(maps, context).logits }
    },
    AttachedHead(owner: "probe", name: "projection", input: Site(.fused, .detail)) { registry, prefix, channels in
      let weight = registry.declare("\(prefix).weight", [4, channels], .normal(deviation: 0.1))
      return { map, context in linear(map, weight, nil, context) }
    },
  ]

  func requirements(_ configuration: NetworkConfiguration) -> Requirements {
    var requirements = Requirements()
    requirements.heads = ProbeOptions.heads
    requirements.sites["mixed"] = Set(ProbeOptions.heads.map(\.output))
    return requirements
  }

  func make(_ setup: ObjectiveSetup) throws -> (any Objective)? { Probe() }
}

private final class Probe: Objective {
  let name = "probe"

  /// Half the mean square of every head's output.
  func losses(
    _ runs: [StudentRun], of pass: String, _ totals: PassTotals, _ step: StepView
  ) throws -> [LossTerm] {
    guard pass == "mixed" else { return [] }
    return ProbeOptions.heads.map { head in
      let map = runs[0].map(head.output)
      let samples = step.share.globalBatch * step.share.microBatches
      let factor = 1 / Float(map.value.perSample * samples)
      map.cell?.accumulate(Tensor(map.value.values.map { $0 * factor }, map.value.shape))
      let values = (0..<map.value.samples).map { sample in
        map.value.sample(sample).values.reduce(0) { $0 + Double($1 * $1) * Double(factor) / 2 }
      }
      return LossTerm(name: "probe.\(head.name)", perSample: values)
    }
  }
}

@Suite(.serialized) struct AttachedHeadTests {
  private func recipe(_ overrides: [String]) throws -> Recipe {
    let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    var catalogue = RecipeCatalogue.standard
    catalogue.methods.append(MethodEntry("probe", .selfTraining, options: ProbeOptions(), paper: "none"))
    return try Recipe.read(
      root.appending(path: "Launch/recipes/test-invariance.yaml").path,
      overrides: ["method=probe", "featureDistance.weight=0", "teacher.cache=false", "batch.global=4"] + overrides,
      environment: [:], catalogue: catalogue)
  }

  private func train(_ experiment: Experiment, _ steps: Range<Int>) throws {
    for step in steps { _ = try experiment.step.run(try experiment.loader.batches(step: step), step: step) }
  }

  /// State digests after two steps, by rank.
  private func digests(_ overrides: [String] = [], ranks: Int) throws -> [StateDigests] {
    let recipe = try recipe(overrides)
    return try LoopbackCommunicator.run(ranks: ranks) { communicator in
      let experiment = try Experiment(recipe, on: communicator)
      try train(experiment, 0..<2)
      return try experiment.digests
    }
  }

  @Test func anyCutOfTheBatchGivesTheSameBits() throws {
    for accumulate in ["batch.accumulate=1", "batch.accumulate=2"] {
      let one = try digests([accumulate], ranks: 1)[0]
      for (ranks, more) in [(2, "optimizer.shardMoments=true"), (2, "batch.cropShards=2"), (4, "batch.cropShards=2")] {
        #expect(
          try digests([accumulate, more], ranks: ranks) == Array(repeating: one, count: ranks), "\(ranks) \(more)")
      }
    }
  }

  @Test func headsLearnAndTheTeacherFollows() throws {
    let experiment = try Experiment(try recipe([]), on: SoloCommunicator())
    let student = experiment.student.parameters
    let teacher = try #require(experiment.teacher).network.parameters
    let heads = student.slices.filter { $0.owner == "probe" }
    #expect(heads.map(\.name) == student.slices.suffix(heads.count).map(\.name), "they come last")
    #expect(heads.allSatisfy { $0.name == "probe_head.\($0.nameInOwner)" } && heads.count > 2)
    let first = student.values.values
    try train(experiment, 0..<3)
    for head in heads {
      let now = Array(student.values.values[head.range])
      #expect(now != Array(first[head.range]), "\(head.name) stays")
      let average = Array(teacher.values.values[head.range])
      #expect(average != now && average != Array(first[head.range]), "\(head.name) of the teacher")
    }
  }

  @Test func checkpointsKeepThemWithTheirObjective() throws {
    let folder = try TemporaryFolder()
    let store = HDF5CheckpointStore(folder: folder.path)
    let whole = try Experiment(try recipe([]), on: SoloCommunicator())
    try train(whole, 0..<2)
    let file = try store.save(whole.snapshot(step: 2))
    let plain = try SegmentationNetwork(whole.student.configuration, gradientSlots: 0, seed: 0).parameters
    for group in [Snapshot.student, Snapshot.teacher] {
      let names = try store.load(file: file, groups: [group]).records(under: group).map(\.name)
      #expect(Set(names) == Set((plain.slices + plain.bufferSlices).map(\.name)), "the network alone")
    }
    let kept = try store.load(file: file, groups: nil)
    let own = Set(kept.records(under: "objective/probe").map(\.name))
    for name in ["projection.weight", "pyramid.linear_pred.bias", "pyramid.conv_seg.bias"]
    where own.contains("student.\(name)") {
      #expect(own.isSuperset(of: ["teacher", "first-moment", "second-moment"].map { "\($0).\(name)" }))
    }
    #expect(own.contains("student.projection.weight") && own.contains("second-moment.projection.weight"))
    #expect(own.contains { $0.hasPrefix("teacher.pyramid.") && $0.hasSuffix(".running_var") })
    // Going on from it is as if nothing had been.
    let resumed = try Experiment(try recipe(["seed=\(whole.recipe.seed + 1)"]), on: SoloCommunicator())
    #expect(try resumed.digests != whole.digests)
    try resumed.restore(kept, from: file)
    #expect(try resumed.digests == whole.digests)
    let lacking = Snapshot(
      run: kept.run, records: kept.records.filter { !$0.path.hasSuffix("student.projection.weight") })
    let failure = #expect(throws: Failure.self) { try resumed.restore(lacking, from: file) }
    #expect(failure?.what == "objective/probe/student.projection.weight is missing")
  }

  @Test func momentsDealtOutAreKeptAlike() throws {
    func records(_ overrides: [String], ranks: Int) throws -> [String: [Float]] {
      let (recipe, folder) = (try recipe(overrides), try TemporaryFolder())
      let found = try LoopbackCommunicator.run(ranks: ranks) { communicator in
        let store = HDF5CheckpointStore(folder: folder.path)
        let trainer = Trainer(
          try Experiment(recipe, on: communicator), directory: nil, store: store,
          pseudoLabels: HDF5PseudoLabelStore(folder: folder.path)
        ) { _ in }
        try trainer.prepare(resume: false)
        _ = try trainer.run(until: 2)
        return communicator.rank == 0 ? try store.load(file: store.file(step: 2), groups: nil).records : []
      }
      return Dictionary(uniqueKeysWithValues: found[0].map { ($0.path, $0.values.values) })
    }
    let one = try records([], ranks: 1)
    #expect(one["objective/probe/first-moment.projection.weight"]?.contains { $0 != 0 } == true)
    #expect(try records(["optimizer.shardMoments=true"], ranks: 2) == one)
  }

  @Test func aRunStartsWithTheHeadsOfItsObjectives() throws {
    let folder = try TemporaryFolder()
    let store = HDF5CheckpointStore(folder: folder.path)
    let first = try Experiment(try recipe([]), on: SoloCommunicator())
    try train(first, 0..<2)
    let file = try store.save(first.snapshot(step: 2))
    let next = try Experiment(try recipe(["init=\(file)", "seed=7"]), on: SoloCommunicator(), startingWith: store)
    #expect(next.student.parameters.digest() == first.student.parameters.digest())
    #expect(next.teacher?.network.parameters.digest() == first.teacher?.network.parameters.digest())
    // Another method takes the network; the objective takes a network without heads.
    let other = try Experiment(
      try recipe(["init=\(file)", "method=hrda"]), on: SoloCommunicator(), startingWith: store)
    let count = other.student.parameters.values.count
    #expect(other.student.parameters.values.values == Array(first.student.parameters.values.values[..<count]))
    let plain = try store.save(other.snapshot(step: 3))
    let fresh = try Experiment(try recipe(["init=\(plain)"]), on: SoloCommunicator(), startingWith: store)
    let drawn = try Experiment(try recipe([]), on: SoloCommunicator())
    #expect(fresh.student.parameters.values.values[..<count] == first.student.parameters.values.values[..<count])
    #expect(fresh.student.parameters.values.values[count...] == drawn.student.parameters.values.values[count...])
  }
}
