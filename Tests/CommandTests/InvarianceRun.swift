// Runs of the test recipe, as a user starts them, and what they leave behind.

import Foundation
import TestSupport
import Testing

/// The recipe of these tests.
let testRecipe = URL(fileURLWithPath: #filePath).appending(path: "../../../Launch/recipes/test-invariance.yaml")
  .standardizedFileURL.path

/// What a run ended with: all that must not depend on how it was run, and a few things that do.
struct TrainedState: Sendable, Equatable {
  /// A line of the log without its times.
  struct Step: Sendable, Equatable, Decodable {
    let step: Int
    let losses: [String: Double]
    let learningRate: Double
  }

  /// The digests of the summary.
  struct Digests: Sendable, Equatable, Decodable {
    let studentDigest: String
    let teacherDigest: String
    let optimizerDigest: String
    let objectiveDigest: String?
  }

  /// The rest of the summary.
  struct Layout: Sendable, Equatable, Decodable {
    let step: Int
    let worldSize: Int
    let threads: Int
    let globalBatch: Int
    let reproducibleAcrossRanks: Bool
  }

  let digests: Digests
  let steps: [Step]
  let layout: Layout

  /// Reads a run's folder.
  init(_ folder: String) throws {
    let summary = try Data(contentsOf: URL(filePath: folder + "/summary.json"))
    digests = try JSONDecoder().decode(Digests.self, from: summary)
    layout = try JSONDecoder().decode(Layout.self, from: summary)
    let log = try String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8)
    steps = try log.split(separator: "\n").map { try JSONDecoder().decode(Step.self, from: Data($0.utf8)) }
  }

  /// Whether weights and losses are those of another run, to the bit.
  func matches(_ other: TrainedState) -> Bool { digests == other.digests && steps == other.steps }
}

/// `apus train` with the test recipe, alone or, where `ranks` is given, under mpirun.
func startTraining(
  in folder: String, ranks: Int? = nil, threads: Int = 1, recipe: String = testRecipe, _ options: [String] = [],
  environment: [String: String] = [:]
) async throws -> CommandResult {
  let arguments = ["train", recipe, "--run-directory", folder] + options
  let environment = environment.merging(["APUS_THREADS": "\(threads)"]) { given, _ in given }
  guard let ranks else { return try await runCommand(arguments, environment: environment, timeout: 300) }
  return try await runRanks(ranks, arguments, environment: environment, timeout: 300)
}

/// As above, for a run of its own that must succeed.
func train(
  ranks: Int? = nil, threads: Int = 1, steps: Int = 20, set overrides: String..., environment: [String: String] = [:]
) async throws -> TrainedState {
  let folder = try TemporaryFolder()
  let options = ["--steps", "\(steps)"] + overrides.flatMap { ["--set", $0] }
  let result = try await startTraining(
    in: folder.file("run"), ranks: ranks, threads: threads, options, environment: environment)
  try #require(result.status == 0, "\(result)")
  return try TrainedState(folder.file("run"))
}

/// The uninterrupted run that others are compared with: one rank, one thread. It is run once.
let referenceRun = Task { try await train() }

extension CommandResult {
  /// Standard output as a JSON object.
  func object() throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
  }

  /// Whether the run failed as a user's mistake should: the status, and one line that holds all the words.
  func refuses(_ status: Int32, _ words: String...) -> Bool {
    let crash = ["Fatal error", "Backtrace", "Crash", "Stack dump", "Thread 0", "Illegal instruction"]
    return self.status == status && !timedOut && ownErrors.count == 1
      && words.allSatisfy { ownErrors[0].contains($0) } && !crash.contains { errors.contains($0) }
  }
}

/// Bytes of every file below a folder, by path inside it.
func contents(of folder: String) throws -> [String: Data] {
  let paths = try FileManager.default.subpathsOfDirectory(atPath: folder)
  return Dictionary(
    uniqueKeysWithValues: paths.compactMap { path in
      FileManager.default.contents(atPath: "\(folder)/\(path)").map { (path, $0) }
    })
}
