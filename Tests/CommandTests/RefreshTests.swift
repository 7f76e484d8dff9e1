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

  @Test func aRefreshNeedsACache() async throws {
    let folder = try TemporaryFolder()
    let result = try await startTraining(in: folder.file("run"), options + ["--set", "teacher.cache=false"])
    #expect(result.refuses(65, "teacher.refresh", "teacher.cache"), "\(result)")
  }
}
