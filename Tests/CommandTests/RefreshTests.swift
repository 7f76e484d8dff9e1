// Runs whose teacher is asked only now and then: the same bits on any number of ranks and after an interruption.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct RefreshTests {
  private let options = [
    "teacher.refresh=4", "data.target.count=2", "batch.global=2", "schedule.steps=24", "checkpoint.every=5",
  ].flatMap { ["--set", $0] }

  private func run(_ folder: TemporaryFolder, _ name: String, ranks: Int?, _ more: [String] = []) async throws {
    let result = try await startTraining(in: folder.file(name), ranks: ranks, options + more)
    try #require(result.status == 0, "\(result)")
  }

  @Test func keptLabelsGiveTheSameBitsOnAnyRanks() async throws {
    let folder = try TemporaryFolder()
    try await run(folder, "one", ranks: nil)
    let one = try TrainedState(folder.file("one"))
    let kept = one.steps.compactMap { $0.losses["labels-kept"] }
    #expect(kept.count == one.steps.count)
    #expect(kept.contains(1) && kept.contains(0), "\(kept)")

    try await run(folder, "two", ranks: 2)
    #expect(try TrainedState(folder.file("two")).matches(one))

    // 13 steps on two ranks, the rest on one: labels made before the interruption serve after it.
    try await run(folder, "resumed", ranks: 2, ["--steps", "13"])
    try await run(folder, "resumed", ranks: nil, ["--resume"])
    #expect(try TrainedState(folder.file("resumed")).matches(one))

    let asked = try await startTraining(in: folder.file("asked"), options + ["--set", "teacher.refresh=0"])
    try #require(asked.status == 0, "\(asked)")
    #expect(try TrainedState(folder.file("asked")).digests != one.digests)
  }

  @Test func keptLabelsServeMicroBatchesOfTheirOwn() async throws {
    let folder = try TemporaryFolder()
    let parts = ["batch.accumulate=2", "batch.global=4", "crop.size=256x128"].flatMap { ["--set", $0] }
    try await run(folder, "one", ranks: nil, parts)
    let one = try TrainedState(folder.file("one"))
    let kept = one.steps.compactMap { $0.losses["labels-kept"] }
    #expect(kept.contains(0.5) && kept.allSatisfy { [0, 0.5, 1].contains($0) }, "\(kept)")
    try await run(folder, "resumed", ranks: 2, parts + ["--steps", "13"])
    try await run(folder, "resumed", ranks: nil, parts + ["--resume"])
    #expect(try TrainedState(folder.file("resumed")).matches(one))
  }

  @Test func aMeantChangeOfTheRecipeBeginsLabelsAnew() async throws {
    let folder = try TemporaryFolder()
    try await run(folder, "one", ranks: 2, ["--steps", "10"])
    try FileManager.default.copyItem(atPath: folder.file("one"), toPath: folder.file("two"))
    let former = try contents(of: folder.file("one/pseudo-labels"))
    let recipe = try folder.bytes("one/recipe.yaml")
    let meant = ["--resume", "--set", "schedule.steps=30", "--set", "teacher.threshold=0.09"]

    let whole = try await startTraining(in: folder.file("one"), options + meant)
    try #require(whole.status == 0, "\(whole)")
    #expect(whole.output.contains("changed since the run began: schedule.steps: 24 -> 30\n"), "\(whole)")
    #expect(
      whole.output.contains("\nrecipe or data are others than until there: pseudo-labels are begun anew"), "\(whole)")
    let one = try TrainedState(folder.file("one"))
    #expect(one.layout.step == 30)
    #expect(try contents(of: folder.file("one/pseudo-labels-until-step-00000010")) == former)
    #expect(try folder.bytes("one/recipe-until-step-00000010.yaml") == recipe)
    let verified = try await runCommand(["cache", "verify", folder.file("one/pseudo-labels")])
    #expect(verified.status == 0, "\(verified)")
    // The run's own recipe is the new one now.
    let unmeant = try await startTraining(in: folder.file("one"), options + ["--resume"])
    #expect(unmeant.refuses(65, "one/recipe.yaml", "teacher.threshold: 0.09 -> 0.08"), "\(unmeant)")

    // Until a checkpoint of the new recipe is made, nothing is changed.
    try await run(folder, "two", ranks: nil, meant + ["--steps", "10"])
    #expect(try contents(of: folder.file("two/pseudo-labels")) == former)
    #expect(try folder.bytes("two/recipe.yaml") == recipe)
    // Its first checkpoint is lost: what it had begun is not used again, whatever the ranks.
    try await run(folder, "two", ranks: nil, meant + ["--steps", "12"])
    try FileManager.default.removeItem(atPath: folder.file("two/checkpoints/step-00000012.h5"))
    try await run(folder, "two", ranks: 2, meant + ["--steps", "18"])
    let rest = try await startTraining(in: folder.file("two"), options + meant)
    try #require(rest.status == 0 && !rest.output.contains("begun anew"), "\(rest)")
    #expect(try TrainedState(folder.file("two")).matches(one))
    #expect(try contents(of: folder.file("two/pseudo-labels-until-step-00000010")) == former)
    #expect(try !contents(of: folder.file("two/pseudo-labels-until-step-00000010-2")).isEmpty)
  }

  @Test func aRefreshNeedsACache() async throws {
    let folder = try TemporaryFolder()
    let result = try await startTraining(in: folder.file("run"), options + ["--set", "teacher.cache=false"])
    #expect(result.refuses(65, "teacher.refresh", "teacher.cache"), "\(result)")
  }

  @Test func lostLabelsAreNotMadeUpFor() async throws {
    let folder = try TemporaryFolder()
    try await run(folder, "run", ranks: 2, ["--steps", "10"])
    let labels = folder.file("run/pseudo-labels")
    let aside = folder.file("aside")
    try FileManager.default.moveItem(atPath: labels, toPath: aside)
    for ranks in [nil, 2] {
      let gone = try await startTraining(in: folder.file("run"), ranks: ranks, options + ["--resume"])
      #expect(gone.refuses(66, "run/pseudo-labels", "the run's pseudo-labels are missing"), "\(gone)")
    }
    // A folder that cannot be listed.
    try FileManager.default.createSymbolicLink(atPath: labels, withDestinationPath: labels)
    let loop = try await startTraining(in: folder.file("run"), options + ["--resume"])
    #expect(loop.refuses(74, "run/pseudo-labels", "cannot list the folder"), "\(loop)")
    try FileManager.default.removeItem(atPath: labels)
    try FileManager.default.moveItem(atPath: aside, toPath: labels)
    try await run(folder, "run", ranks: nil, ["--resume"])
    try await run(folder, "whole", ranks: nil)
    #expect(try TrainedState(folder.file("run")).matches(try TrainedState(folder.file("whole"))))
  }
}
