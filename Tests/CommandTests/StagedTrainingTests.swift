// Chains of runs as a user starts them: the same bits on any ranks, resumed inside each stage, stopped, killed, refused.

import Foundation
import Storage
import StorageHDF5
import TestSupport
import Testing

@Suite(.serialized) struct StagedTrainingTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    let base = try String(contentsOfFile: testRecipe, encoding: .utf8)
    let stages = """

      stages:
        - {name: warm-up, set: {method: source-only, schedule.steps: 4}}
        - {name: labels, labels: {network: student}}
        - name: contrast
          set: {method: spcl, schedule.steps: 4, labels.source: cache, labels.quantile: 0.5, labels.cap: 0.9}
        - name: refine
          set: {method: target-only, schedule.steps: 3, labels.source: cache, teacher.confidence: pixel}

      """
    try folder.write(
      Array(
        (base.replacing("checkpoint: {every: 10, keep: 2}", with: "checkpoint: {every: 2, keep: 2}") + stages).utf8),
      to: "chain.yaml")
  }

  private func run(_ name: String, ranks: Int? = nil, _ options: [String] = []) async throws -> CommandResult {
    try await startTraining(
      in: folder.file(name), ranks: ranks, recipe: folder.file("chain.yaml"),
      ["--set", "data.target.count=5", "--set", "data.source.count=6"] + options)
  }

  /// The figures of a chain.
  private func figures(_ name: String) throws -> [String: Any] {
    let text = try Data(contentsOf: URL(filePath: folder.file("\(name)/summary.json")))
    return try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
  }

  /// Digests of every training stage.
  private func digests(_ name: String) throws -> [[String: String]] {
    let stages = try #require(try figures(name)["stages"] as? [[String: Any]])
    return try stages.filter { $0["images"] == nil }.map { stage in
      let summary = try #require(stage["summary"] as? [String: Any])
      return summary.compactMapValues { $0 as? String }
    }
  }

  @Test func aChainIsTheSameOnAnyRanksAndResumedAnywhere() async throws {
    let one = try await run("one")
    try #require(one.status == 0, "\(one)")
    #expect(one.output.contains("stage 3 of 4: contrast\n"))
    let wanted = try digests("one")
    #expect(wanted.count == 3 && Set(wanted.map { $0["studentDigest"] }).count == 3)
    #expect(wanted[1]["objectiveDigest"] != nil, "the contrast has prototypes")
    #expect(try figures("one")["step"] as? Int == 3, "the chain's figures are those of its last training stage")

    let two = try await run("two", ranks: 2)
    try #require(two.status == 0, "\(two)")
    #expect(try digests("two") == wanted)

    // Inside every training stage, on other ranks each time.
    for (steps, ranks) in [(1, 2), (3, nil), (6, 2), (9, 1)] as [(Int, Int?)] {
      let part = try await run("parts", ranks: ranks, ["--steps", "\(steps)"] + (steps == 1 ? [] : ["--resume"]))
      try #require(part.status == 0, "\(part)")
    }
    let rest = try await run("parts", ["--resume"])
    try #require(rest.status == 0, "\(rest)")
    #expect(rest.output.contains("stage 1 of 4: warm-up\nit is finished\n"))
    #expect(try digests("parts") == wanted)
    let again = try await run("parts", ranks: 2, ["--resume"])
    #expect(again.status == 0 && again.output.contains("stage 4 of 4: refine\nit is finished\n"), "\(again)")
    #expect(try digests("parts") == wanted)
  }

  @Test func aKilledChainGoesOn() async throws {
    let whole = try await run("whole")
    try #require(whole.status == 0, "\(whole)")
    for stage in ["stages/1-warm-up", "stages/3-contrast", "stages/4-refine"] {
      let name = "killed-\(stage.suffix(4))"
      let run = folder.file(name)
      let training = Task { try await self.run(name, ranks: 2) }
      // Its command line names the folder of the chain, its log lies in the stage's.
      while Self.lines("\(run)/\(stage)/log.jsonl") < 1 { try await Task.sleep(for: .milliseconds(10)) }
      let rank = try await RankProcess(1, in: run, loggedSteps: 0)
      kill(rank.identifier, SIGKILL)
      let killed = try await training.value
      guard killed.status != 0 else { continue }
      let rest = try await self.run(name, ["--resume"])
      try #require(rest.status == 0, "\(rest)")
      #expect(try digests(name) == digests("whole"), "killed in \(stage)")
    }
  }

  private static func lines(_ path: String) -> Int {
    (FileManager.default.contents(atPath: path) ?? Data()).count { $0 == UInt8(ascii: "\n") }
  }

  @Test func whatDoesNotBelongIsRefused() async throws {
    let begun = try await run("run", ["--steps", "6"])
    try #require(begun.status == 0, "\(begun)")
    let twice = try await run("run")
    #expect(twice.refuses(73, "/run: it holds a chain of runs", "--resume"), "\(twice)")
    let other = try await run("run", ["--resume", "--set", "optimizer.learningRate=1e-3"])
    #expect(other.refuses(65, "stage 1-warm-up is finished with another recipe: optimizer.learningRate"), "\(other)")
    // Labels that are gone.
    let labels = folder.file("run/stages/2-labels")
    try FileManager.default.moveItem(atPath: labels, toPath: folder.file("aside"))
    try FileManager.default.createDirectory(atPath: labels, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: folder.file("aside/rank-00000.h5"), toPath: labels + "/rank-00000.h5")
    let run = try await startTraining(
      in: folder.file("alone"), recipe: folder.file("run/stages/3-contrast/recipe.yaml"),
      ["--set", "labels.cache=\(folder.file("nowhere"))"])
    #expect(run.refuses(66, "labels.cache is \(folder.file("nowhere")), which holds no whole cache"), "\(run)")
    let rest = try await self.run("run", ["--resume"])
    #expect(rest.status == 0, "\(rest)")
    // The same labels in another place are the same; others are not.
    let stage = folder.file("run/stages/3-contrast")
    let moved = try await startTraining(
      in: stage, recipe: stage + "/recipe.yaml", ["--resume", "--set", "labels.cache=\(folder.file("aside"))"])
    #expect(moved.status == 0 && moved.output.contains("labels.cache: "), "\(moved)")
    #expect(moved.output.contains("(the same files)"), "\(moved)")
    let teacher = try await runCommand(
      [
        "cache", "build", "--checkpoint", folder.file("run/stages/4-refine/checkpoints/step-00000003.h5"), "--output",
        folder.file("others"),
      ], timeout: 300)
    try #require(teacher.status == 0, "\(teacher)")
    let recipe = try String(contentsOfFile: stage + "/recipe.yaml", encoding: .utf8)
      .replacing(labels, with: folder.file("others"))
    try folder.write(Array(recipe.utf8), to: "others.yaml")
    let strange = try await startTraining(in: stage, recipe: folder.file("others.yaml"), ["--resume"])
    #expect(strange.refuses(65, folder.file("others"), "the data have changed", "labels: labels"), "\(strange)")
  }
}
