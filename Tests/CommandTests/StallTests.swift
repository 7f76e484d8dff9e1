// Ranks that stand still on real MPI: the job ends within the limit and says who it was.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct StallTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var limits: [String] {
    ["watch.stallMinimumSeconds=4", "watch.stallFactor=2", "schedule.steps=100000"].flatMap { ["--set", $0] }
  }

  @Test(arguments: [(2, 1), (2, 0), (4, 3), (4, 0)]) func aStoppedRankIsReported(ranks: Int, stopped: Int) async throws
  {
    let run = folder.file("run")
    async let training = startTraining(in: run, ranks: ranks, limits)
    let process = try await RankProcess(stopped, in: run, loggedSteps: 40)
    let begin = ContinuousClock.now
    kill(process.identifier, SIGSTOP)
    let result = try await training
    let seconds = (ContinuousClock.now - begin).components.seconds
    #expect(!result.timedOut && result.status == 70, "\(result)")
    #expect(seconds < 60)
    let line = try #require(result.ownErrors.last)
    let pattern = /apus: stalled: rank (\d) on \S+ has given no sign of life for \d+ s, in step \d+, phase [\w -]+; .*/
    let match = try #require(line.wholeMatch(of: pattern), "\(line)")
    #expect(match.1 == "\(stopped)" && result.ownErrors.count == 1)
    // mpirun kills its processes without waiting for them.
    for _ in 0..<100 where process.isAlive { try await Task.sleep(for: .milliseconds(100)) }
    #expect(!process.isAlive, "the stopped rank is still there")
  }

  /// Counting the classes of so many scenes takes far longer than it takes to be found.
  @Test(arguments: [1, 0]) func aRankStoppedBeforeTheFirstStepIsReported(stopped: Int) async throws {
    let run = folder.file("run")
    async let training = startTraining(in: run, ranks: 2, limits + ["--set", "data.source.count=10000000"])
    let process = try await RankProcess(stopped, in: run, loggedSteps: 0)
    try await process.waitForThread("watchdog")
    kill(process.identifier, SIGSTOP)
    let result = try await training
    #expect(!result.timedOut && result.status == 70 && result.ownErrors.count == 1, "\(result)")
    let line = try #require(result.ownErrors.last)
    let pattern =
      /apus: stalled: rank (\d) on \S+ has given no sign of life for \d+ s, before the first step, phase ([a-z ]+); .*/
    let match = try #require(line.wholeMatch(of: pattern), "\(line)")
    #expect(match.1 == "\(stopped)" && ["start", "data", "class index"].contains(match.2))
  }

  @Test func evaluationsAndCheckpointsRaiseNoAlarm() async throws {
    let options = [
      "watch.stallMinimumSeconds=2", "watch.stallFactor=2", "evaluation.every=3", "checkpoint.every=2",
    ]
    let result = try await startTraining(
      in: folder.file("run"), ranks: 2, ["--steps", "9"] + options.flatMap { ["--set", $0] })
    #expect(result.status == 0 && result.ownErrors.isEmpty, "\(result)")
  }
}
