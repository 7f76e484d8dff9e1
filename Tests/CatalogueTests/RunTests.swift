// Whole runs of every method, interrupted by plan and by force.

import Foundation
import Methods
import TestSupport
import Testing

@Suite("Methods, whole runs", .serialized) struct RunTests {
  @Test("four steps are two, a pause and two, in every stage, and labels bear a kill", arguments: CatalogueCase.all)
  func aPauseChangesNothing(_ recipe: CatalogueCase) async throws {
    let whole = try await WholeRuns.shared.run(recipe)
    let parted = try CatalogueRun(recipe)
    var trained = 0
    for place in whole.places {
      if whole.labels(place) {
        try await kill(parted, labelling: place)
      } else {
        try await parted.train(until: trained + CatalogueCase.steps / 2)
        trained += CatalogueCase.steps
      }
    }
    try await parted.train()
    #expect(try parted.stages.map(\.digests) == whole.stages.map(\.digests))
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
    let half = CatalogueCase.steps / 2
    // An evaluation that takes for ever begins behind the checkpoint.
    let slow = ["evaluation.every=\(half)", "checkpoint.every=\(half)", "data.validation.count=5000"]
    var trained = 0
    for place in whole.places {
      if whole.labels(place) {
        try await kill(killed, labelling: place)
      } else {
        let saved = "\(killed.folder)\(place)/checkpoints/step-0000000\(half).h5"
        try await kill(killed, slow, once: "\(saved) is there") { _ in
          FileManager.default.fileExists(atPath: saved)
        }
        trained += CatalogueCase.steps
        try await killed.train(until: trained)
      }
    }
    try await killed.train()
    #expect(try killed.stages.map(\.digests) == whole.stages.map(\.digests))
  }

  /// Kills a run as soon as it labels images in a stage, whose former stages are done.
  private func kill(_ run: CatalogueRun, labelling place: String) async throws {
    let title = place.split(separator: "/").last ?? ""
    let (number, name) = (title.prefix { $0 != "-" }, title.drop { $0 != "-" }.dropFirst())
    let begun = try Regex("stage \(number) of [0-9]+: \(name)\n")
    try await kill(run, once: "stage \(title) has begun") { $0.contains(begun) }
    #expect(!run.labels(place), "\(title) had ended")
  }

  /// Starts the program and kills it as soon as something holds for what it has said.
  private func kill(
    _ run: CatalogueRun, _ overrides: [String] = [], once what: String, _ holds: (String) -> Bool
  ) async throws {
    let arguments = try await run.arguments(until: nil, overrides)
    let said = run.said
    try Data().write(to: URL(filePath: said))
    let process = Process()
    process.executableURL = apusExecutable
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["APUS_THREADS": "1"]) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: said))
    process.standardError = FileHandle.nullDevice
    try process.run()
    let deadline = ContinuousClock.now + .seconds(300)
    while process.isRunning, ContinuousClock.now < deadline, try !holds(String(contentsOfFile: said, encoding: .utf8)) {
      try await Task.sleep(for: .milliseconds(5))
    }
    let hadEnded = !process.isRunning
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    try #require(try !hadEnded && holds(String(contentsOfFile: said, encoding: .utf8)), "not in time: \(what)")
  }
}
