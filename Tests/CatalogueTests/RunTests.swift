// Whole runs of every method, interrupted by plan and by force.

import Foundation
import Methods
import TestSupport
import Testing

@Suite("Methods, whole runs", .serialized) struct RunTests {
  @Test("four steps are two, a pause and two, in every stage", arguments: CatalogueCase.all)
  func aPauseChangesNothing(_ recipe: CatalogueCase) async throws {
    let whole = try await WholeRuns.shared.run(recipe).stages
    let parted = try CatalogueRun(recipe)
    for stage in whole.indices { try await parted.train(until: CatalogueCase.steps * stage + CatalogueCase.steps / 2) }
    try await parted.train()
    #expect(try parted.stages.map(\.digests) == whole.map(\.digests))
  }

  @Test("real ranks give the same bits", arguments: CatalogueCase.all)
  func realRanksGiveTheSameBits(_ recipe: CatalogueCase) async throws {
    let whole = try await WholeRuns.shared.run(recipe).stages
    for ranks in triesAll ? [2, 4] : [2] {
      let run = try CatalogueRun(recipe)
      try await run.train(ranks: ranks, threads: 2)
      #expect(try run.stages.map(\.digests) == whole.map(\.digests), "\(ranks) ranks")
    }
  }

  @Test(
    "a kill inside every stage costs nothing but time", .enabled(if: triesAll, "--catalogue"),
    arguments: CatalogueCase.all)
  func aKillChangesNothing(_ recipe: CatalogueCase) async throws {
    let whole = try await WholeRuns.shared.run(recipe)
    let killed = try CatalogueRun(recipe)
    for (index, stage) in try whole.stages.enumerated() {
      let half = CatalogueCase.steps / 2
      let saved = killed.folder + stage.folder.dropFirst(whole.folder.count) + "/checkpoints/step-0000000\(half).h5"
      // An evaluation that takes for ever begins behind the checkpoint.
      let slow = ["evaluation.every=\(half)", "checkpoint.every=\(half)", "data.validation.count=100000"]
      try await kill(once: saved, try await killed.arguments(until: nil, slow))
      try await killed.train(until: CatalogueCase.steps * (index + 1))
    }
    try await killed.train()
    #expect(try killed.stages.map(\.digests) == whole.stages.map(\.digests))
  }

  /// Starts the program and kills it as soon as a file is there.
  private func kill(once file: String, _ arguments: [String]) async throws {
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["APUS_THREADS": "1"]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let deadline = ContinuousClock.now + .seconds(300)
    while process.isRunning, ContinuousClock.now < deadline, !FileManager.default.fileExists(atPath: file) {
      try await Task.sleep(for: .milliseconds(5))
    }
    let hadEnded = !process.isRunning
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    try #require(!hadEnded && FileManager.default.fileExists(atPath: file), "\(file) was not written in time")
  }
}
