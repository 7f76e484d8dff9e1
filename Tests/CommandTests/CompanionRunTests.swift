// Runs with companions: a run that was interrupted ends with the bits of one that was not, on any number of ranks.

import Foundation
import StorageHDF5
import TestSupport
import Testing

@Suite(.serialized) struct CompanionRunTests {
  private static let settings = ["method=advent", "methodOptions.weight=0.1", "methodOptions.discriminator.width=4"]
  private static let options = settings.flatMap { ["--set", $0] }

  @Test func interruptedRunsGoOn() async throws {
    let folder = try TemporaryFolder()
    let (whole, run) = (folder.file("whole"), folder.file("run"))
    let straight = try await startTraining(in: whole, CompanionRunTests.options + ["--steps", "4"])
    try #require(straight.status == 0, "\(straight)")
    let half = try await startTraining(in: run, ranks: 2, CompanionRunTests.options + ["--steps", "2"])
    try #require(half.status == 0, "\(half)")
    let others = ["batch.cropShards=2", "optimizer.shardMoments=true"].flatMap { ["--set", $0] }
    let rest = try await startTraining(
      in: run, ranks: 4, CompanionRunTests.options + others + ["--steps", "4", "--resume"])
    try #require(rest.status == 0, "\(rest)")
    let (expected, ended) = (try TrainedState(whole), try TrainedState(run))
    #expect(expected.digests.objectiveDigest != nil)
    #expect(ended.matches(expected), "\(ended.digests), \(expected.digests)")
  }

  @Test func checkpointsNameWhatCompanionsHold() async throws {
    let folder = try TemporaryFolder()
    let run = folder.file("run")
    let result = try await startTraining(in: run, CompanionRunTests.options + ["--steps", "1"])
    try #require(result.status == 0, "\(result)")
    let file = try HDF5File(reading: run + "/checkpoints/step-00000001.h5")
    let kept = try file.datasets().filter { $0.hasPrefix("objective/advent/") }.map { $0.dropFirst(17) }
    let parameters = ["conv1", "conv2", "conv3", "conv4", "classifier"].flatMap { ["\($0).weight", "\($0).bias"] }
    #expect(
      Set(kept.map(String.init))
        == Set(parameters.flatMap { ["main.\($0)", "main.first-moment.\($0)", "main.second-moment.\($0)"] }))
    #expect(try file.floats("objective/advent/main.conv1.weight").shape == [4, 19, 4, 4])

    let other = try await startTraining(
      in: run, CompanionRunTests.options + ["--set", "methodOptions.discriminator.width=8", "--steps", "2", "--resume"])
    #expect(other.refuses(65, "objective/advent/main."), "\(other)")
  }
}
