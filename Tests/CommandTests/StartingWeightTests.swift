// Runs that start from files, on any number of ranks, and go on without them.

import Foundation
import StorageHDF5
import TestSupport
import Testing
import WeightFiles

@Suite(.serialized) struct StartingWeightTests {
  let folder: TemporaryFolder
  let run: String
  let weights: String

  init() throws {
    folder = try TemporaryFolder()
    run = folder.file("run")
    weights = folder.file("weights.safetensors")
  }

  private func frozen(_ run: String) throws -> [String: [Float]] {
    let snapshot = try HDF5CheckpointStore(folder: "").load(file: run + "/frozen-encoder.h5")
    return Dictionary(
      uniqueKeysWithValues: snapshot.records(under: "frozen").map { ($0.name, $0.record.values.values) })
  }

  @Test func theEncoderStartsAndTheRunGoesOnWithoutTheFile() async throws {
    let tensors = try exampleTensors(seed: 11).filter { $0.name.hasPrefix("backbone.") }
    try writeSafetensors(tensors, metadata: [:], to: weights)
    let options = ["--set", "encoder.weights=\(weights)"]
    let alone = try await startTraining(in: run, options + ["--steps", "4"])
    try #require(alone.status == 0, "\(alone)")
    let reference = try TrainedState(run)
    let kept = try frozen(run)
    #expect(kept.count == tensors.count)
    for tensor in tensors { #expect(kept[tensor.name] == tensor.values) }
    #expect(reference.steps != (try await referenceRun.value.steps.prefix(4)).map { $0 })

    let second = folder.file("second")
    let half = try await startTraining(in: second, ranks: 2, options + ["--steps", "2"])
    try #require(half.status == 0, "\(half)")
    try FileManager.default.removeItem(atPath: weights)
    let rest = try await startTraining(in: second, ranks: 2, options + ["--steps", "4", "--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(try TrainedState(second).matches(reference))

    let file = second + "/frozen-encoder.h5"
    let other = try HDF5CheckpointStore(folder: "").load(file: file)
    try FileManager.default.removeItem(atPath: file)
    let missing = try await startTraining(in: second, options + ["--steps", "5", "--resume"])
    #expect(missing.refuses(66, "frozen-encoder.h5", "missing"), "\(missing)")
    let fresh = try await startTraining(in: folder.file("drawn"), ["--steps", "1"])
    try #require(fresh.status == 0, "\(fresh)")
    try FileManager.default.copyItem(atPath: folder.file("drawn") + "/frozen-encoder.h5", toPath: file)
    let changed = try await startTraining(in: second, ranks: 2, options + ["--steps", "5", "--resume"])
    #expect(changed.refuses(65, "frozen-encoder.h5", "is not the frozen encoder of this run"), "\(changed)")
    try FileManager.default.removeItem(atPath: file)
    try HDF5CheckpointStore(folder: "").save(other, to: file)
    let back = try await startTraining(in: second, options + ["--steps", "5", "--resume"])
    #expect(back.status == 0, "\(back)")
  }

  @Test func aWholeNetworkStartsFromACheckpoint() async throws {
    let tensors = try exampleTensors(seed: 12)
    try writeSafetensors(tensors, metadata: [:], to: weights)
    let start = folder.file("start.h5")
    try #require(
      try apus("checkpoint", "import", weights, "--recipe", testRecipe, "--output", start).status == 0)
    // The learning rate of the first step is a millionth of the highest: weights are those of the file but for a hair.
    for (name, file) in [("pth", weights), ("h5", start)] {
      let path = folder.file(name)
      let outcome = try await startTraining(in: path, ["--steps", "1", "--set", "init=\(file)"])
      try #require(outcome.status == 0, "\(outcome)")
      let snapshot = try HDF5CheckpointStore(folder: "").load(file: path + "/checkpoints/step-00000001.h5")
      for tensor in tensors where !tensor.name.contains("running_") {
        let trained = try #require(snapshot.tensor("student/\(tensor.name)")?.values)
        let worst = zip(trained, tensor.values).map { abs($0 - $1) }.max() ?? 1
        #expect(worst < 1e-6, "\(tensor.name)")
      }
      #expect(snapshot.step == 1)
    }
    #expect(try TrainedState(folder.file("pth")).matches(try TrainedState(folder.file("h5"))))
  }

  @Test(arguments: [nil, 2] as [Int?]) func wrongFilesAreRefusedBeforeAnythingIsWritten(ranks: Int?) async throws {
    let missing = try await startTraining(in: run, ranks: ranks, ["--set", "encoder.weights=\(weights)"])
    #expect(missing.refuses(66, "weights.safetensors"), "\(missing)")
    let tensors = try exampleTensors(seed: 13).filter { $0.name.hasPrefix("backbone.") }
    try writeSafetensors(tensors, metadata: [:], to: weights)
    let whole = try await startTraining(in: run, ranks: ranks, ["--set", "init=\(weights)"])
    #expect(whole.refuses(65, "weights.safetensors", "missing student: decode_head", "encoder.weights"), "\(whole)")
    let other = try await startTraining(
      in: run, ranks: ranks, ["--set", "encoder.weights=\(weights)", "--set", "encoder.name=b0"])
    #expect(other.refuses(65, "weights.safetensors", "refused student: backbone."), "\(other)")
    #expect(!FileManager.default.fileExists(atPath: run))
  }
}
